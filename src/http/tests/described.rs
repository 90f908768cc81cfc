//! What the server says of itself.

use serde_json::Value;

use super::check_error;
use super::server::Server;

#[actix_web::test]
async fn the_document_and_its_page_need_no_key_and_are_asked_about_once() {
    let server = Server::start().await;
    for (path, kind) in
        [("/openapi.json", "application/json"), ("/docs", "text/html; charset=utf-8")]
    {
        let reply = server.send("GET", path, None, b"").await;
        assert_eq!((reply.status, reply.header("content-type")), (200, kind));
        assert_eq!(reply.header("cache-control"), "public, no-cache");
        let etag = reply.header("etag");
        for tag in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}")] {
            let again = server.exchange("GET", path, &[("If-None-Match", &tag)], b"").await;
            assert_eq!((again.status, again.bytes.len(), again.header("etag")), (304, 0, etag));
        }
        let other = server.exchange("GET", path, &[("If-None-Match", "\"other\"")], b"").await;
        assert_eq!((other.status, other.bytes), (200, reply.bytes));
        check_error(&server.send("POST", path, None, b"").await, 405, "BSE2014");
    }
}

#[actix_web::test]
async fn the_page_may_load_nothing_but_its_own_style() {
    let server = Server::start().await;
    let reply = server.send("GET", "/docs", None, b"").await;
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let page = String::from_utf8(reply.bytes.clone()).unwrap();
    for forbidden in ["<script", "<img", "<link", " style=", "onclick", "@import", "url("] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

/// A scope in the document is the one that the handler asks for: with it alone one comes
/// further, without it alone one does not.
#[actix_web::test]
async fn every_operation_needs_the_scope_that_it_names() {
    let server = Server::start().await;
    let document = server.send("GET", "/openapi.json", None, b"").await.json;
    let all = server.keys.rows.lock().unwrap()[0].scopes.clone();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let scope = operation["x-scope"].as_str().unwrap();
            let path = path.replace(['{', '}'], "");
            for has in [true, false] {
                server.keys.change(0, |row| {
                    row.scopes = all.clone();
                    row.scopes.retain(|one| (one.as_str() == scope) == has);
                });
                server.clock.forward(1000);
                let method = method.to_ascii_uppercase();
                let reply = server.send(&method, &path, Some(&server.bearer), b"{").await;
                let refused = reply.json["error"]["code"] == "BSE1003";
                assert_eq!(refused, !has, "{method} {path} {scope}: {}", reply.json);
                asked += 1;
            }
        }
    }
    assert!(asked >= 10, "{asked}");
    assert_eq!(document["openapi"], Value::from("3.1.0"));
}
