//! Over a real database, by requests as a browser makes them.

use actix_web::cookie::Cookie;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, HttpResponse, web};
use actors::account::Plan;
use actors::id::{AccountId, InvitationId, MailId};
use actors::mail::{Mail, NewMail};
use actors::member::Invitation;
use actors::money::Credits;
use actors::ports::people::UserStore;
use actors::ports::teams::{InvitationStore, NewInvitation, TeamStore};
use serde::Deserialize;
use tempfile::TempDir;

use super::*;
use crate::auth::fakes::{ManualClock, purpose_key};
use crate::config::{Config, Overrides};
use crate::identity::Context;
use crate::ids::SystemIds;
use crate::people::{NewUser, create_user};
use crate::secrets::{MasterKey, Purpose};
use crate::store::{Db, Store};

#[derive(Deserialize)]
struct Note {
    note: String,
}

async fn page(here: Workspace) -> Result<HttpResponse, PageError> {
    here.require(Permission::View)?;
    Ok(HttpResponse::Ok().body(format!("{} {}", here.slug, here.role.as_str())))
}

async fn write(_: SignedIn, form: CsrfForm<Note>) -> HttpResponse {
    HttpResponse::Ok().body(form.0.note)
}

async fn console(_: Operator) -> HttpResponse {
    HttpResponse::Ok().finish()
}

async fn open(form: OpenForm<Note>) -> HttpResponse {
    HttpResponse::Ok().body(form.0.note)
}

/// A user of that name and address.
async fn made(context: &Context, (name, email): &(&str, String)) -> UserId {
    let new = NewUser { email: email.clone(), name: (*name).to_owned(), operator: false };
    create_user(context, new).await.unwrap().user.id
}

/// A team of somebody, and perhaps a member.
async fn team(context: &Context, slug: &str, owner: UserId, member: Option<UserId>) {
    let account = Account {
        id: AccountId(SystemIds.next()),
        name: slug.to_owned(),
        kind: AccountKind::Team,
        plan: Plan::Free,
        email: None,
        balance: Credits::ZERO,
        failover_on_moderation: false,
        suspended_at: None,
        created_at: context.clock.now(),
    };
    let (id, store) = (account.id, &context.store);
    store.create_team(account, slug, owner, 9, context.by()).await.unwrap().unwrap();
    let Some(member) = member else { return };
    let email = store.find_user(member).await.unwrap().unwrap().email;
    let now = context.clock.now();
    let invitation = Invitation {
        account_id: id,
        id: InvitationId(SystemIds.next()),
        email: email.clone(),
        role: Role::Member,
        created_at: now,
        expires_at: now + TimeDelta::days(1),
    };
    let mail = Mail::PasswordChanged;
    let id_of_mail = MailId(SystemIds.next());
    let mail = NewMail { id: id_of_mail, account_id: None, to: email, mail, at: now };
    let (hash, by) = ("a".repeat(64), context.by());
    let new = NewInvitation { invitation, token_hash: hash.clone(), mail, by };
    store.invite(id, owner, vec![new], 9).await.unwrap().unwrap();
    store.accept_invitation(&hash, member, context.by()).await.unwrap().unwrap();
}

/// A person with a personal account and, as a member, in a team.
struct Place {
    sessions: web::Data<Sessions>,
    clock: Arc<ManualClock>,
    user_id: UserId,
    _directory: TempDir,
}

impl Place {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = Some(directory.path().to_str().unwrap().to_owned());
        let config = Config::load(None, &Overrides { data_dir, ..Overrides::default() }).unwrap();
        let db = Db::connect(&config.storage.database, 2).await.unwrap();
        db.migrate().await.unwrap();
        let store = Store::without_writer(db, &MasterKey::load(&config).unwrap());
        let clock = ManualClock::new();
        let mut context = Context::new(store.clone(), &config);
        context.clock = Arc::clone(&clock) as _;
        let [ada, bob] = ["ada", "bob"].map(|name| (name, format!("{name}@example.com")));
        let user_id = made(&context, &ada).await;
        let other = made(&context, &bob).await;
        for (slug, member) in [("paper-lab", Some(user_id)), ("others", None)] {
            team(&context, slug, other, member).await;
        }
        let store = Arc::new(store);
        let sessions = web::Data::new(Sessions {
            sessions: Arc::clone(&store) as _,
            memberships: Arc::clone(&store) as _,
            notifications: store,
            clock: Arc::clone(&clock) as _,
            ids: Arc::new(SystemIds),
            form_key: purpose_key(Purpose::FormTokens),
            idle: config.people.session_idle,
            max: config.people.session_max,
            secure: true,
        });
        Self { sessions, clock, user_id, _directory: directory }
    }

    async fn sign_in(&self) -> Cookie<'static> {
        let request = TestRequest::default().insert_header((USER_AGENT, "Firefox"));
        self.sessions.begin(self.user_id, &request.to_http_request()).await.unwrap()
    }

    /// The status, the place to go to, and the text.
    async fn ask(&self, request: TestRequest) -> (StatusCode, Option<String>, String) {
        let app = App::new()
            .app_data(self.sessions.clone())
            .route("/home/{slug}/logs", web::get().to(page))
            .route("/operator", web::get().to(console))
            .route("/open", web::post().to(open))
            .route("/note", web::post().to(write));
        let service = init_service(app).await;
        let response = call_service(&service, request.to_request()).await;
        let status = response.status();
        let location = response.headers().get(LOCATION);
        let location = location.map(|location| location.to_str().unwrap().to_owned());
        let body = actix_web::test::read_body(response).await;
        (status, location, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str, cookie: &Cookie<'static>) -> (StatusCode, String) {
        let (status, _, text) = self.ask(TestRequest::get().uri(path).cookie(cookie.clone())).await;
        (status, text)
    }

    fn csrf(&self, cookie: &Cookie<'static>) -> String {
        self.sessions.csrf(cookie.value()).0
    }
}

