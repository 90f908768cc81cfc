//! Everything that a table has, as a file: read and sent a page at a time, so that it needs the same
//! memory whatever its length.

use std::collections::VecDeque;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Bytes;
use actors::id::AccountId;
use dashmap::DashMap;
use futures_util::stream;
use uuid::Uuid;

use crate::error::page::PageError;

/// Rows that are read at once.
pub(super) const PAGE: u32 = 500;
/// Files that are sent to one account at a time: whoever reads slowly keeps nobody else waiting.
const AT_ONCE_PER_ACCOUNT: usize = 2;
/// The same for the process.
const AT_ONCE: usize = 64;

static SENDING: LazyLock<DashMap<AccountId, usize>> = LazyLock::new(DashMap::new);

/// Room for one more file of an account, until it is dropped.
struct Room(AccountId);

impl Room {
    fn take(account_id: AccountId) -> Result<Self, PageError> {
        // Before the entry is held, which locks its part of the map.
        let all: usize = SENDING.iter().map(|it| *it.value()).sum();
        let mut own = SENDING.entry(account_id).or_default();
        *own += 1;
        let fits = *own <= AT_ONCE_PER_ACCOUNT && all < AT_ONCE;
        drop(own);
        let room = Self(account_id);
        if fits { Ok(room) } else { Err(PageError::Busy) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        SENDING.entry(self.0).and_modify(|own| *own -= 1);
        SENDING.remove_if(&self.0, |_, own| *own == 0);
    }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Json,
}

impl Format {
    /// By the end of an address.
    ///
    /// # Errors
    /// [`PageError::NotFound`] for any other.
    pub(super) fn parse(text: &str) -> Result<Self, PageError> {
        match text {
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            _ => Err(PageError::NotFound),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    fn begin(self, fields: &[&str]) -> String {
        match self {
            Self::Csv => fields.join(","),
            Self::Json => "[".to_owned(),
        }
    }

    fn row(self, fields: &[&str], cells: &[String], is_first: bool) -> String {
        match self {
            Self::Csv => {
                let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
                format!("\r\n{}", cells.join(","))
            }
            Self::Json => {
                let pairs = fields.iter().zip(cells).map(|(name, text)| {
                    let text = serde_json::Value::from(text.as_str());
                    format!("{}:{text}", serde_json::Value::from(*name))
                });
                let comma = if is_first { "" } else { "," };
                format!("{comma}\n{{{}}}", pairs.collect::<Vec<_>>().join(","))
            }
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Csv => "\r\n",
            Self::Json => "\n]\n",
        }
    }
}

/// A cell of CSV. One that begins like a formula would be run by spreadsheets (OWASP, CSV
/// injection); the same is done in `static/tables.js`.
fn cell(text: &str) -> String {
    let is_number = text.strip_prefix('-').unwrap_or(text);
    let is_number =
        !is_number.is_empty() && is_number.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    let safe = match text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    match safe.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", safe.replace('"', "\"\"")),
        false => safe,
    }
}

/// A file of this name with these fields, for an account. `read` is given where a page begins, and answers its rows
/// and where the next one does.
///
/// # Errors
/// [`PageError::Busy`] when too many are being sent. What goes wrong later breaks the file off.
pub(super) fn file<Read, Rows>(
    account_id: AccountId,
    name: &str,
    format: Format,
    fields: &'static [&'static str],
    read: Read,
) -> Result<HttpResponse, PageError>
where
    Read: FnMut(Option<Uuid>) -> Rows + 'static,
    Rows: Future<Output = Result<(Vec<Vec<String>>, Option<Uuid>), PageError>> + 'static,
{
    let room = Room::take(account_id)?;
    let writing = Writing {
        format,
        fields,
        read,
        ready: VecDeque::from([format.begin(fields)]),
        place: Place::Next(None),
        is_first: true,
        _room: room,
    };
    let parts = stream::unfold(writing, async |mut writing| {
        let part = writing.part().await?;
        Some((part.map(Bytes::from), writing))
    });
    let disposition = format!("attachment; filename=\"{name}.{}\"", format.extension());
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, format.content_type()))
        .insert_header((CONTENT_DISPOSITION, disposition))
        .streaming(parts))
}

