//! Everything that this server has of one person, as one JSON document
//! (`spec/dashboard.md` 7.6).
//!
//! What belongs to a team is the team's and not in it; neither are secrets, hashes and ids that
//! only we use.

use actors::account::AccountKind;
use actors::api_key::ApiKey;
use actors::generation::Generation;
use actors::id::{AccountId, ActivityId};
use actors::ledger::LedgerEntry;
use actors::logged_request::RequestLine;
use actors::ports::deliveries::{DeliveryLog, LogQuery, LoggedDelivery};
use actors::ports::logs::{LogStore, RequestFilter, Window};
use actors::ports::people::SessionStore;
use actors::ports::teams::{ActivityStore, MembershipStore};
use actors::ports::{AccountStore, EndpointStore, GenerationStore, KeyStore};
use actors::user::User;
use actors::webhook::WebhookEndpoint;
use serde_json::{Value, json};

use super::{People, PeopleError};

/// Rows read at a time.
const PAGE: u32 = 500;
/// Most rows of each kind: the document is made in memory.
const ROWS_MAX: usize = 20_000;

impl People {
    /// The document.
    ///
    /// # Errors
    /// [`PeopleError::Store`].
    pub async fn export(&self, user: &User) -> Result<Value, PeopleError> {
        let store = &self.context.store;
        let memberships = store.list_memberships(user.id).await?;
        let own = memberships.iter().find(|it| it.account.kind == AccountKind::Personal);
        let own = own.map(|membership| membership.account.id);
        let sessions = store.list_sessions(user.id, self.now()).await?;
        let mut document = json!({
            "exported_at": self.now(),
            "profile": {
                "name": user.name,
                "email": user.email.as_str(),
                "created_at": user.created_at,
            },
            "signed_in_browsers": sessions.iter().map(|session| json!({
                "user_agent": session.user_agent,
                "signed_in_at": session.created_at,
                "last_seen_at": session.last_seen_at,
            })).collect::<Vec<_>>(),
            "workspaces": memberships.iter().map(|it| json!({
                "name": it.account.name,
                "kind": it.account.kind.as_str(),
                "role": it.role.as_str(),
            })).collect::<Vec<_>>(),
        });
        if let Some(own) = own {
            let endpoints = store.list_endpoints(own).await?;
            document["credit_ledger"] = self.ledger(own).await?;
            document["generations"] = self.generations(own).await?;
            document["api_keys"] = store.list_keys(own).await?.iter().map(api_key).collect();
            document["webhooks"] = endpoints.iter().map(webhook).collect();
            document["webhook_deliveries"] = self.deliveries(own, &endpoints).await?;
            document["api_requests"] = self.requests(own).await?;
            document["activity"] = self.activity(own).await?;
        }
        Ok(document)
    }

    async fn ledger(&self, account_id: AccountId) -> Result<Value, PeopleError> {
        let mut entries: Vec<LedgerEntry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.seq);
            let page = self.context.store.list_entries(account_id, after, PAGE).await?;
            let last = page.len() < PAGE as usize;
            entries.extend(page);
            if last || entries.len() >= ROWS_MAX {
                return Ok(entries.iter().map(entry).collect());
            }
        }
    }

    async fn generations(&self, account_id: AccountId) -> Result<Value, PeopleError> {
        let mut generations: Vec<Value> = Vec::new();
        loop {
            let offset = generations.len() as u64;
            let page = self.context.store.list(account_id, offset, PAGE).await?;
            let last = page.len() < PAGE as usize;
            generations.extend(page.iter().map(generation));
            if last || generations.len() >= ROWS_MAX {
                return Ok(Value::Array(generations));
            }
        }
    }

    async fn deliveries(
        &self,
        account_id: AccountId,
        endpoints: &[WebhookEndpoint],
    ) -> Result<Value, PeopleError> {
        let mut deliveries: Vec<Value> = Vec::new();
        for endpoint in endpoints {
            let mut query = LogQuery::default();
            loop {
                let id = endpoint.state.id;
                let store = &self.context.store;
                let page = store.list_deliveries(account_id, id, &query, PAGE).await?;
                let page_of = page.deliveries.iter();
                deliveries.extend(page_of.map(|logged| delivery(endpoint, logged)));
                query.before = page.next;
                if query.before.is_none() || deliveries.len() >= ROWS_MAX {
                    break;
                }
            }
        }
        Ok(Value::Array(deliveries))
    }

    async fn requests(&self, account_id: AccountId) -> Result<Value, PeopleError> {
        let (mut requests, mut window) = (Vec::new(), Window::default());
        let every = RequestFilter::default();
        loop {
            let page =
                self.context.store.search_requests(account_id, &window, &every, PAGE).await?;
            requests.extend(page.rows.iter().map(request));
            window.after = page.next;
            if window.after.is_none() || requests.len() >= ROWS_MAX {
                return Ok(Value::Array(requests));
            }
        }
    }

    async fn activity(&self, account_id: AccountId) -> Result<Value, PeopleError> {
        let (mut lines, mut before) = (Vec::new(), None::<ActivityId>);
        loop {
            let page = self.context.store.list_activities(account_id, before, PAGE).await?;
            before = page.last().map(|line| line.id);
            let last = page.len() < PAGE as usize;
            lines.extend(page.into_iter().map(|line| {
                json!({
                    "actor": line.actor,
                    "action": format!("{}.{}", line.category, line.action),
                    "description": line.description,
                    "at": line.at,
                })
            }));
            if last || lines.len() >= ROWS_MAX {
                return Ok(Value::Array(lines));
            }
        }
    }
}

/// Without the hash of the address, which is ours.
fn request(request: &RequestLine) -> Value {
    json!({
        "api_key": request.key_name,
        "api_key_prefix": request.key_prefix,
        "method": request.method,
        "endpoint": request.endpoint,
        "query": request.query,
        "status": request.status,
        "error_code": request.code,
        "user_agent": request.user_agent,
        "at": request.at,
    })
}

fn entry(entry: &LedgerEntry) -> Value {
    json!({
        "type": entry.kind.as_str(),
        "amount": entry.amount.to_string(),
        "balance": entry.balance_after.to_string(),
        "model": entry.model,
        "generation_id": entry.generation_id,
        "description": entry.description,
        "at": entry.created_at,
    })
}

fn generation(generation: &Generation) -> Value {
    json!({
        "generation_id": generation.id,
        "model": generation.model,
        "status": generation.status().as_str(),
        "input": generation.input,
        "amount": generation.amount.to_string(),
        "created_at": generation.created_at,
        "completed_at": generation.completed_at(),
    })
}

fn api_key(key: &ApiKey) -> Value {
    json!({
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
        "allowed_ips": key.allowed_ips,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    })
}

fn webhook(endpoint: &WebhookEndpoint) -> Value {
    json!({
        "url": endpoint.url.as_str(),
        "events": endpoint.state.events.iter().map(|event| event.as_str()).collect::<Vec<_>>(),
        "enabled": endpoint.state.enabled,
        "created_at": endpoint.created_at,
    })
}

fn delivery(endpoint: &WebhookEndpoint, logged: &LoggedDelivery) -> Value {
    json!({
        "url": endpoint.url.as_str(),
        "event": logged.delivery.event.as_str(),
        "generation_id": logged.delivery.generation_id,
        "data": logged.delivery.data,
        "status": logged.delivery.status.as_str(),
        "tries": logged.delivery.tries,
        "created_at": logged.delivery.created_at,
        "finished_at": logged.finished_at,
    })
}
