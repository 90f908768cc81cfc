//! Pages as a browser gets them: what they forbid, who is let in, and what is kept from whom.

use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::database::Backend;
use crate::support::page::Page;
use crate::support::people::{self, Person, browser};
use crate::support::wait;

const KEYS: &str = "/home/paper-lab/api-keys";

/// A team with an owner and a member, and its account's id.
async fn team(app: &TestApp) -> (Person, Person, String) {
    let (account, _) = app.account("5");
    people::name(app, &account, "Paper Lab", "paper-lab").await;
    let owner = Person::new(app, "Ada Lovelace").await;
    owner.own(app, &account).await;
    let member = Person::new(app, "Cleo Patra").await;
    member.join(app, &account, "member").await;
    (owner, member, account)
}

fn keys(app: &TestApp, account: &str) -> Vec<Value> {
    app.cli(&["key", "list", "--account", account])["apikeys"].as_array().unwrap().clone()
}

/// The key that a page shows this once.
fn shown_key(page: &Page) -> &str {
    let (_, rest) = page.text.split_once("data-secret value=\"").expect("no key is shown");
    rest.split('"').next().unwrap()
}

#[tokio::test]
async fn a_page_forbids_what_it_does_not_need_and_is_not_kept() {
    let app = TestApp::start(Backend::Sqlite).await;
    let (owner, ..) = team(&app).await;
    for path in [KEYS, "/home/paper-lab/none", "/theme"] {
        let page = owner.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
    }
}

#[tokio::test]
async fn files_are_kept_for_ever_under_the_address_of_their_version() {
    let app = TestApp::start(Backend::Sqlite).await;
    let (owner, ..) = team(&app).await;
    let page = owner.get(KEYS).await;
    let style = page.text.split("rel=\"stylesheet\" href=\"").nth(1).unwrap();
    let style = style.split('"').next().unwrap();
    let found = Page::read(browser().get(format!("{}{style}", app.url))).await;
    assert_eq!(found.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(found.header("cache-control"), "public, max-age=31536000, immutable");
    let zipped = browser().get(format!("{}{style}", app.url)).header("accept-encoding", "br, gzip");
    let zipped = Page::read(zipped).await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    assert_eq!(zipped.header("vary"), "Accept-Encoding");
    for path in ["/static/000000000000/dashboard.css", &style.replace("dashboard", "none")] {
        let none = Page::read(browser().get(format!("{}{path}", app.url))).await;
        assert_eq!((none.status.as_u16(), none.header("cache-control")), (404, "no-store"));
    }
}

#[tokio::test]
async fn the_playground_asks_nobody_who_they_are() {
    let app = TestApp::start(Backend::Sqlite).await;
    let get = async |path: &str| Page::read(browser().get(format!("{}{path}", app.url))).await;
    let page = get("/playground").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("data-model=\"sandbox/failover\""));
    let policy = page.header("content-security-policy");
    // Links to outputs lead there, whatever address a person has typed.
    let (images, films) =
        (format!("img-src 'self' {} ", app.url), format!("media-src 'self' {} ", app.url));
    for part in [images.as_str(), &films, "connect-src 'self';"] {
        assert!(policy.contains(part), "{policy}");
    }
    let model = get("/playground/models/sandbox/video").await.text;
    let model: Value = serde_json::from_str(&model).unwrap();
    assert_eq!(model["model_type"], "video");
    assert_eq!(model["model_fields"]["generation_duration"]["required"], true);
    assert_eq!(get("/playground/models/sandbox/none").await.status, 404);
}

#[tokio::test]
async fn the_api_answers_as_before_for_what_does_not_exist() {
    let app = TestApp::start(Backend::Sqlite).await;
    for path in ["/v1/none", "/none", "/homework", "/v1/home"] {
        let answer = Page::read(browser().get(format!("{}{path}", app.url))).await;
        assert_eq!(answer.status, 404);
        assert!(answer.header("content-type").starts_with("application/json"), "{path}");
    }
}

