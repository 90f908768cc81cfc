//! Teams: who comes, who may do what, who goes, and what is left.

use serde_json::json;

use crate::on_both;
use crate::people::{PASSWORD, owner, person, start};
use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::database::Backend;
use crate::support::mail::MailServer;
use crate::support::page::Page;
use crate::support::wait;

on_both!(
    people_are_invited_and_join,
    each_role_may_do_what_the_matrix_says,
    a_team_changes_hands_and_is_left,
    a_deleted_team_is_emptied,
);

const MEMBERS: &str = "/home/paper-lab/members";

/// The id in the address of a form or dialog, in the row that shows this.
fn id_of(page: &Page, shown: &str) -> String {
    let row = page.text.split("<tr>").find(|row| row.contains(shown));
    let row = row.unwrap_or_else(|| panic!("{shown} is not in {}", page.text));
    let id = row.split("&amp;id=").nth(1).unwrap_or_else(|| panic!("no menu in {row}"));
    id[..36].to_owned()
}

/// Invites one person and gives the path of the link.
async fn invite(browser: &mut Browser, mail: &MailServer, email: &str, role: &str) -> String {
    let fields = [("email", email), ("role", role)];
    browser
        .submit(&format!("{MEMBERS}/invite"), &fields)
        .await
        .shows("Invitation sent")
        .shows(email);
    mail.take(email, "Join Paper Lab").await.path()
}

/// A team with somebody in each role.
async fn team(app: &TestApp, mail: &MailServer) -> [Browser; 3] {
    let mut primary = owner(app).await;
    primary.submit("/home/teams", &[("name", "Paper Lab")]).await.is(200).shows("Primary Owner");
    let mut people = Vec::new();
    for (email, role) in [("runs@example.com", "owner"), ("looks@example.com", "member")] {
        let path = invite(&mut primary, mail, email, role).await;
        let mut browser = Browser::of(app);
        browser.get(&path).await.is(200).shows("Join Paper Lab");
        let fields = [("name", role), ("password", PASSWORD)];
        browser.submit(&format!("{path}/new"), &fields).await.is(200).shows("Welcome to Paper Lab");
        people.push(browser);
    }
    let [runs, looks] = people.try_into().ok().unwrap();
    [primary, runs, looks]
}

