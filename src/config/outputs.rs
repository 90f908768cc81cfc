//! Where output files are kept.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::reader::Reader;

/// Where output files are kept.
#[derive(Debug, Clone)]
pub enum OutputsConfig {
    /// An absolute path.
    Directory(PathBuf),
    /// A bucket of a server that speaks S3.
    Bucket(BucketConfig),
}

#[derive(Debug, Clone)]
pub struct BucketConfig {
    pub name: String,
    /// What every key begins with; may be empty.
    pub prefix: String,
    /// Absent: that of AWS for the region.
    pub endpoint: Option<Url>,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    /// Whether the bucket stands in the path and not in the host.
    pub path_style: bool,
}

/// What `outputs.url` says.
enum Place {
    Directory(PathBuf),
    Bucket { name: String, prefix: String },
}

impl OutputsConfig {
    /// `default` is the directory when nothing else is said.
    pub(super) fn read(reader: &mut Reader, default: PathBuf) -> Self {
        let place = reader.parsed("outputs.url", place, "file:PATH or s3://BUCKET/PREFIX");
        let region = reader.parsed("outputs.region", |text| Some(text.to_owned()), "a text");
        let endpoint = reader.parsed("outputs.endpoint", endpoint, "https://host or http://host");
        let access_key_id = reader.parsed("outputs.access_key_id", plain, "a text without spaces");
        let secret_access_key = reader.secret("outputs.secret_access_key");
        let path_style = reader.flag("outputs.path_style");
        let (name, prefix) = match place {
            None => return Self::Directory(default),
            Some(Place::Directory(path)) => return Self::Directory(path),
            Some(Place::Bucket { name, prefix }) => (name, prefix),
        };
        let mut need = |key: &str, given: bool| {
            if !given {
                reader.problem(key, "is needed for a bucket");
            }
        };
        need("outputs.region", region.is_some());
        need("outputs.access_key_id", access_key_id.is_some());
        need("outputs.secret_access_key", secret_access_key.is_some());
        Self::Bucket(BucketConfig {
            name,
            prefix,
            endpoint,
            region: region.unwrap_or_default(),
            access_key_id: access_key_id.unwrap_or_default(),
            secret_access_key: secret_access_key.unwrap_or_default(),
            path_style,
        })
    }
}

fn place(text: &str) -> Option<Place> {
    if let Some(path) = text.strip_prefix("file:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = Some(path).filter(|path| !path.is_empty());
        return path.and_then(|path| std::path::absolute(path).ok()).map(Place::Directory);
    }
    let rest = text.strip_prefix("s3://")?;
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let segment = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(plain)
    };
    let prefix = prefix.trim_end_matches('/');
    let valid = segment(name) && (prefix.is_empty() || prefix.split('/').all(segment));
    valid.then(|| Place::Bucket { name: name.to_owned(), prefix: prefix.to_owned() })
}

fn endpoint(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (bare && matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn plain(text: &str) -> Option<String> {
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.to_owned())
}
