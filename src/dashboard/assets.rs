//! The style sheet, scripts and icons: part of the program, so that nothing has to be installed
//! beside it.
//!
//! Their address contains a hash of all of them. Scripts name each other relatively and so stay
//! within one version, and browsers may keep them for ever.

use std::collections::HashMap;
use std::fmt;
use std::io::Write as _;
use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY,
};
use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::error::page::PageError;

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($name:literal, $kind:ident) => {
        ($name, $kind, include_bytes!(concat!("../../static/", $name)))
    };
}

/// Every file of `static/` that is served: its name, its type, its bytes.
const FILES: [(&str, &str, &[u8]); 30] = [
    asset!("dashboard.css", CSS),
    asset!("playground.css", CSS),
    asset!("icons.svg", SVG),
    asset!("favicon.svg", SVG),
    asset!("app.js", SCRIPT),
    asset!("copy.js", SCRIPT),
    asset!("dialogs.js", SCRIPT),
    asset!("element.js", SCRIPT),
    asset!("live.js", SCRIPT),
    asset!("menus.js", SCRIPT),
    asset!("playground.js", SCRIPT),
    asset!("playground-answer.js", SCRIPT),
    asset!("playground-api.js", SCRIPT),
    asset!("playground-code.js", SCRIPT),
    asset!("playground-controls.js", SCRIPT),
    asset!("playground-estimate.js", SCRIPT),
    asset!("playground-form.js", SCRIPT),
    asset!("playground-json.js", SCRIPT),
    asset!("playground-key.js", SCRIPT),
    asset!("playground-life.js", SCRIPT),
    asset!("playground-manage.js", SCRIPT),
    asset!("playground-models.js", SCRIPT),
    asset!("playground-outputs.js", SCRIPT),
    asset!("playground-panes.js", SCRIPT),
    asset!("playground-schema.js", SCRIPT),
    asset!("regions.js", SCRIPT),
    asset!("rows.js", SCRIPT),
    asset!("tables.js", SCRIPT),
    asset!("theme.js", SCRIPT),
    asset!("toasts.js", SCRIPT),
];

/// The first 12 hexadecimal digits of the SHA-256 of all files.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (name, _, bytes) in FILES {
        hash.update(name);
        hash.update(bytes);
    }
    hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
});

/// The address of a file, as text.
pub(super) struct AssetUrl(&'static str);

/// Where a file is: `/static/<version>/<name>`.
pub(super) fn url(name: &'static str) -> AssetUrl {
    debug_assert!(FILES.iter().any(|(known, ..)| *known == name), "no asset {name}");
    AssetUrl(name)
}

impl fmt::Display for AssetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/static/{}/{}", *VERSION, self.0)
    }
}

/// All files as most browsers take them: nothing in them is secret, so their length may say
/// what it will, and it is a third.
static ZIPPED: LazyLock<HashMap<&'static str, Bytes>> = LazyLock::new(|| {
    let zip = |(name, _, bytes): &(&'static str, _, &[u8])| {
        let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory does not fail; if it did, the file would be sent as it is.
        zipped.write_all(bytes).ok()?;
        Some((*name, Bytes::from(zipped.finish().ok()?)))
    };
    FILES.iter().filter_map(zip).collect()
});

pub(super) async fn get_asset(
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let (version, name) = path.into_inner();
    let found = FILES.iter().find(|(known, ..)| *known == name);
    // A page from before an update must not keep what is new under the old address.
    let (_, kind, bytes) = found.filter(|_| version == *VERSION).ok_or(PageError::NotFound)?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, *kind))
        .insert_header((VARY, "Accept-Encoding"))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"));
    Ok(match ZIPPED.get(name.as_str()).filter(|_| takes_gzip(&request)) {
        Some(zipped) => response.insert_header((CONTENT_ENCODING, "gzip")).body(zipped.clone()),
        None => response.body(*bytes),
    })
}

fn takes_gzip(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(ACCEPT_ENCODING).and_then(|it| it.to_str().ok());
    accepted.is_some_and(|it| it.split(',').any(|coding| coding.trim() == "gzip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/static");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with("LICENSE"))
            .collect();
        names.sort();
        let mut served: Vec<&str> = FILES.iter().map(|(name, ..)| *name).collect();
        served.sort_unstable();
        assert_eq!(names, served);
    }

    #[test]
    fn scripts_import_only_what_is_served() {
        for (name, kind, bytes) in FILES {
            let text = String::from_utf8_lossy(bytes);
            if kind != SCRIPT {
                continue;
            }
            for imported in text.split("from \"./").skip(1) {
                let imported = imported.split('"').next().unwrap();
                assert!(FILES.iter().any(|(known, ..)| *known == imported), "{name}: {imported}");
            }
        }
    }
}