async fn people_are_invited_and_join(backend: Backend) {
    let Some(mail) = MailServer::start() else { return };
    let app = start(backend, &mail, &[]).await;
    let mut primary = owner(&app).await;
    primary.post("/home/teams", &[("name", "Студия")]).await.is(422).shows("Must be chosen");
    primary.submit("/home/teams", &[("name", "Paper Lab")]).await.is(200).shows("You");
    primary.post("/home/teams", &[("name", "Paper Lab")]).await.is(422).shows("is taken");
    primary.get("/home/personal/members").await.is(404);

    let many = [
        ("email", "a@example.com"),
        ("role", "member"),
        ("email", "A@example.com"),
        ("role", "member"),
    ];
    let twice = primary.post(&format!("{MEMBERS}/invite"), &many).await;
    twice.is(422).shows("Must not name a@example.com twice.");
    let upwards = [("email", "a@example.com"), ("role", "primary-owner")];
    primary.post(&format!("{MEMBERS}/invite"), &upwards).await.is(403);
    let known = person(&app, "known@example.com").await;
    drop(known);
    let both = [
        ("email", "new@example.com"),
        ("role", "owner"),
        ("email", "known@example.com"),
        ("role", "member"),
    ];
    let sent = primary.submit(&format!("{MEMBERS}/invite"), &both).await;
    sent.shows("2 invitations sent").shows("new@example.com").shows("Active");
    let again = primary.post(&format!("{MEMBERS}/invite"), &both[..2]).await;
    again.is(422).shows("is invited already");

    // Somebody new.
    let path = mail.take("new@example.com", "Join Paper Lab").await.path();
    let mut new = Browser::of(&app);
    new.get(&path).await.is(200).shows("new@example.com");
    let fields = [("name", "New Here"), ("password", PASSWORD)];
    new.submit(&format!("{path}/new"), &fields).await.is(200).shows("New Here");
    new.get(&path).await.is(404);

    // Somebody with an account, first in the browser of somebody else.
    let path = mail.take("known@example.com", "Join Paper Lab").await.path();
    new.get(&path).await.is(200).shows("You are signed in as new@example.com");
    new.post(&path, &[]).await.is(303);
    new.get("/home/paper-lab/members").await.hides("known@example.com</span></td>");
    let mut known = Browser::of(&app);
    known.get(&path).await.is(200).shows("Sign in to join");
    known.sign_in("known@example.com", PASSWORD).await.is(303);
    known.get(&path).await.shows("Join");
    known.submit(&path, &[]).await.is(200).shows("You have joined Paper Lab");

    // An invitation that has expired, is renewed, and is taken back.
    let old = invite(&mut primary, &mail, "late@example.com", "member").await;
    app.execute("UPDATE invitations SET expires_at = created_at").await;
    let list = primary.get(MEMBERS).await;
    list.shows("Expired").shows("Renew invitation");
    Browser::of(&app).get(&old).await.is(404);
    let id = id_of(&list, "late@example.com");
    primary.submit(&format!("{MEMBERS}/invitations/{id}/renew"), &[]).await.shows("Active");
    let path = mail.take("late@example.com", "Join Paper Lab").await.path();
    Browser::of(&app).get(&path).await.is(200);
    Browser::of(&app).get(&old).await.is(404);
    let role =
        primary.submit(&format!("{MEMBERS}/invitations/{id}/role"), &[("role", "owner")]).await;
    role.shows("Invitation updated");
    primary
        .submit(&format!("{MEMBERS}/invitations/{id}/remove"), &[])
        .await
        .hides("late@example.com");
    Browser::of(&app).get(&path).await.is(404);

    let search = primary.get(&format!("{MEMBERS}?members=new")).await;
    search.shows("new@example.com").hides("known@example.com");
}

/// What is asked for, and the answer to the primary owner, an owner and a member.
type Cell<'a> = (String, &'a [(&'a str, &'a str)], [u16; 3]);

