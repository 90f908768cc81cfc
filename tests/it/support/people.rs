//! People with a browser each, arranged beside a server on SQLite.

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use super::app::TestApp;
use super::database::random;

const USER: &str = "INSERT INTO users (id, email, name, operator, created_at)
     SELECT $1, $2, $3, 0, created_at FROM accounts LIMIT 1";
const SESSION: &str =
    "INSERT INTO sessions (user_id, id, token_hash, created_at, last_seen_at, expires_at)
     SELECT $1, $2, $3, strftime('%FT%R:%fZ', 'now'), strftime('%FT%R:%fZ', 'now'), strftime('%FT%R:%fZ', 'now', '+1 day')";
const OWN: &str = "UPDATE accounts SET primary_owner_id = $2 WHERE id = $1";
const NAME: &str = "UPDATE accounts SET name = $2, slug = $3 WHERE id = $1";
const JOIN: &str = "INSERT INTO members (account_id, user_id, role, joined_at)
     SELECT $1, $2, $3, created_at FROM users LIMIT 1";

/// Somebody who is signed in.
pub struct Person {
    pub id: Uuid,
    token: String,
}

impl Person {
    /// Makes a user with a signed-in browser.
    pub async fn new(app: &TestApp, name: &str) -> Self {
        let person = Self { id: random(), token: random().to_string() };
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let mut database = database(app).await;
        let user = sqlx::query(USER).bind(person.id).bind(email).bind(name);
        user.execute(&mut database).await.unwrap();
        let hash: String =
            Sha256::digest(&person.token).iter().map(|byte| format!("{byte:02x}")).collect();
        let session = sqlx::query(SESSION).bind(person.id).bind(random()).bind(hash);
        session.execute(&mut database).await.unwrap();
        person
    }

    /// The cookie of that browser.
    pub fn cookie(&self) -> Value {
        json!({ "name": "babysea", "value": self.token })
    }

    /// Opens a page; redirects are answers.
    pub async fn get(&self, app: &TestApp, path: &str) -> Page {
        Page::read(browser().get(format!("{}{path}", app.url)).header(COOKIE, self.header())).await
    }

    /// Sends a form, with the token of the page that it is on.
    pub async fn post(
        &self,
        app: &TestApp,
        page: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Page {
        let text = self.get(app, page).await.text;
        let csrf = text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let fields = [fields, &[("csrf", csrf)]].concat();
        self.post_as_it_is(app, path, &fields).await
    }

    /// Sends a form as it is.
    pub async fn post_as_it_is(&self, app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let request = browser()
            .post(format!("{}{path}", app.url))
            .header(COOKIE, self.header())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.finish());
        Page::read(request).await
    }

    fn header(&self) -> String {
        format!("babysea={}", self.token)
    }

    /// Makes this person a member, as `owner` or `member`.
    pub async fn join(&self, app: &TestApp, account_id: &str, role: &str) {
        let account_id: Uuid = account_id.parse().unwrap();
        let join = sqlx::query(JOIN).bind(account_id).bind(self.id).bind(role);
        join.execute(&mut database(app).await).await.unwrap();
    }

    /// Makes this person the primary owner.
    pub async fn own(&self, app: &TestApp, account_id: &str) {
        self.join(app, account_id, "owner").await;
        let id: Uuid = account_id.parse().unwrap();
        let own = sqlx::query(OWN).bind(id).bind(self.id);
        own.execute(&mut database(app).await).await.unwrap();
    }
}

/// An answer to a browser.
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
}

/// A browser that follows no redirect by itself.
pub fn browser() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

/// Gives an account a name and a slug.
pub async fn name(app: &TestApp, account_id: &str, name: &str, slug: &str) {
    let id: Uuid = account_id.parse().unwrap();
    let update = sqlx::query(NAME).bind(id).bind(name).bind(slug);
    update.execute(&mut database(app).await).await.unwrap();
}

async fn database(app: &TestApp) -> SqliteConnection {
    SqliteConnection::connect(&app.database_url).await.unwrap()
}
