//! One request as a wire sees it, and what it answers.

use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use serde_json::{Map, Value};

/// A request to one provider.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// What follows the provider's name, decoded and split.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Where the provider was reached: `http://host/replicate`.
    pub(crate) base: String,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What follows a word in `Authorization`.
    pub(crate) fn credential(&self, scheme: &str) -> Option<&str> {
        let (word, rest) = self.header("authorization")?.split_once(' ')?;
        (word.eq_ignore_ascii_case(scheme) && !rest.trim().is_empty()).then(|| rest.trim())
    }

    /// The body, if it is a JSON object.
    pub(crate) fn json(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The path as strings that can be matched.
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }
}

/// What a wire answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::bytes(status, "application/json", Bytes::from(body.to_string()))
    }

    pub(crate) fn bytes(status: u16, content_type: &'static str, body: Bytes) -> Self {
        Self { status, headers: Vec::new(), content_type, body }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::bytes(status, "text/plain", Bytes::new())
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}