async fn each_role_may_do_what_the_matrix_says(backend: Backend) {
    let Some(mail) = MailServer::start() else { return };
    let app = start(backend, &mail, &[]).await;
    let mut browsers = team(&app, &mail).await;
    for page in ["members", "settings", "api-keys", "models"] {
        for browser in &mut browsers {
            browser.get(&format!("/home/paper-lab/{page}")).await.is(200);
        }
    }
    let list = browsers[0].get(MEMBERS).await;
    let looks = id_of(&list, "looks@example.com");
    let runs = id_of(&list, "runs@example.com");
    list.hides("&amp;id=00000000");
    let invitation = {
        invite(&mut browsers[0], &mail, "asked@example.com", "member").await;
        id_of(&browsers[0].get(MEMBERS).await, "asked@example.com")
    };
    let nobody = "0198c0de-7a10-7000-8000-00000000002a";
    let members = |rest: &str| format!("{MEMBERS}/{rest}");
    let keys = |rest: &str| format!("/home/paper-lab/api-keys{rest}");
    let settings = |rest: &str| format!("/home/paper-lab/settings{rest}");
    let key = [("name", "k"), ("preset", "read_only"), ("allowed_ips", ""), ("expires_on", "")];
    let (as_owner, as_member) = ([("role", "owner")], [("role", "member")]);
    // In the order of `actors::permission`: each permission, by something that needs it. What is
    // allowed is answered 200, 303 or 404 (nothing of that id), what is not with 403.
    let cells: [Cell<'_>; 15] = [
        (keys(""), &key, [200, 200, 403]),
        (keys(&format!("/{nobody}/rotate")), &[("grace_hours", "24")], [404, 404, 403]),
        (keys(&format!("/{nobody}/revoke")), &[], [404, 404, 403]),
        (keys(&format!("/{nobody}/delete")), &[], [404, 404, 403]),
        (members(&format!("invitations/{invitation}/role")), &as_owner, [303, 303, 403]),
        (members(&format!("invitations/{nobody}/renew")), &[], [303, 303, 403]),
        (members(&format!("invitations/{nobody}/remove")), &[], [303, 303, 403]),
        (members(&format!("{looks}/role")), &as_owner, [303, 303, 403]),
        (members(&format!("{runs}/role")), &as_member, [303, 403, 403]),
        (members(&format!("{nobody}/remove")), &[], [303, 303, 403]),
        (members(&format!("{looks}/transfer-code")), &[], [200, 403, 403]),
        (members(&format!("{looks}/transfer")), &[("code", "0")], [422, 403, 403]),
        (settings(""), &[("name", "Paper Lab"), ("slug", "paper-lab")], [303, 403, 403]),
        (settings("/deletion-code"), &[], [200, 403, 403]),
        (settings("/delete"), &[("code", "0")], [422, 403, 403]),
    ];
    for (path, fields, expected) in &cells {
        // The lowest first, so that nobody changes what the next one may do.
        for place in [2, 1, 0] {
            let page = browsers[place].post(path, fields).await;
            assert_eq!(page.status, expected[place], "{path} by {place}: {}", page.text);
        }
        // What was changed is put back.
        let back = format!("{MEMBERS}/{looks}/role");
        browsers[0].post(&back, &as_member).await;
        browsers[0].post(&format!("{MEMBERS}/{runs}/role"), &as_owner).await;
    }
    // Owners look after members and not after each other.
    let role = members(&format!("{looks}/role"));
    for (place, role_given, expected) in
        [(0, &as_owner, 303), (1, &as_member, 403), (0, &as_member, 303)]
    {
        browsers[place].post(&role, role_given).await.is(expected);
    }
    // Who may invite whom.
    for (place, role, expected) in
        [(0, "owner", 303), (1, "owner", 303), (2, "owner", 403), (2, "member", 303)]
    {
        let email = format!("{place}{role}@example.com");
        let fields = [("email", email.as_str()), ("role", role)];
        browsers[place].post(&members("invite"), &fields).await.is(expected);
    }
    // Who may leave: everybody but the primary owner.
    browsers[0].post(&settings("/leave"), &[]).await.is(403);
    browsers[0].get(&settings("")).await.shows("Delete team account").hides("Leave team");
    browsers[1].get(&settings("")).await.shows("Leave team").hides("Delete team account");
    browsers[2].get(MEMBERS).await.hides("Actions for").shows("Invite members");
    for place in [2, 1] {
        browsers[place].post(&settings("/leave"), &[]).await.is(303);
        browsers[place].get(MEMBERS).await.is(404);
    }
    // A stranger finds nothing, whatever he asks for.
    let mut stranger = person(&app, "stranger@example.com").await;
    stranger.get(MEMBERS).await.is(404);
    for (path, fields, _) in &cells {
        stranger.post(path, fields).await.is(404);
    }
}

