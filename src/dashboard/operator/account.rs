//! One account: how it stands, and what those who run the server do to it.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::account::{Account, Plan, Standing};
use actors::id::AccountId;
use actors::member::Member;
use actors::money::Credits;
use actors::operator::{AccountChange, OperatorAction};
use actors::ports::credits::CreditStore;
use actors::ports::operator::OperatorStore;
use actors::ports::teams::TeamStore;
use actors::ports::{AccountStore, EndpointStore, KeyStore};
use askama::Template;
use serde::Deserialize;

use crate::auth::session::{CsrfForm, Operator};
use crate::dashboard::flash::Flash;
use crate::dashboard::layout::Layout;
use crate::dashboard::nav::Room;
use crate::dashboard::problem::Problem;
use crate::dashboard::{Dashboard, page_with, redirect};
use crate::error::page::PageError;
use crate::identity::{IdentityError, NewGrant, add_credit, change_account};

/// What was done to it lately.
const ACTIONS: u32 = 10;
/// What members read in the ledger, unless something else is typed.
const DESCRIPTION: &str = "Credit grant";

#[derive(Template)]
#[template(path = "operator/account.html")]
struct AccountPage {
    layout: Layout,
    account: Account,
    standing: Standing,
    members: Vec<Member>,
    keys: usize,
    endpoints: usize,
    actions: Vec<OperatorAction>,
    dialog: Option<Dialog>,
    path: String,
    csrf: String,
}

/// What is asked before something is done.
struct Dialog {
    ask: Ask,
    typed: Typed,
    problem: Problem,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Plan,
    Credit,
    Suspend,
    Resume,
}

impl Ask {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "plan" => Some(Self::Plan),
            "credit" => Some(Self::Credit),
            "suspend" => Some(Self::Suspend),
            "resume" => Some(Self::Resume),
            _ => None,
        }
    }
}

/// What the forms of the dialogs hold.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Typed {
    plan: String,
    amount: String,
    description: String,
    reason: String,
    /// Makes a grant happen once, however often its form is sent.
    key: String,
}

/// Which dialog is open.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    dialog: String,
}

pub(in crate::dashboard) async fn show(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<String>,
    asked: Query<Asked>,
) -> Result<HttpResponse, PageError> {
    let account = find(&dashboard, &path).await?;
    let dialog = Ask::parse(&asked.dialog).map(|ask| Dialog {
        ask,
        typed: Typed {
            plan: account.plan.as_str().to_owned(),
            description: DESCRIPTION.to_owned(),
            key: format!("operator:{}", dashboard.context.ids.next()),
            ..Typed::default()
        },
        problem: Problem::default(),
    });
    draw(&operator, &dashboard, &request, account, dialog).await
}

pub(in crate::dashboard) async fn change_plan(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<String>,
    form: CsrfForm<Typed>,
) -> Result<HttpResponse, PageError> {
    let plan = Plan::parse(&form.0.plan).ok_or(PageError::BadForm)?;
    let place = Place { operator, dashboard, request, account_id: account_id(&path)? };
    place.change(Ask::Plan, AccountChange::Plan(plan), form.0, "Plan changed").await
}

pub(in crate::dashboard) async fn suspend(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<String>,
    form: CsrfForm<Typed>,
) -> Result<HttpResponse, PageError> {
    let place = Place { operator, dashboard, request, account_id: account_id(&path)? };
    place.change(Ask::Suspend, AccountChange::Suspension(true), form.0, "Account suspended").await
}

pub(in crate::dashboard) async fn resume(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<String>,
    form: CsrfForm<Typed>,
) -> Result<HttpResponse, PageError> {
    let place = Place { operator, dashboard, request, account_id: account_id(&path)? };
    place.change(Ask::Resume, AccountChange::Suspension(false), form.0, "Suspension ended").await
}

pub(in crate::dashboard) async fn grant_credit(
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<String>,
    form: CsrfForm<Typed>,
) -> Result<HttpResponse, PageError> {
    let place = Place { operator, dashboard, request, account_id: account_id(&path)? };
    let typed = form.0;
    let amount = match Credits::parse(typed.amount.trim()) {
        Ok(amount) => amount,
        Err(error) => return place.ask(Ask::Credit, typed, Problem::new("amount", &error)).await,
    };
    let grant = NewGrant {
        account_id: place.account_id,
        amount,
        key: typed.key.clone(),
        description: typed.description.clone(),
        reason: typed.reason.clone(),
    };
    let context = place.dashboard.context.of(place.operator.person.user.id);
    let done = add_credit(&context, grant).await.map(drop);
    place.answer(Ask::Credit, done, typed, &format!("{amount} granted")).await
}

fn account_id(text: &str) -> Result<AccountId, PageError> {
    AccountId::parse(text).ok_or(PageError::NotFound)
}

async fn find(dashboard: &Dashboard, id: &str) -> Result<Account, PageError> {
    let found = dashboard.context.store.find_account(account_id(id)?).await?;
    found.ok_or(PageError::NotFound)
}

/// Where a form was sent from, and by whom.
struct Place {
    operator: Operator,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    account_id: AccountId,
}

impl Place {
    async fn change(
        self,
        ask: Ask,
        change: AccountChange,
        typed: Typed,
        said: &str,
    ) -> Result<HttpResponse, PageError> {
        let context = self.dashboard.context.of(self.operator.person.user.id);
        let done = change_account(&context, self.account_id, change, &typed.reason).await;
        if let Ok(false) = done {
            return Err(PageError::NotFound);
        }
        self.answer(ask, done.map(drop), typed, said).await
    }

    async fn answer(
        self,
        ask: Ask,
        done: Result<(), IdentityError>,
        typed: Typed,
        said: &str,
    ) -> Result<HttpResponse, PageError> {
        match done {
            Ok(()) => Ok(redirect(&path_of(self.account_id), Flash::success(said))),
            Err(error) => self.ask(ask, typed, Problem::with_identity(error)?).await,
        }
    }

    /// The dialog again, with what is wrong.
    async fn ask(
        self,
        ask: Ask,
        typed: Typed,
        problem: Problem,
    ) -> Result<HttpResponse, PageError> {
        let account = find(&self.dashboard, &self.account_id.to_string()).await?;
        let dialog = Some(Dialog { ask, typed, problem });
        draw(&self.operator, &self.dashboard, &self.request, account, dialog).await
    }
}

fn path_of(id: AccountId) -> String {
    format!("{}/{id}", Room::Accounts.path())
}

async fn draw(
    operator: &Operator,
    dashboard: &Dashboard,
    request: &HttpRequest,
    account: Account,
    dialog: Option<Dialog>,
) -> Result<HttpResponse, PageError> {
    let (store, id) = (&dashboard.context.store, account.id);
    let is_wrong = dialog.as_ref().is_some_and(|dialog| dialog.problem.is_some());
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let layout = Layout::console(request, operator, Room::Accounts);
    let page = AccountPage {
        layout: layout.titled(account.name.clone()),
        standing: store.find_standing(id).await?.ok_or(PageError::NotFound)?,
        members: store.list_members(id).await?,
        keys: store.list_keys(id).await?.len(),
        endpoints: store.list_endpoints(id).await?.len(),
        actions: store.list_operator_actions(Some(id), None, ACTIONS).await?,
        account,
        dialog,
        path: path_of(id),
        csrf: operator.person.csrf().to_owned(),
    };
    page_with(status, &page)
}