/// A file that is being sent.
struct Writing<Read> {
    format: Format,
    fields: &'static [&'static str],
    read: Read,
    ready: VecDeque<String>,
    place: Place,
    is_first: bool,
    _room: Room,
}

enum Place {
    Next(Option<Uuid>),
    End,
}

impl<Read, Rows> Writing<Read>
where
    Read: FnMut(Option<Uuid>) -> Rows,
    Rows: Future<Output = Result<(Vec<Vec<String>>, Option<Uuid>), PageError>>,
{
    /// What to send next; `None` at the end.
    async fn part(&mut self) -> Option<Result<String, PageError>> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Some(Ok(part));
            }
            let Place::Next(after) = self.place else { return None };
            let (rows, next) = match (self.read)(after).await {
                Ok(page) => page,
                Err(error) => {
                    self.place = Place::End;
                    return Some(Err(error));
                }
            };
            let mut text = String::new();
            for cells in rows {
                text += &self.format.row(self.fields, &cells, self.is_first);
                self.is_first = false;
            }
            match next {
                Some(next) => self.place = Place::Next(Some(next)),
                None => {
                    text += self.format.end();
                    self.place = Place::End;
                }
            }
            if !text.is_empty() {
                self.ready.push_back(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    const WHOLE: AccountId = AccountId(Uuid::from_u128(1));
    const BROKEN: AccountId = AccountId(Uuid::from_u128(2));

    async fn written(format: Format) -> String {
        let pages = [
            vec![vec!["1".to_owned(), "=a,\"b\"".to_owned()]],
            vec![],
            vec![vec!["-2.5".to_owned(), "-x".to_owned()]],
        ];
        let read = move |after: Option<Uuid>| {
            let page = after.map_or(0, |after| after.as_u128() as usize);
            let next = (page < 2).then(|| Uuid::from_u128(page as u128 + 1));
            std::future::ready(Ok((pages[page].clone(), next)))
        };
        let response = file(WHOLE, "logs", format, &["id", "text"], read).unwrap();
        let disposition = response.headers().get(CONTENT_DISPOSITION).unwrap().to_str().unwrap();
        assert!(disposition.ends_with(&format!("\"logs.{}\"", format.extension())));
        let body = to_bytes(response.into_body()).await.unwrap_or_else(|_| panic!("no body"));
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[actix_web::test]
    async fn a_file_has_every_page_and_no_formulas() {
        let csv = written(Format::Csv).await;
        assert_eq!(csv, "id,text\r\n1,\"'=a,\"\"b\"\"\"\r\n-2.5,'-x\r\n");
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json).await).unwrap();
        assert_eq!(json[0]["text"], "=a,\"b\"");
        assert_eq!((&json[1]["id"], json.as_array().unwrap().len()), (&"-2.5".into(), 2));
    }

    #[actix_web::test]
    async fn a_file_that_cannot_be_read_to_its_end_is_broken_off() {
        let read = |_| std::future::ready(Err(PageError::Busy));
        let response = file(BROKEN, "logs", Format::Csv, &["id"], read).unwrap();
        assert!(to_bytes(response.into_body()).await.is_err());
    }

    #[test]
    fn an_account_has_room_for_two_and_leaves_it_to_others() {
        let [one, other] = [7, 8].map(|id| AccountId(Uuid::from_u128(id)));
        let first = Room::take(one).unwrap();
        let second = Room::take(one).unwrap();
        assert!(Room::take(one).is_err());
        assert!(Room::take(other).is_ok());
        drop(second);
        assert!(Room::take(one).is_ok());
        drop(first);
        assert!(!SENDING.contains_key(&one) && !SENDING.contains_key(&other));
    }
}