async fn a_team_changes_hands_and_is_left(backend: Backend) {
    let Some(mail) = MailServer::start() else { return };
    let app = start(backend, &mail, &[]).await;
    let [mut primary, mut runs, mut looks] = team(&app, &mail).await;
    let heir = id_of(&primary.get(MEMBERS).await, "looks@example.com");
    primary.get(&format!("{MEMBERS}?dialog=transfer&id={heir}")).await.shows("Send code");
    primary.post(&format!("{MEMBERS}/{heir}/transfer-code"), &[]).await.is(200).shows("Type it");
    let code = mail.take("owner@example.com", "Code to transfer Paper Lab").await.code();
    let path = format!("{MEMBERS}/{heir}/transfer");
    // Somebody else has no use of it, and it can be typed wrong only so often.
    runs.post(&path, &[("code", &code)]).await.is(403);
    let wrong = if code == "000000" { "111111" } else { "000000" };
    primary.post(&path, &[("code", wrong)]).await.is(422).shows("This code is wrong");
    primary.submit(&path, &[("code", &code)]).await.shows("Ownership transferred");
    primary.post(&path, &[("code", &code)]).await.is(403);
    looks.get("/home/paper-lab/settings").await.shows("Delete team account");
    primary.get("/home/paper-lab/settings").await.shows("Leave team");

    let renamed = [("name", "Ink Lab"), ("slug", "ink-lab")];
    primary.post("/home/paper-lab/settings", &renamed).await.is(403);
    looks.submit("/home/paper-lab/settings", &renamed).await.shows("Team updated").shows("Ink Lab");
    primary.get(MEMBERS).await.is(404);
    primary.submit("/home/ink-lab/settings/leave", &[]).await;
    primary.get("/home/ink-lab/members").await.is(404);
    let id = id_of(&looks.get("/home/ink-lab/members").await, "runs@example.com");
    looks.submit(&format!("/home/ink-lab/members/{id}/remove"), &[]).await.shows("Member removed");
    runs.get("/home/ink-lab/members").await.is(404);

    let log =
        "SELECT COUNT(*) FROM activities WHERE category IN ('membership', 'invitation', 'account')
               AND action IN ('joined', 'sent', 'role_changed', 'removed', 'updated')
               AND actor = 'user'";
    // Made, two sent and joined, handed over, renamed, left, removed.
    assert_eq!(app.count(log).await, 9);
}

async fn a_deleted_team_is_emptied(backend: Backend) {
    let Some(mail) = MailServer::start() else { return };
    let app = start(backend, &mail, &[]).await;
    let [mut primary, mut runs, _] = team(&app, &mail).await;
    let accounts = app.cli(&["account", "list"]);
    let accounts = accounts["accounts"].as_array().unwrap();
    let team = accounts.iter().find(|it| it["account_name"] == "Paper Lab").unwrap();
    let team = team["account_id"].as_str().unwrap().to_owned();
    app.cli(&[
        "credit",
        "add",
        "--account",
        &team,
        "--amount",
        "5",
        "--key",
        "k",
        "--description",
        "d",
    ]);
    let key =
        app.cli(&["key", "create", "--account", &team, "--name", "k", "--preset", "full_access"]);
    let key = key["apikey"].as_str().unwrap().to_owned();
    let submit = async |model: &str, latency: u32| {
        let body = json!({
            "generation_prompt": "a lighthouse",
            "generation_sandbox_latency_ms": latency,
        });
        let request = app.post_as(&key, &format!("/v1/generate/image/{model}")).json(&body);
        app.ask(request).await.generation_id()
    };
    submit("sandbox/inline", 0).await;
    submit("sandbox/polling", 60_000).await;
    let stored = || walk(&app.directory.path().join("outputs"));
    assert!(stored() >= 1);

    primary.post("/home/paper-lab/settings/deletion-code", &[]).await.is(200);
    let code = mail.take("owner@example.com", "Code to delete Paper Lab").await.code();
    primary.post("/home/paper-lab/settings/delete", &[("code", &code)]).await.is(303);
    runs.get(MEMBERS).await.is(404);
    wait::until("the key is refused", async || {
        let answer = app.get_as(&key, "/v1/status").send().await.unwrap();
        (answer.status() == 401).then_some(())
    })
    .await;
    wait::until("everything is gone", async || {
        let left =
            "SELECT COUNT(*) FROM accounts WHERE deleted_at IS NOT NULL AND removed_at IS NULL";
        (app.count(left).await == 0).then_some(())
    })
    .await;
    assert_eq!(app.count("SELECT COUNT(*) FROM generations").await, 0);
    assert_eq!(stored(), 0);
    assert_eq!(app.count("SELECT COUNT(*) FROM accounts WHERE name = 'Deleted account'").await, 1);
    primary.submit("/home/teams", &[("name", "Paper Lab")]).await.is(200);
}

/// Files below a directory.
fn walk(directory: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let count = |path: std::path::PathBuf| if path.is_dir() { walk(&path) } else { 1 };
    entries.map(|entry| count(entry.unwrap().path())).sum()
}
