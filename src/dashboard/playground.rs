//! The playground: a page for trying the API, open to everybody (`spec/dashboard.md` 4).
//!
//! It lists the models and describes their fields. Everything else its scripts do through the
//! public API, with a key that is in the memory of the page and never sent to a page's address.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use actors::catalogue::Model;
use askama::Template;
use providers::name::ProviderName;
use serde::Serialize;
use serde_json::{Map, Value};

use super::layout::Head;
use super::{Dashboard, page};
use crate::error::page::PageError;
use crate::model_fields;

#[derive(Template)]
#[template(path = "playground/page.html")]
struct PlaygroundPage {
    layout: Standalone,
    labs: Vec<Lab>,
    region: String,
    url: String,
}

/// What the template's layout looks for.
struct Standalone {
    head: Head,
}

/// The models of one maker.
struct Lab {
    name: String,
    models: Vec<Choice>,
}

/// A model that can be chosen.
struct Choice {
    identifier: String,
    /// `image` or `video`.
    media: &'static str,
    /// Who runs it, in the order of the stack.
    providers: String,
}

pub(super) async fn show(
    request: HttpRequest,
    dashboard: Data<Dashboard>,
) -> Result<HttpResponse, PageError> {
    page(&PlaygroundPage {
        layout: Standalone { head: Head::of(&request, "Playground") },
        labs: labs(dashboard.offering.models()),
        region: dashboard.context.rules.region.clone(),
        url: dashboard.url.clone(),
    })
}

fn labs<'a>(models: impl Iterator<Item = (&'a Model, &'a [ProviderName])>) -> Vec<Lab> {
    let mut labs: Vec<Lab> = Vec::new();
    for (model, providers) in models {
        let name = model.identifier.split('/').next().unwrap_or_default();
        let names: Vec<&str> = providers.iter().map(|name| name.as_str()).collect();
        let choice = Choice {
            identifier: model.identifier.clone(),
            media: model.media.as_str(),
            providers: names.join(", "),
        };
        match labs.iter_mut().find(|lab| lab.name == name) {
            Some(lab) => lab.models.push(choice),
            None => labs.push(Lab { name: name.to_owned(), models: vec![choice] }),
        }
    }
    labs
}

/// A model as `GET /v1/library/models` describes it, as far as a form needs it: that route asks for
/// a key, and there is none until a request is about to be sent.
#[derive(Debug, Serialize)]
struct ModelOut {
    model_type: &'static str,
    model_identifier: String,
    model_supported_provider: Vec<&'static str>,
    model_fields: Map<String, Value>,
    model_rules: Vec<String>,
}

pub(super) async fn describe(
    dashboard: Data<Dashboard>,
    identifier: Path<String>,
) -> Result<HttpResponse, PageError> {
    let mut models = dashboard.offering.models();
    let found = models.find(|(model, _)| model.identifier == *identifier);
    let (model, providers) = found.ok_or(PageError::NotFound)?;
    Ok(HttpResponse::Ok().json(ModelOut {
        model_type: model.media.as_str(),
        model_identifier: model.identifier.clone(),
        model_supported_provider: providers.iter().map(|name| name.as_str()).collect(),
        model_fields: model_fields::describe(model),
        model_rules: model_fields::rules(model),
    }))
}