#[actix_web::test]
async fn who_is_not_signed_in_is_led_to_where_one_signs_in() {
    let place = Place::new().await;
    let get = || TestRequest::get().uri("/home/personal/logs?page=2");
    let (status, location, _) = place.ask(get()).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(location.as_deref(), Some("/sign-in?next=%2Fhome%2Fpersonal%2Flogs%3Fpage%3D2"));
    for script in [("sec-fetch-mode", "cors"), ("accept", "text/event-stream")] {
        let (status, location, _) = place.ask(get().insert_header(script)).await;
        assert_eq!((status, location), (StatusCode::UNAUTHORIZED, None));
    }
    let forged = Cookie::new("__Host-babysea", "guessed");
    let (status, ..) = place.ask(get().cookie(forged)).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}

#[actix_web::test]
async fn a_workspace_is_named_by_the_path_and_only_there_for_its_members() {
    let place = Place::new().await;
    let cookie = place.sign_in().await;
    let answers = |path| place.get(path, &cookie);
    assert_eq!(
        answers("/home/personal/logs").await,
        (StatusCode::OK, "personal primary-owner".into())
    );
    assert_eq!(answers("/home/paper-lab/logs").await, (StatusCode::OK, "paper-lab member".into()));
    assert_eq!(answers("/home/others/logs").await.0, StatusCode::NOT_FOUND);
    assert_eq!(answers("/operator").await.0, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn a_form_has_to_come_from_our_own_page() {
    let place = Place::new().await;
    let (cookie, other) = (place.sign_in().await, place.sign_in().await);
    let post =
        |body: String| TestRequest::post().uri("/note").cookie(cookie.clone()).set_payload(body);
    let good = format!("csrf={}&note=a+b", place.csrf(&cookie));
    assert_eq!(place.ask(post(good.clone())).await.2, "a b");
    let by_script = post("note=c".to_owned()).insert_header(("x-csrf-token", place.csrf(&cookie)));
    assert_eq!(place.ask(by_script).await.2, "c");
    for forged in [
        post("note=a".to_owned()),
        post("csrf=&note=a".to_owned()),
        post(format!("csrf={}&note=a", place.csrf(&other))),
        post(good.clone()).insert_header(("sec-fetch-site", "cross-site")),
        TestRequest::post()
            .uri("/open")
            .set_payload("note=a")
            .insert_header(("origin", "https://evil.example")),
    ] {
        assert_eq!(place.ask(forged).await.0, StatusCode::FORBIDDEN);
    }
    let unreadable = post(format!("csrf={}", place.csrf(&cookie)));
    assert_eq!(place.ask(unreadable).await.0, StatusCode::BAD_REQUEST);
    let open = TestRequest::post().uri("/open").set_payload("note=d");
    assert_eq!(place.ask(open).await.2, "d");
}

#[actix_web::test]
async fn a_session_ends_by_disuse_by_age_and_by_hand() {
    let place = Place::new().await;
    let cookie = place.sign_in().await;
    let (idle, max) =
        (place.sessions.idle.as_millis() as i64, place.sessions.max.as_millis() as i64);
    let path = "/home/personal/logs";
    let mut age = 0;
    while age + idle - 1 < max {
        place.clock.forward(idle - 1);
        age += idle - 1;
        assert_eq!(place.get(path, &cookie).await.0, StatusCode::OK, "{age}");
    }
    place.clock.forward(max - age);
    assert_eq!(place.get(path, &cookie).await.0, StatusCode::SEE_OTHER, "too old");

    let cookie = place.sign_in().await;
    place.clock.forward(idle);
    assert_eq!(place.get(path, &cookie).await.0, StatusCode::SEE_OTHER, "unused for too long");
    assert!(place.sessions.list(place.user_id).await.unwrap().is_empty());
    assert_eq!(place.sessions.forget().await.unwrap(), 2);

    let cookie = place.sign_in().await;
    let request = TestRequest::default().cookie(cookie.clone()).to_http_request();
    let person = place.sessions.find(&request).await.unwrap().unwrap();
    let gone = place.sessions.end(&person).await.unwrap();
    assert_eq!(gone.value(), "");
    assert_eq!(place.get(path, &cookie).await.0, StatusCode::SEE_OTHER, "signed out");
}

#[actix_web::test]
async fn signing_in_again_replaces_the_token_of_this_browser() {
    let place = Place::new().await;
    let first = place.sign_in().await;
    let elsewhere = place.sign_in().await;
    let again = TestRequest::default().cookie(first.clone()).to_http_request();
    let second = place.sessions.begin(place.user_id, &again).await.unwrap();
    assert_ne!(first.value(), second.value());
    let path = "/home/personal/logs";
    assert_eq!(place.get(path, &first).await.0, StatusCode::SEE_OTHER);
    assert_eq!(place.get(path, &second).await.0, StatusCode::OK);
    assert_eq!(place.get(path, &elsewhere).await.0, StatusCode::OK);
    assert_eq!(place.sessions.list(place.user_id).await.unwrap().len(), 2);
}

#[actix_web::test]
async fn scripts_and_other_hosts_cannot_have_the_cookie() {
    let place = Place::new().await;
    let cookie = place.sign_in().await;
    assert_eq!((cookie.http_only(), cookie.secure()), (Some(true), Some(true)));
    assert_eq!(cookie.same_site(), Some(actix_web::cookie::SameSite::Lax));
    assert_eq!(
        (cookie.name(), cookie.path(), cookie.domain()),
        ("__Host-babysea", Some("/"), None)
    );
}
