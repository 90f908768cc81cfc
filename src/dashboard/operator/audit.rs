//! What those who run this server did, as it was written down with it.

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::id::{AccountId, ActivityId};
use actors::operator::{OperatorAction, Subject};
use actors::ports::operator::OperatorStore;
use askama::Template;
use serde::Deserialize;

use super::{PAGE, has};
use crate::auth::session::Operator;
use crate::dashboard::layout::Layout;
use crate::dashboard::listing::{Column, Empty, Filters, ListQuery, Listing, find_page};
use crate::dashboard::nav::Room;
use crate::dashboard::{Dashboard, page};
use crate::error::page::PageError;

const COLUMNS: [Column; 7] = [
    Column::of("Action"),
    Column::of("To"),
    Column::of("By"),
    Column::of("Before"),
    Column::of("After"),
    Column::of("Reason"),
    Column::of("Timestamp"),
];
const EMPTY: Empty = Empty {
    icon: "scroll-text",
    title: "Nothing was done yet",
    text: "What operators do to accounts and users, here or at the command line, is listed here.",
};

#[derive(Template)]
#[template(path = "operator/audit.html")]
struct AuditPage {
    layout: Layout,
    list: Listing,
    actions: Vec<OperatorAction>,
}

/// Of which account.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Filter {
    account: String,
}

pub(in crate::dashboard) async fn list(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    query: Query<ListQuery>,
    filter: Query<Filter>,
) -> Result<HttpResponse, PageError> {
    let (query, store) = (query.into_inner(), &dashboard.context.store);
    let about = AccountId::parse(&filter.account);
    let read = async |before, limit| store.list_operator_actions(about, before, limit).await;
    let matches = |it: &OperatorAction| {
        has(&query, &[&it.action, &it.name, &it.actor, &it.was, &it.became, &it.reason])
    };
    let before = ActivityId::parse(&query.after);
    let (actions, next) =
        find_page(before, PAGE, matches, |it: &OperatorAction| it.id, read).await?;
    page(&AuditPage {
        layout: Layout::console(&request, &operator, Room::Audit).full(query.is_full()),
        list: Listing {
            id: "audit",
            label: "Audit log",
            path: Room::Audit.path().to_owned(),
            query,
            filters: about.map(|id| ("account", id.to_string())).into_iter().collect(),
            chosen: Filters::default(),
            columns: &COLUMNS,
            has_menu: false,
            export: Some("operator-audit"),
            is_empty: actions.is_empty(),
            empty: EMPTY,
            next: next.map(|id| id.to_string()),
            version: String::new(),
            live: String::new(),
        },
        actions,
    })
}

/// Where somebody reads more about whom something was done to.
fn href(subject: &Subject) -> Option<String> {
    match subject {
        Subject::Account(id) => Some(format!("{}/{id}", Room::Accounts.path())),
        Subject::User(_) => None,
    }
}
