//! API keys of a workspace: the list, and a dialog for everything that is done to them.
//!
//! Labels, columns and texts are those of the seeds (`spec/dashboard.md` 2). A key in the clear is in
//! the answer to the form that made it and nowhere else.

mod dialog;
mod row;

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::api_key::ApiKey;
use actors::id::ApiKeyId;
use actors::permission::Permission;
use actors::ports::{KeyRefusal, KeyStore};
use askama::Template;
use serde::Deserialize;

use self::dialog::{AddForm, AddIn, Dialog, Errors, GRACE_HOURS};
use self::row::Row;
use super::flash::Flash;
use super::form::Nothing;
use super::layout::Layout;
use super::listing::{Column, Empty, Filters, ListQuery, Listing, cut};
use super::nav::Area;
use super::{Dashboard, live, page, redirect};
use crate::auth::session::{CsrfForm, Workspace};
use crate::error::page::PageError;
use crate::identity::{self, IdentityError};

/// Rows of a page.
const PAGE: usize = 50;
const COLUMNS: [Column; 6] = [
    Column::sorted("API name", "name"),
    Column::of("Prefix"),
    Column::sorted("Last used", "last_used"),
    Column::sorted("Created", "created"),
    Column::sorted("Status", "status"),
    Column::of("IP allowlist"),
];
const EMPTY: Empty = Empty {
    icon: "key-round",
    title: "No data available",
    text: "Generate API keys to authenticate requests and start generating contents",
};

#[derive(Template)]
#[template(path = "api_keys/page.html")]
struct ApiKeysPage {
    layout: Layout,
    list: Listing,
    rows: Vec<Row>,
    may_manage: bool,
    dialog: Option<Dialog>,
    /// Where forms are sent to.
    path: String,
    csrf: String,
}

/// Which dialog is open, and for which key.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    dialog: String,
    id: String,
}

pub(super) async fn list(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    query: Query<ListQuery>,
    asked: Query<Asked>,
) -> Result<HttpResponse, PageError> {
    let keys = keys(&dashboard, &workspace).await?;
    let dialog = match workspace.may(Permission::ManageKeys) {
        true => Dialog::asked(&asked.dialog, &asked.id, &keys, dashboard.context.clock.now()),
        false => None,
    };
    show(&dashboard, &workspace, &request, query.into_inner(), keys, dialog)
}

/// Tells when the list has changed.
pub(super) async fn watch(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
) -> Result<HttpResponse, PageError> {
    let live = dashboard.live.clone();
    live.tell(move || {
        let (dashboard, workspace) = (dashboard.clone(), workspace.clone());
        async move { Ok(version(&dashboard, &keys(&dashboard, &workspace).await?)) }
    })
}

pub(super) async fn create(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    form: CsrfForm<AddIn>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ManageKeys)?;
    let typed = form.0;
    let made = match typed.read(workspace.account.id) {
        Ok(new) => identity::create_key(&dashboard.context.of(workspace.person.user.id), new)
            .await
            .map_err(Errors::of),
        Err(errors) => Err(Ok(errors)),
    };
    let dialog = match made {
        Ok(created) => Dialog::Created { key: created.plain.expose().to_owned() },
        Err(errors) => Dialog::Add(AddForm::new(typed, errors?, dashboard.context.clock.now())),
    };
    again(&dashboard, &workspace, &request, dialog).await
}

#[derive(Debug, Deserialize)]
pub(super) struct RotateIn {
    grace_hours: u32,
}

pub(super) async fn rotate(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<(String, String)>,
    form: CsrfForm<RotateIn>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ManageKeys)?;
    if !GRACE_HOURS.iter().any(|(hours, _)| *hours == form.0.grace_hours) {
        return Err(PageError::BadForm);
    }
    let (account_id, id) = (workspace.account.id, key_id(&path)?);
    let context = dashboard.context.of(workspace.person.user.id);
    match identity::rotate_key(&context, account_id, id, form.0.grace_hours).await {
        Ok(rotated) => {
            let dialog = Dialog::Rotated {
                key: rotated.plain.expose().to_owned(),
                old: rotated.keys.old.prefix,
                until: rotated.keys.old.expires_at,
            };
            again(&dashboard, &workspace, &request, dialog).await
        }
        Err(error) => refuse(&workspace, error),
    }
}

