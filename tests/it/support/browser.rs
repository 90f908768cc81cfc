//! A browser without eyes: keeps cookies, sends forms with what the page before has given it, and
//! follows redirects when it is told to.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};

use super::app::TestApp;
use super::page::Page;

pub struct Browser {
    client: Client,
    url: String,
    pub cookies: BTreeMap<String, String>,
    /// Of the page before.
    pub csrf: String,
}

impl Browser {
    pub fn of(app: &TestApp) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let (cookies, csrf) = (BTreeMap::new(), String::new());
        Self { client, url: app.url.clone(), cookies, csrf }
    }

    /// One in which somebody has signed in.
    pub async fn signed_in(app: &TestApp, email: &str, password: &str) -> Self {
        let mut browser = Self::of(app);
        browser.sign_in(email, password).await.is(303);
        browser.get("/home/settings").await.is(200);
        browser
    }

    pub async fn sign_in(&mut self, email: &str, password: &str) -> Page {
        self.post("/sign-in", &[("email", email), ("password", password)]).await
    }

    pub async fn get(&mut self, path: &str) -> Page {
        let request = self.client.get(format!("{}{path}", self.url));
        self.send(request.header("accept", "text/html")).await
    }

    /// Sends a form of the page before.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = vec![("csrf", self.csrf.clone())];
        form.extend(fields.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        let body = body.extend_pairs(form).finish();
        let request = self.client.post(format!("{}{path}", self.url)).header(ORIGIN, &self.url);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(body)).await
    }

    /// Sends a form and looks at where it leads.
    pub async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.post(path, fields).await;
        let to = page.is(303).location().to_owned();
        self.get(&to).await
    }

    async fn send(&mut self, request: RequestBuilder) -> Page {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request =
            request.header(COOKIE, cookies.join("; ")).header(USER_AGENT, "Firefox/1 Linux");
        let page = Page::read(request).await;
        for set in page.headers.get_all(SET_COOKIE) {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => drop(self.cookies.remove(name)),
                value => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        if let Some((_, rest)) = page.text.split_once("name=\"csrf\" value=\"") {
            self.csrf = rest.split('"').next().unwrap().to_owned();
        }
        page
    }
}
