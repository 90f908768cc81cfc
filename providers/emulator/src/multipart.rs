//! Reading a form of several parts from a body that is here as a whole.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::call::Call;

/// More than any provider takes.
const PARTS_MAX: usize = 64;

/// One part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// There is one if it is a file.
    pub(crate) file_name: Option<String>,
    pub(crate) bytes: Bytes,
}

/// The parts of a call's body; `None` when it is no such form.
pub(crate) fn parts(call: &Call) -> Option<Vec<Part>> {
    let content_type = call.header("content-type")?;
    let rest = content_type.strip_prefix("multipart/form-data")?;
    let boundary = parameter(rest, "boundary")?;
    split(&call.body, &boundary)
}

/// The texts of a form as if they were the fields of a JSON object.
pub(crate) fn texts(parts: &[Part]) -> Map<String, Value> {
    let texts = parts.iter().filter(|part| part.file_name.is_none());
    let text = |part: &Part| String::from_utf8_lossy(&part.bytes).into_owned();
    texts.map(|part| (part.name.clone(), Value::String(text(part)))).collect()
}

fn split(body: &Bytes, boundary: &str) -> Option<Vec<Part>> {
    let line = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut at = find(body, line.as_bytes(), 0)? + line.len();
    loop {
        if body.get(at..at + 2)? == b"--" {
            return Some(parts);
        }
        let head_end = find(body, b"\r\n\r\n", at)?;
        let next = find(body, format!("\r\n{line}").as_bytes(), head_end + 2)?;
        let start = (head_end + 4).min(next);
        let head = std::str::from_utf8(&body[at..head_end]).ok()?;
        let disposition = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
        if parts.len() == PARTS_MAX {
            return None;
        }
        parts.push(Part {
            name: parameter(disposition, "name")?,
            file_name: parameter(disposition, "filename"),
            bytes: body.slice(start..next),
        });
        at = next + 2 + line.len();
    }
}

/// The value of `; name="value"`, in quotes or not.
fn parameter(text: &str, name: &str) -> Option<String> {
    let parameters = text.split(';').skip(1);
    let value = parameters
        .filter_map(|parameter| parameter.trim().split_once('='))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(value.1.trim().trim_matches('"').to_owned())
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_files_come_out_as_they_went_in() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na fox\r\n\
            --x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\
            Content-Type: image/png\r\n\r\n\u{1}--y\r\n\r\n--x--\r\n";
        let parts = split(&Bytes::from(body), "x").unwrap();
        assert_eq!(texts(&parts)["prompt"], "a fox");
        assert_eq!(parts[1].file_name.as_deref(), Some("a.png"));
        assert_eq!(&parts[1].bytes[..], b"\x01--y\r\n");
    }

    #[test]
    fn a_form_without_end_is_none() {
        let body = Bytes::from("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb");
        assert_eq!(split(&body, "x"), None);
        assert_eq!(split(&Bytes::new(), "x"), None);
    }
}