pub(super) async fn revoke(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ManageKeys)?;
    let (account_id, id) = (workspace.account.id, key_id(&path)?);
    let by = dashboard.context.of(workspace.person.user.id).by();
    if !dashboard.context.store.revoke_key(account_id, id, by).await? {
        return Err(PageError::NotFound);
    }
    Ok(redirect(&Area::ApiKeys.path(&workspace.slug), Flash::success("API key revoked")))
}

pub(super) async fn delete(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ManageKeys)?;
    let (account_id, id) = (workspace.account.id, key_id(&path)?);
    let by = dashboard.context.of(workspace.person.user.id).by();
    if !dashboard.context.store.delete_key(account_id, id, by).await? {
        return Err(PageError::NotFound);
    }
    Ok(redirect(&Area::ApiKeys.path(&workspace.slug), Flash::success("API key deleted")))
}

fn key_id(path: &(String, String)) -> Result<ApiKeyId, PageError> {
    ApiKeyId::parse(&path.1).ok_or(PageError::NotFound)
}

/// The end of a rotation that was refused.
fn refuse(workspace: &Workspace, error: IdentityError) -> Result<HttpResponse, PageError> {
    match error {
        IdentityError::Key(KeyRefusal::UnknownKey) => Err(PageError::NotFound),
        IdentityError::Key(refusal) => {
            let flash = Flash::error(format!("Not rotated: {refusal}"));
            Ok(redirect(&Area::ApiKeys.path(&workspace.slug), flash))
        }
        other => Err(PageError::internal(other)),
    }
}

async fn keys(dashboard: &Dashboard, workspace: &Workspace) -> Result<Vec<ApiKey>, PageError> {
    Ok(dashboard.context.store.list_keys(workspace.account.id).await?)
}

/// The list as it is now, with a dialog that follows from a form.
async fn again(
    dashboard: &Dashboard,
    workspace: &Workspace,
    request: &HttpRequest,
    dialog: Dialog,
) -> Result<HttpResponse, PageError> {
    let keys = keys(dashboard, workspace).await?;
    show(dashboard, workspace, request, ListQuery::default(), keys, Some(dialog))
}

fn version(dashboard: &Dashboard, keys: &[ApiKey]) -> String {
    let now = dashboard.context.clock.now();
    let shown = keys.iter().map(|key| (key.id, key.last_used_at, key.status(now).as_str()));
    live::version(shown.collect::<Vec<_>>())
}

fn show(
    dashboard: &Dashboard,
    workspace: &Workspace,
    request: &HttpRequest,
    query: ListQuery,
    keys: Vec<ApiKey>,
    dialog: Option<Dialog>,
) -> Result<HttpResponse, PageError> {
    let (path, now) = (Area::ApiKeys.path(&workspace.slug), dashboard.context.clock.now());
    let version = version(dashboard, &keys);
    let rows = row::arranged(keys.iter().map(|key| Row::of(key, now)).collect(), &query);
    let (rows, next) = cut(rows, &query.after, PAGE, |row| row.id.to_string());
    page(&ApiKeysPage {
        layout: Layout::workspace(request, workspace, Area::ApiKeys).full(query.is_full()),
        list: Listing {
            id: "keys",
            label: "API keys",
            path: path.clone(),
            query,
            chosen: Filters::default(),
            filters: Vec::new(),
            columns: &COLUMNS,
            has_menu: true,
            export: None,
            is_empty: rows.is_empty(),
            empty: EMPTY,
            next,
            version,
            live: format!("{path}/live"),
        },
        rows,
        may_manage: workspace.may(Permission::ManageKeys),
        dialog,
        path,
        csrf: workspace.csrf().to_owned(),
    })
}
