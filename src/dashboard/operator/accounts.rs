//! Every account of this server.

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::account::Account;
use actors::id::AccountId;
use actors::ports::AccountStore;
use askama::Template;

use super::{PAGE, has};
use crate::auth::session::Operator;
use crate::dashboard::layout::Layout;
use crate::dashboard::listing::{Column, Empty, Filters, ListQuery, Listing, find_page};
use crate::dashboard::nav::Room;
use crate::dashboard::{Dashboard, page};
use crate::error::page::PageError;

const COLUMNS: [Column; 6] = [
    Column::of("Account"),
    Column::of("Kind"),
    Column::of("Plan"),
    Column::of("Status"),
    Column::of("Credit").number(),
    Column::of("Created"),
];
const EMPTY: Empty = Empty {
    icon: "building-2",
    title: "No accounts",
    text: "Whoever signs up has a personal account, and may make teams.",
};

#[derive(Template)]
#[template(path = "operator/accounts.html")]
struct AccountsPage {
    layout: Layout,
    list: Listing,
    accounts: Vec<Account>,
}

pub(in crate::dashboard) async fn list(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    query: Query<ListQuery>,
) -> Result<HttpResponse, PageError> {
    let (query, store) = (query.into_inner(), &dashboard.context.store);
    let exactly = query.search().and_then(|text| AccountId::parse(&text));
    let (accounts, next) = match exactly {
        Some(id) => (store.find_account(id).await?.into_iter().collect(), None),
        None => {
            let read = async |after, limit| store.list_accounts(after, limit).await;
            let matches = |account: &Account| {
                let email = account.email.as_deref().unwrap_or_default();
                has(&query, &[&account.name, email, account.plan.as_str()])
            };
            let after = AccountId::parse(&query.after);
            find_page(after, PAGE, matches, |account: &Account| account.id, read).await?
        }
    };
    page(&AccountsPage {
        layout: Layout::console(&request, &operator, Room::Accounts).full(query.is_full()),
        list: Listing {
            id: "accounts",
            label: "Accounts",
            path: Room::Accounts.path().to_owned(),
            query,
            filters: Vec::new(),
            chosen: Filters::default(),
            columns: &COLUMNS,
            has_menu: false,
            export: None,
            is_empty: accounts.is_empty(),
            empty: EMPTY,
            next: next.map(|id| id.to_string()),
            version: String::new(),
            live: String::new(),
        },
        accounts,
    })
}
