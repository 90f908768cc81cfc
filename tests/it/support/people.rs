//! People with a browser each that is signed in, arranged in the database.

use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE, COOKIE};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use super::app::TestApp;
use super::database::random;
use super::page::Page;

/// As in `people.sql`.
const ADA: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_00a1);
const BEN: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_00b1);

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
    client: Client,
    url: String,
}

impl Person {
    /// Ada, who answers for every account that is there and runs the server, and Ben, who is a
    /// member of the team if there is one.
    pub async fn ada_and_ben(app: &TestApp) -> (Self, Self) {
        app.script(include_str!("people.sql")).await;
        (Self::with(app, ADA, "a-browser-of-ada"), Self::with(app, BEN, "a-browser-of-ben"))
    }

    fn with(app: &TestApp, id: Uuid, token: &str) -> Self {
        Self { id, token: token.to_owned(), client: browser(), url: app.url.clone() }
    }

    /// Makes a user, on SQLite.
    pub async fn new(app: &TestApp, name: &str) -> Self {
        let person = Self::with(app, random(), &random().to_string());
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
    pub async fn get(&self, path: &str) -> Page {
        let request = self.client.get(format!("{}{path}", self.url)).header(ACCEPT, "text/html");
        Page::read(request.header(COOKIE, self.header())).await
    }

    /// Sends a form, with the token of the page that it is on.
    pub async fn post(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.get(page).await;
        self.post_as_it_is(path, &[fields, &[("csrf", page.value("csrf"))]].concat()).await
    }

    /// Sends a form as it is.
    pub async fn post_as_it_is(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let request = self.client.post(format!("{}{path}", self.url)).body(body.finish());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        Page::read(request.header(COOKIE, self.header())).await
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
