//! A page as it came.

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{RequestBuilder, StatusCode};

#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Page {
    /// Sends a request and reads the answer.
    pub async fn read(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    /// A header; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where it leads instead; empty when it does not.
    pub fn location(&self) -> &str {
        self.header(LOCATION.as_str())
    }

    /// What is said on the page after it.
    pub fn flash(&self) -> String {
        self.header(SET_COOKIE.as_str()).replace('+', " ")
    }

    pub fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// The value of the first input with this name or id.
    pub fn value(&self, name: &str) -> &str {
        let at = [format!("name=\"{name}\""), format!("id=\"{name}\"")];
        let at = at.iter().find_map(|attribute| self.text.find(attribute));
        let at = at.unwrap_or_else(|| panic!("no input {name} in {}", self.text));
        self.text[at..].split("value=\"").nth(1).unwrap().split('"').next().unwrap()
    }

    /// Sees to it that it is a page with this on it.
    pub fn shows(&self, text: &str) -> &Self {
        assert!(self.has(text), "{text:?} is not in {}", self.text);
        self
    }

    /// Sees to it that this is not on it.
    pub fn hides(&self, text: &str) -> &Self {
        assert!(!self.has(text), "{text:?} is in {}", self.text);
        self
    }

    /// Sees to it that it was answered like this.
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}
