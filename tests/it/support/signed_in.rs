//! Somebody at the dashboard, by requests as a browser makes them.

use reqwest::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use url::form_urlencoded::Serializer;

use super::app::TestApp;

/// A browser that is signed in by its cookie.
pub struct Browser {
    client: Client,
    url: String,
    token: &'static str,
}

/// A page as it came.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub html: String,
    /// Where it leads instead.
    pub location: String,
    /// What is said on the page after it.
    pub flash: String,
}

impl Page {
    async fn read(response: Response) -> Self {
        let header = |name| {
            let value = response.headers().get(name).map(|value| value.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        };
        let (status, location, flash) =
            (response.status(), header(LOCATION), header(SET_COOKIE).replace('+', " "));
        Self { status, location, flash, html: response.text().await.unwrap() }
    }

    pub fn has(&self, text: &str) -> bool {
        self.html.contains(text)
    }

    /// The value of the first input with this name or id.
    pub fn value(&self, name: &str) -> &str {
        let at = [format!("name=\"{name}\""), format!("id=\"{name}\"")];
        let at = at.iter().find_map(|attribute| self.html.find(attribute));
        let at = at.unwrap_or_else(|| panic!("no input {name} in {}", self.html));
        self.html[at..].split("value=\"").nth(1).unwrap().split('"').next().unwrap()
    }
}

impl Browser {
    /// Ada, who answers for every account that is there, and Ben, who is a member of the team if
    /// there is one.
    pub async fn of_ada_and_ben(app: &TestApp) -> (Self, Self) {
        app.script(include_str!("signed_in/people.sql")).await;
        (Self::with(app, "a-browser-of-ada"), Self::with(app, "a-browser-of-ben"))
    }

    fn with(app: &TestApp, token: &'static str) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { client, url: app.url.clone(), token }
    }

    pub async fn get(&self, path: &str) -> Page {
        let request = self.client.get(format!("{}{path}", self.url));
        let request = request.header(COOKIE, format!("babysea={}", self.token));
        Page::read(request.header(ACCEPT, "text/html").send().await.unwrap()).await
    }

    /// Sends a form with what the page it is on knows.
    pub async fn post(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.get(page).await.value("csrf").to_owned();
        let mut fields = fields.to_vec();
        fields.push(("csrf", &csrf));
        self.post_bare(path, &fields).await
    }

    /// Sends a form as it is.
    pub async fn post_bare(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.post(format!("{}{path}", self.url)).body(body);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.header(COOKIE, format!("babysea={}", self.token));
        Page::read(request.send().await.unwrap()).await
    }
}
