//! One generation: what was asked for, how it went, what came of it, and what it cost.
//!
//! Canceling and deleting are what the API does, by the same functions.

mod row;

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use actors::batch::AdvanceRefusal;
use actors::engine::CancelError;
use actors::engine::deletion::DeleteError;
use actors::generation::{Generation, Status};
use actors::id::GenerationId;
use actors::permission::Permission;
use actors::ports::credits::CreditStore;
use actors::ports::logs::LogStore;
use actors::ports::{GenerationStore, KeyStore};
use askama::Template;
use serde::Deserialize;

use self::row::{AttemptRow, DeliveryRow, EntryRow, Facts, Output, request_fields};
use super::flash::Flash;
use super::form::Nothing;
use super::layout::Layout;
use super::nav::Area;
use super::{Dashboard, live, page, redirect};
use crate::auth::session::{CsrfForm, Workspace};
use crate::error::page::PageError;

/// Deliveries that are listed; with a few endpoints there are a handful.
const DELIVERIES_MAX: u32 = 50;

#[derive(Template)]
#[template(path = "generations/generation.html")]
struct GenerationPage {
    layout: Layout,
    /// Where this page is, and where the list is.
    path: String,
    generations: String,
    version: String,
    facts: Facts,
    outputs: Vec<Output>,
    request: Vec<(String, String)>,
    attempts: Vec<AttemptRow>,
    entries: Vec<EntryRow>,
    deliveries: Vec<DeliveryRow>,
    may_manage: bool,
    dialog: Option<Dialog>,
    csrf: String,
}

/// What is asked once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialog {
    Cancel,
    Delete,
}

/// Which dialog is open.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    dialog: String,
}

pub(super) async fn show(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<(String, String)>,
    asked: Query<Asked>,
) -> Result<HttpResponse, PageError> {
    let generation = find(&dashboard, &workspace, generation_id(&path)?).await?;
    let (store, account_id) = (&dashboard.context.store, workspace.account.id);
    let keys = store.list_keys(account_id).await?;
    let entries = store.list_entries_of(account_id, generation.id).await?;
    let deliveries = store.generation_deliveries(account_id, generation.id, DELIVERIES_MAX).await?;
    let may_manage = workspace.may(Permission::ManageGenerations);
    let is_running = !generation.status().is_terminal();
    let dialog = match asked.dialog.as_str() {
        "cancel" if is_running => Some(Dialog::Cancel),
        "delete" => Some(Dialog::Delete),
        _ => None,
    };
    let webhooks = Area::Webhooks.path(&workspace.slug);
    let generations = Area::Generations.path(&workspace.slug);
    let deliveries: Vec<DeliveryRow> =
        deliveries.iter().map(|one| DeliveryRow::of(one, &webhooks)).collect();
    let title = format!("Generation {}", generation.id);
    page(&GenerationPage {
        layout: Layout::workspace(&request, &workspace, Area::Generations).titled(title),
        path: format!("{generations}/{}", generation.id),
        generations,
        version: version(&generation),
        facts: Facts::of(&generation, &keys),
        outputs: Output::all(&generation, &dashboard.files, workspace.account.plan),
        request: request_fields(&generation),
        attempts: generation
            .attempts()
            .iter()
            .map(|it| AttemptRow::of(it, dashboard.engine.delivery(&generation, it)))
            .collect(),
        entries: entries.iter().map(EntryRow::of).collect(),
        deliveries,
        may_manage,
        dialog: dialog.filter(|_| may_manage),
        csrf: workspace.csrf().to_owned(),
    })
}

/// Tells when it stands elsewhere.
pub(super) async fn watch(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, PageError> {
    let (id, live) = (generation_id(&path)?, dashboard.live.clone());
    live.tell(move || {
        let (dashboard, workspace) = (dashboard.clone(), workspace.clone());
        async move { Ok(version(&find(&dashboard, &workspace, id).await?)) }
    })
}

pub(super) async fn cancel(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ManageGenerations)?;
    let id = generation_id(&path)?;
    let flash = match dashboard.engine.cancel(workspace.account.id, id).await {
        Ok(_) => Flash::success("Generation canceled, and its credit given back"),
        Err(CancelError::Refused(AdvanceRefusal::NotFound)) => return Err(PageError::NotFound),
        Err(CancelError::Refused(_)) => Flash::error("Too late: it has ended already"),
        Err(CancelError::Store(error)) => return Err(error.into()),
    };
    let path = Area::Generations.path(&workspace.slug);
    Ok(redirect(&format!("{path}/{id}"), flash))
}

pub(super) async fn delete(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    workspace.require(Permission::ManageGenerations)?;
    let id = generation_id(&path)?;
    match dashboard.engine.delete(workspace.account.id, id).await {
        Ok(_) => {}
        Err(DeleteError::NotFound) => return Err(PageError::NotFound),
        Err(DeleteError::Outputs(error) | DeleteError::Store(error)) => return Err(error.into()),
    }
    let path = Area::Generations.path(&workspace.slug);
    Ok(redirect(&path, Flash::success("Generation deleted")))
}

fn generation_id(path: &(String, String)) -> Result<GenerationId, PageError> {
    GenerationId::parse(&path.1).ok_or(PageError::NotFound)
}

async fn find(
    dashboard: &Dashboard,
    workspace: &Workspace,
    id: GenerationId,
) -> Result<Generation, PageError> {
    let found = dashboard.context.store.find(workspace.account.id, id).await?;
    found.ok_or(PageError::NotFound)
}

/// What is another when it stands elsewhere, or is being tried elsewhere.
fn version(generation: &Generation) -> String {
    let attempts = generation.attempts().iter().map(|attempt| {
        (attempt.number, attempt.outcome.as_str(), attempt.job.as_ref().map(|job| job.0.as_str()))
    });
    let files = generation.files_removed_at();
    live::version((generation.status().as_str(), files, attempts.collect::<Vec<_>>()))
}

impl GenerationPage {
    fn is_running(&self) -> bool {
        matches!(self.facts.status, Status::Pending | Status::Processing)
    }
}
