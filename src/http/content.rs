//! The content of an account: list and delete.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use actors::id::GenerationId;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::AppState;
use super::envelope::Success;
use super::generations::{read_id, show};
use super::openapi::parameters::{GenerationPath, PageQuery};
use super::openapi::schemas::generation::GenerationsSchema;
use super::page::Page;
use crate::auth::{Authorized, GenerationDelete, GenerationRead};
use crate::error::ApiError;

/// `spec/contract.md` 1.8: newest first.
#[utoipa::path(
    get,
    path = "/v1/content/list",
    tag = "generations",
    summary = "List the generations",
    params(PageQuery),
    responses((status = 200, description = "A page of them, newest first.", body = GenerationsSchema)),
    security(("api_key" = ["generation:read"]))
)]
pub(super) async fn list_generations(
    caller: Authorized<GenerationRead>,
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<Success<Value>, ApiError> {
    let page = Page::read(request.query_string())?;
    let account_id = caller.key.account_id;
    let total = state.generations.count(account_id).await?;
    let found = state.generations.list(account_id, page.offset, page.limit).await?;
    let show = |generation| show(&state, caller.plan, generation);
    let records: Vec<Value> = found.iter().map(show).collect();
    let data = json!({ "generations": records });
    Ok(Success::new("Generations retrieved successfully", data).page(page, total))
}

/// `spec/contract.md` 1.9.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deleted, description = "A generation that is gone.")]
pub(super) struct DeleteOut {
    #[schema(value_type = String, format = "uuid")]
    generation_id: GenerationId,
    files_deleted: u64,
}

#[utoipa::path(
    delete,
    path = "/v1/content/{generation_id}",
    tag = "generations",
    summary = "Delete a generation",
    description = "Its files go with it. One that is running is canceled first.",
    params(GenerationPath),
    responses((status = 200, description = "It is gone.", body = DeleteOut)),
    security(("api_key" = ["generation:delete"]))
)]
pub(super) async fn delete_generation(
    caller: Authorized<GenerationDelete>,
    state: Data<AppState>,
    id: Path<String>,
) -> Result<Success<DeleteOut>, ApiError> {
    let id = read_id(&state, &id);
    let files_deleted = state.engine.delete(caller.key.account_id, id).await?;
    let out = DeleteOut { generation_id: id, files_deleted };
    Ok(Success::new("Generation deleted successfully", out))
}
