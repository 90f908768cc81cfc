//! Outputs. The URL is signed and is all that is needed, so that it can be put into a page
//! (`spec/contract.md` 7.4); it expires when the file is not kept any more.
//!
//! They pass through this server, also from a bucket: the bucket stays private and may be in a
//! private network, and a link looks, expires and is refused in one way.

use std::io;
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::file_urls::LinkRefusal;
use futures_util::{StreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, GetResult};
use providers::OutputFormat;
use serde::Deserialize;

use super::AppState;
use crate::error::{ApiError, ErrorCode};

/// Longest key that is looked for.
const KEY_BYTES_MAX: usize = 512;

pub(super) async fn get_file(
    state: Data<AppState>,
    key: Path<String>,
    link: Option<Query<LinkIn>>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let not_found = || ApiError::new(ErrorCode::RouteNotFound);
    let (path, format) = read_key(&key).ok_or_else(not_found)?;
    let link = link.map(Query::into_inner).unwrap_or_default();
    let left = match state.files.check(&key, link.expires, &link.signature, state.clock.now()) {
        Ok(left) => left,
        Err(refusal) => return Ok(refuse(refusal)),
    };
    let range = request.headers().get(RANGE).and_then(|it| it.to_str().ok()).and_then(read_range);
    let head = request.method() == Method::HEAD;
    let options = GetOptions { range: range.clone(), head, ..GetOptions::default() };
    let found = match state.outputs.get_opts(&path, options).await {
        // A range that lies outside may be ignored (RFC 9110, 14.2); what is missing is missing
        // with and without one.
        Err(_) if range.is_some() => {
            let whole = GetOptions { head, ..GetOptions::default() };
            state.outputs.get_opts(&path, whole).await
        }
        found => found,
    };
    match found {
        Ok(found) => Ok(answer(found, format, left, head)),
        Err(object_store::Error::NotFound { .. }) => Err(not_found()),
        Err(error) => Err(ApiError::new(ErrorCode::StorageError).because(error)),
    }
}

/// What follows the key; without it nothing is signed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct LinkIn {
    /// Seconds since 1970.
    expires: i64,
    signature: String,
}

/// For people: whoever follows a link is no client of the API.
fn refuse(refusal: LinkRefusal) -> HttpResponse {
    let status = match refusal {
        LinkRefusal::Forged => StatusCode::FORBIDDEN,
        LinkRefusal::Expired => StatusCode::GONE,
    };
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(format!("{refusal}\n"))
}

/// `left` is how long the link is still good.
fn answer(found: GetResult, format: OutputFormat, left: Duration, head: bool) -> HttpResponse {
    let (size, range) = (found.meta.size, found.range.clone());
    let length = range.end.saturating_sub(range.start);
    let mut response = HttpResponse::Ok();
    if !head && length < size {
        let last = range.end.saturating_sub(1);
        response = HttpResponse::PartialContent();
        response.insert_header((CONTENT_RANGE, format!("bytes {}-{last}/{size}", range.start)));
    }
    response
        .insert_header((CONTENT_TYPE, format.content_type()))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // Never anything but a picture or a film, whatever is in it.
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .insert_header((CONTENT_DISPOSITION, "inline"))
        .insert_header((ACCEPT_RANGES, "bytes"))
        // A key is never used for other bytes, and nobody's memory should keep them for longer
        // than we do.
        .insert_header((CACHE_CONTROL, format!("private, max-age={}, immutable", left.as_secs())));
    if head {
        // The length of what GET would send, and nothing of it.
        return response.body(SizedStream::new(size, stream::empty::<io::Result<Bytes>>()));
    }
    let bytes = found.into_stream().map(|chunk| chunk.map_err(io::Error::other));
    response.body(SizedStream::new(length, bytes))
}

/// A key of ours: plain segments, and one of our formats. Everything else, `..` and hidden
/// files first, is refused before the store sees it.
fn read_key(key: &str) -> Option<(ObjectPath, OutputFormat)> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let segment =
        |text: &str| !text.is_empty() && !text.starts_with('.') && text.bytes().all(plain);
    if key.len() > KEY_BYTES_MAX || !key.split('/').all(segment) {
        return None;
    }
    let (_, extension) = key.rsplit_once('.')?;
    Some((ObjectPath::parse(key).ok()?, OutputFormat::parse(extension)?))
}

/// A single range; several at once are answered with the whole file.
fn read_range(header: &str) -> Option<GetRange> {
    let (first, last) = header.strip_prefix("bytes=")?.trim().split_once('-')?;
    match (first, last) {
        ("", last) => last.parse().ok().filter(|last| *last > 0).map(GetRange::Suffix),
        (first, "") => first.parse().ok().map(GetRange::Offset),
        (first, last) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then(|| GetRange::Bounded(first..last.saturating_add(1)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_keys_of_our_formats_are_looked_for() {
        for good in ["0199/0.png", "a_b-c/d/12.webp", "x.mp4", "a..b/c.jpg"] {
            assert!(read_key(good).is_some(), "{good}");
        }
        let long = "a".repeat(600) + ".png";
        for bad in [
            "",
            ".png",
            "a",
            "a.txt",
            "a/../b.png",
            "../b.png",
            "/a.png",
            "a//b.png",
            "a/.b.png",
            "a\\b.png",
            "a\0.png",
            "a%2f.png",
            "a b.png",
            "ä.png",
            "a.png/",
            "C:/a.png",
            &long,
        ] {
            assert!(read_key(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn ranges_are_read_as_browsers_send_them() {
        assert_eq!(read_range("bytes=0-0"), Some(GetRange::Bounded(0..1)));
        assert_eq!(read_range("bytes=5-"), Some(GetRange::Offset(5)));
        assert_eq!(read_range("bytes=-5"), Some(GetRange::Suffix(5)));
        for ignored in ["bytes=-0", "bytes=5-4", "bytes=-", "bytes=0-1,4-5", "lines=1-2", ""] {
            assert_eq!(read_range(ignored), None, "{ignored}");
        }
    }
}