#[tokio::test]
async fn who_is_not_signed_in_is_led_to_where_one_signs_in() {
    let app = TestApp::start(Backend::Sqlite).await;
    for path in [KEYS, "/home/paper-lab/models"] {
        let page = Page::read(browser().get(format!("{}{path}", app.url))).await;
        assert_eq!(page.status, 303);
        assert!(page.header("location").starts_with("/sign-in?next=%2Fhome%2F"), "{path}");
    }
}

#[tokio::test]
async fn a_theme_is_chosen_and_nobody_is_led_away() {
    let app = TestApp::start(Backend::Sqlite).await;
    let choose = async |next: &str| {
        let form = format!("theme=dark&next={next}");
        let request = browser().post(format!("{}/theme", app.url)).body(form);
        Page::read(request.header("content-type", "application/x-www-form-urlencoded")).await
    };
    let chosen = choose("/home/personal").await;
    assert_eq!((chosen.status.as_u16(), chosen.header("location")), (303, "/home/personal"));
    assert!(chosen.header("set-cookie").starts_with("theme=dark;"));
    assert_eq!(choose("//evil.example").await.header("location"), "/");
}

#[tokio::test]
async fn a_key_is_made_and_shown_once() {
    let app = TestApp::start(Backend::Sqlite).await;
    let (owner, _, account) = team(&app).await;
    let fields = [("name", "ci"), ("preset", "generate_only"), ("allowed_ips", "")];
    let page = owner.post(&format!("{KEYS}?dialog=add"), KEYS, &fields).await;
    assert_eq!((page.status.as_u16(), page.header("cache-control")), (200, "no-store"));
    let key = shown_key(&page).to_owned();
    let works = app.get_as(&key, "/v1/content/list").send().await.unwrap();
    assert_eq!(works.status(), 200);
    let scopes = &keys(&app, &account)[0]["scopes"];
    assert_eq!(scopes.to_string(), r#"["generation:write","generation:read","library:read"]"#);
    for path in [KEYS.to_owned(), format!("{KEYS}?dialog=add"), format!("{KEYS}?view=full")] {
        assert!(!owner.get(&path).await.text.contains(&key), "{path}");
    }
}

#[tokio::test]
async fn a_key_lives_as_on_the_command_line() {
    let app = TestApp::start(Backend::Sqlite).await;
    let (owner, _, account) = team(&app).await;
    let id = keys(&app, &account)[0]["apikey_id"].as_str().unwrap().to_owned();
    let dialog = |name: &str| format!("{KEYS}?dialog={name}&id={id}");
    let rotate = format!("{KEYS}/{id}/rotate");
    let odd = owner.post(&dialog("rotate"), &rotate, &[("grace_hours", "5")]).await;
    assert_eq!(odd.status, 400, "not one of the seven");
    let rotated = owner.post(&dialog("rotate"), &rotate, &[("grace_hours", "168")]).await;
    assert!(rotated.text.contains("Key rotated successfully"));
    let works = app.get_as(shown_key(&rotated), "/v1/status").send().await.unwrap();
    assert_eq!(works.status(), 200);
    let again = owner.post(&dialog("delete"), &rotate, &[("grace_hours", "1")]).await;
    assert_eq!(again.status, 303);
    let told = owner.get(KEYS).await;
    assert!(!told.text.contains("Not rotated"), "the flash is a cookie of the browser");
    assert!(again.header("set-cookie").starts_with("flash=error=Not+rotated"));

    let revoke = format!("{KEYS}/{id}/revoke");
    let revoked = owner.post(&dialog("revoke"), &revoke, &[]).await;
    assert_eq!((revoked.status.as_u16(), revoked.header("location")), (303, KEYS));
    let status = |id: &str| {
        let found = keys(&app, &account).into_iter().find(|key| key["apikey_id"] == id);
        found.map(|key| key["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(status(&id).as_deref(), Some("revoked"));
    let delete = format!("{KEYS}/{id}/delete");
    assert_eq!(owner.post(&dialog("delete"), &delete, &[]).await.status, 303);
    assert_eq!(status(&id), None);
    assert_eq!(owner.post(&format!("{KEYS}?dialog=add"), &delete, &[]).await.status, 404);
}

#[tokio::test]
async fn a_member_sees_keys_and_cannot_touch_them() {
    let app = TestApp::start(Backend::Sqlite).await;
    let (owner, member, account) = team(&app).await;
    let id = keys(&app, &account)[0]["apikey_id"].as_str().unwrap().to_owned();
    assert!(member.get(KEYS).await.text.contains("render farm"));
    let add = member.get(&format!("{KEYS}?dialog=add")).await;
    assert!(!add.text.contains("Add API key"));
    let new = [("name", "mine"), ("preset", "full_access")];
    let create = member.post(KEYS, KEYS, &new).await;
    assert_eq!(create.status, 403);
    for act in ["rotate", "revoke", "delete"] {
        let path = format!("{KEYS}/{id}/{act}");
        let refused = member.post(KEYS, &path, &[("grace_hours", "24")]).await;
        assert_eq!(refused.status, 403, "{act}");
    }
    let now = keys(&app, &account);
    assert_eq!((now.len(), now[0]["status"].as_str()), (1, Some("active")));
    let forged = owner.post_as_it_is(KEYS, &new).await;
    assert_eq!(forged.status, 403, "without the token of a page");
}

#[tokio::test]
async fn keys_of_another_account_do_not_exist() {
    let app = TestApp::start(Backend::Sqlite).await;
    let (owner, ..) = team(&app).await;
    let id = keys(&app, &app.account_id)[0]["apikey_id"].as_str().unwrap().to_owned();
    let stranger = owner.get("/home/personal/api-keys").await;
    assert_eq!(stranger.status, 404);
    for dialog in ["rotate", "revoke", "delete"] {
        let page = owner.get(&format!("{KEYS}?dialog={dialog}&id={id}")).await;
        assert!(!page.text.contains("<dialog"), "{dialog}");
        let path = format!("{KEYS}/{id}/{dialog}");
        let answer = owner.post(KEYS, &path, &[("grace_hours", "24")]).await;
        assert_eq!(answer.status, 404, "{dialog}");
    }
    assert_eq!(keys(&app, &app.account_id)[0]["status"], "active");
}

#[tokio::test]
async fn what_somebody_takes_along_has_the_requests_of_the_own_account_only() {
    let app = TestApp::start(Backend::Sqlite).await;
    let (owner, _, team) = team(&app).await;
    owner.own(&app, &app.account_id).await;
    let teams = app.cli(&[
        "key",
        "create",
        "--account",
        &team,
        "--name",
        "ours",
        "--preset",
        "full_access",
    ]);
    let teams = teams["apikey"].as_str().unwrap().to_owned();
    assert_eq!(app.get_as(&teams, "/v1/status").send().await.unwrap().status(), 200);
    assert_eq!(app.get("/v1/usage?days=7").send().await.unwrap().status(), 200);
    let document = wait::until("the request is in the log", async || {
        let page = owner.post("/home/settings", "/home/settings/export", &[]).await;
        let document: Value = serde_json::from_str(&page.text).unwrap();
        Some(document).filter(|it| it["api_requests"].as_array().is_some_and(|it| !it.is_empty()))
    })
    .await;
    let requests = document["api_requests"].as_array().unwrap();
    assert_eq!(requests.len(), 1, "{requests:?}");
    let request = &requests[0];
    assert_eq!(
        (&request["api_key"], &request["endpoint"], &request["query"], &request["status"]),
        (&"Default".into(), &"/v1/usage".into(), &"days=7".into(), &200.into())
    );
    assert!(!document.to_string().contains("ip_hash"));
}
