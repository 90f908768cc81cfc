//! List and delete.

use std::sync::{Arc, Mutex};

use actors::engine::deletion::DeleteError;
use actors::ports::StoreError;
use serde_json::json;

use super::check_error;
use super::server::Server;
use crate::http::samples;

#[actix_web::test]
async fn a_list_has_its_page_beside_the_data() {
    let server = Server::start().await;
    let reply = server.get("/v1/content/list?limit=1000&offset=-3").await;
    assert_eq!(reply.status, 200);
    let fields: Vec<_> = reply.json.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        ["status", "request_id", "message", "timestamp", "data", "total", "limit", "offset"]
    );
    assert_eq!(reply.json["message"], "Generations retrieved successfully");
    let (total, limit, offset) = (&json!(1), &json!(100), &json!(0));
    assert_eq!(
        (&reply.json["total"], &reply.json["limit"], &reply.json["offset"]),
        (total, limit, offset)
    );
    let record = server.get(&format!("/v1/content/{}", samples::GENERATION)).await;
    assert_eq!(
        reply.json["data"].to_string(),
        json!({ "generations": [record.json["data"]] }).to_string()
    );
    let reply = server.get("/v1/content/list?offset=1").await;
    assert_eq!((&reply.json["data"], &reply.json["total"]), (&json!({ "generations": [] }), total));
    let reply = server.get("/v1/content/list?offset=one").await;
    check_error(&reply, 400, "BSE2001");
    assert_eq!(reply.json["error"]["details"]["field"], "offset");
}

#[actix_web::test]
async fn a_deletion_says_how_many_files_are_gone() {
    let server = Server::start().await;
    server.engine.deletes(|account_id, id| {
        assert_eq!((account_id, id), (samples::ACCOUNT, samples::GENERATION));
        Ok(3)
    });
    let path = format!("/v1/content/{}", samples::GENERATION);
    let reply = server.send("DELETE", &path, Some(&server.bearer), b"").await;
    assert_eq!(
        (reply.status, &reply.json["message"]),
        (200, &json!("Generation deleted successfully"))
    );
    let data = json!({ "generation_id": samples::GENERATION, "files_deleted": 3 });
    assert_eq!(reply.json["data"].to_string(), data.to_string());
}

#[actix_web::test]
async fn a_malformed_id_is_looked_for_like_every_other() {
    let server = Server::start().await;
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&asked);
    server.engine.deletes(move |_, id| {
        log.lock().unwrap().push(id.to_string());
        Err(DeleteError::NotFound)
    });
    let mut bodies = Vec::new();
    let ids = ["0c9b7a52-1d8e-4f0b-b6a3-9e27d4c81f65", "x", "%00", &"a".repeat(5000)];
    for id in ids {
        let path = format!("/v1/content/{id}");
        let reply = server.send("DELETE", &path, Some(&server.bearer), b"").await;
        check_error(&reply, 404, "BSE2012");
        bodies.push(reply.json["error"].to_string());
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    assert_eq!(asked.lock().unwrap().len(), ids.len(), "each is looked for");
}

#[actix_web::test]
async fn a_deletion_that_fails_can_be_repeated() {
    let server = Server::start().await;
    let path = format!("/v1/content/{}", samples::GENERATION);
    type Failure = (fn() -> DeleteError, u16, &'static str);
    let failures: [Failure; 2] = [
        (|| DeleteError::Outputs(StoreError::Overloaded), 503, "BSE3003"),
        (|| StoreError::Overloaded.into(), 503, "BSE3002"),
    ];
    for (failure, status, code) in failures {
        server.engine.deletes(move |_, _| Err(failure()));
        let reply = server.send("DELETE", &path, Some(&server.bearer), b"").await;
        check_error(&reply, status, code);
        assert_eq!(reply.json["error"]["retryable"], true);
    }
}

#[actix_web::test]
async fn list_and_delete_need_their_scopes() {
    use actors::api_key::Scope;

    let server = Server::start().await;
    let scopes = |scope| server.keys.change(0, |row| row.scopes = [scope].into_iter().collect());
    scopes(Scope::GenerationRead);
    server.clock.forward(1000);
    assert_eq!(server.get("/v1/content/list").await.status, 200);
    let path = format!("/v1/content/{}", samples::GENERATION);
    let refused = server.send("DELETE", &path, Some(&server.bearer), b"").await;
    check_error(&refused, 403, "BSE1003");
    scopes(Scope::GenerationDelete);
    server.clock.forward(1000);
    check_error(&server.get("/v1/content/list").await, 403, "BSE1003");
    check_error(&server.get(&format!("{path}/events")).await, 403, "BSE1003");
}
