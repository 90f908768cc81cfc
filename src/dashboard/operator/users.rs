//! Everybody who can sign in to this server.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::id::UserId;
use actors::operator::Act;
use actors::ports::people::{UserRefusal, UserStore};
use actors::user::User;
use askama::Template;
use serde::Deserialize;

use super::{PAGE, has};
use crate::auth::session::{CsrfForm, Operator};
use crate::dashboard::flash::Flash;
use crate::dashboard::layout::Layout;
use crate::dashboard::listing::{Column, Empty, Filters, ListQuery, Listing, find_page};
use crate::dashboard::nav::Room;
use crate::dashboard::problem::Problem;
use crate::dashboard::{Dashboard, page_with, redirect};
use crate::error::page::PageError;
use crate::identity::act;

const COLUMNS: [Column; 4] =
    [Column::of("Name"), Column::of("Email"), Column::of("Role"), Column::of("Signed up")];
const EMPTY: Empty =
    Empty { icon: "users", title: "No users", text: "Nobody can sign in to this server yet." };

#[derive(Template)]
#[template(path = "operator/users.html")]
struct UsersPage {
    layout: Layout,
    list: Listing,
    users: Vec<User>,
    /// Who looks at it.
    you: UserId,
    dialog: Option<Dialog>,
    csrf: String,
}

/// What is asked before something is done to somebody.
struct Dialog {
    ask: Ask,
    user: User,
    reason: String,
    problem: Problem,
}

/// What is to be done to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// To make an operator, or no longer.
    Operator,
    /// To be signed out everywhere.
    Sessions,
}

impl Dialog {
    fn title(&self) -> &'static str {
        match self.ask {
            Ask::Operator if self.user.operator => "Revoke operator?",
            Ask::Operator => "Make operator?",
            Ask::Sessions => "End all sessions?",
        }
    }
}

/// Which dialog is open, and about whom.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    dialog: String,
    id: String,
}

pub(in crate::dashboard) async fn list(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    query: Query<ListQuery>,
    asked: Query<Asked>,
) -> Result<HttpResponse, PageError> {
    let ask = match asked.dialog.as_str() {
        "operator" => Some(Ask::Operator),
        "sessions" => Some(Ask::Sessions),
        _ => None,
    };
    let dialog = match ask.zip(UserId::parse(&asked.id)) {
        None => None,
        Some((ask, id)) => dashboard.context.store.find_user(id).await?.map(|user| Dialog {
            ask,
            user,
            reason: String::new(),
            problem: Problem::default(),
        }),
    };
    show(&operator, &dashboard, &request, query.into_inner(), dialog).await
}

#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct OperatorIn {
    is: bool,
    reason: String,
}

pub(in crate::dashboard) async fn set_operator(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<String>,
    form: CsrfForm<OperatorIn>,
) -> Result<HttpResponse, PageError> {
    let (user, OperatorIn { is, reason }) = (find(&dashboard, &path).await?, form.0);
    let signed = match sign(&dashboard, &operator, &reason)? {
        Ok(act) => act,
        Err(problem) => {
            let dialog = Dialog { ask: Ask::Operator, user, reason, problem };
            return again(&operator, &dashboard, &request, dialog).await;
        }
    };
    let to = Room::Users.path();
    match dashboard.context.store.set_operator(user.id, is, signed).await? {
        Ok(()) if is => Ok(redirect(to, Flash::success(format!("{} is an operator", user.email)))),
        Ok(()) => Ok(redirect(to, Flash::success(format!("{} is no operator now", user.email)))),
        Err(UserRefusal::UnknownUser) => Err(PageError::NotFound),
        Err(refusal) => {
            let dialog =
                Dialog { ask: Ask::Operator, user, reason, problem: Problem::new("", &refusal) };
            again(&operator, &dashboard, &request, dialog).await
        }
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct SessionsIn {
    reason: String,
}

pub(in crate::dashboard) async fn end_sessions(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<String>,
    form: CsrfForm<SessionsIn>,
) -> Result<HttpResponse, PageError> {
    let (user, SessionsIn { reason }) = (find(&dashboard, &path).await?, form.0);
    let signed = match sign(&dashboard, &operator, &reason)? {
        Ok(act) => act,
        Err(problem) => {
            let dialog = Dialog { ask: Ask::Sessions, user, reason, problem };
            return again(&operator, &dashboard, &request, dialog).await;
        }
    };
    let ended = dashboard.context.store.end_sessions(user.id, signed).await?;
    let ended = ended.ok_or(PageError::NotFound)?;
    let browsers = if ended == 1 { "browser was" } else { "browsers were" };
    let said = format!("{ended} {browsers} signed out of {}", user.email);
    Ok(redirect(Room::Users.path(), Flash::success(said)))
}

async fn find(dashboard: &Dashboard, id: &str) -> Result<User, PageError> {
    let id = UserId::parse(id).ok_or(PageError::NotFound)?;
    dashboard.context.store.find_user(id).await?.ok_or(PageError::NotFound)
}

fn sign(
    dashboard: &Dashboard,
    operator: &Operator,
    reason: &str,
) -> Result<Result<Act, Problem>, PageError> {
    match act(&dashboard.context.of(operator.person.user.id), reason) {
        Ok(act) => Ok(Ok(act)),
        Err(error) => Problem::with_identity(error).map(Err),
    }
}

async fn again(
    operator: &Operator,
    dashboard: &Dashboard,
    request: &HttpRequest,
    dialog: Dialog,
) -> Result<HttpResponse, PageError> {
    show(operator, dashboard, request, ListQuery::default(), Some(dialog)).await
}

async fn show(
    operator: &Operator,
    dashboard: &Dashboard,
    request: &HttpRequest,
    query: ListQuery,
    dialog: Option<Dialog>,
) -> Result<HttpResponse, PageError> {
    let store = &dashboard.context.store;
    let read = async |after, limit| store.list_users(after, limit).await;
    let matches = |user: &User| has(&query, &[&user.name, user.email.as_str()]);
    let after = UserId::parse(&query.after);
    let (users, next) = find_page(after, PAGE, matches, |user: &User| user.id, read).await?;
    let is_wrong = dialog.as_ref().is_some_and(|dialog| dialog.problem.is_some());
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = UsersPage {
        layout: Layout::console(request, operator, Room::Users).full(query.is_full()),
        list: Listing {
            id: "users",
            label: "Users",
            path: Room::Users.path().to_owned(),
            query,
            filters: Vec::new(),
            chosen: Filters::default(),
            columns: &COLUMNS,
            has_menu: true,
            export: None,
            is_empty: users.is_empty(),
            empty: EMPTY,
            next: next.map(|id| id.to_string()),
            version: String::new(),
            live: String::new(),
        },
        users,
        you: operator.person.user.id,
        dialog,
        csrf: operator.person.csrf().to_owned(),
    };
    page_with(status, &page)
}
