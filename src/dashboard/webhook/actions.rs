//! What is done to an endpoint, and how it went. Each is a use case of `endpoint_admin`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use actors::id::{AccountId, DeliveryId, EndpointId};
use actors::permission::Permission;
use actors::ports::EndpointRefusal;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::dialog::{Dialog, OVERLAP_HOURS, RangeForm, RangeIn};
use super::{Filter, Place, endpoint_id};
use crate::auth::session::{CsrfForm, Workspace};
use crate::dashboard::flash::Flash;
use crate::dashboard::form::{Nothing, sentence};
use crate::dashboard::listing::ListQuery;
use crate::dashboard::nav::Area;
use crate::dashboard::webhooks::form::{EndpointForm, Fields};
use crate::dashboard::{Dashboard, redirect};
use crate::endpoint_admin;
use crate::error::page::PageError;
use crate::identity::{Context, IdentityError};

/// The endpoint that a form is about, of somebody who may change it.
struct Subject {
    /// In which it is this person who does it.
    context: Context,
    account_id: AccountId,
    id: EndpointId,
    /// Where its page is.
    path: String,
}

impl Subject {
    fn of(workspace: &Workspace, dashboard: &Dashboard, id: &str) -> Result<Self, PageError> {
        workspace.require(Permission::ManageWebhooks)?;
        let id = endpoint_id(id)?;
        let path = format!("{}/{id}", Area::Webhooks.path(&workspace.slug));
        let context = dashboard.context.of(workspace.person.user.id);
        Ok(Self { context, account_id: workspace.account.id, id, path })
    }

    /// Back to the page, which says how it went.
    fn done<T>(
        &self,
        outcome: Result<T, IdentityError>,
        text: impl FnOnce(T) -> String,
    ) -> Result<HttpResponse, PageError> {
        let flash = match outcome {
            Ok(done) => Flash::success(text(done)),
            Err(IdentityError::Endpoint(
                EndpointRefusal::UnknownEndpoint | EndpointRefusal::UnknownDelivery,
            )) => return Err(PageError::NotFound),
            Err(IdentityError::Endpoint(refusal)) => Flash::error(sentence(&refusal.to_string())),
            Err(other) => return Err(PageError::internal(other)),
        };
        Ok(redirect(&self.path, flash))
    }
}

pub(in crate::dashboard) async fn enable(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    let subject = Subject::of(&workspace, &dashboard, &path.1)?;
    let (account_id, id) = (subject.account_id, subject.id);
    let done = endpoint_admin::enable(&subject.context, account_id, id, false).await;
    subject.done(done, |()| "Endpoint enabled".to_owned())
}

pub(in crate::dashboard) async fn disable(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    let subject = Subject::of(&workspace, &dashboard, &path.1)?;
    let (account_id, id) = (subject.account_id, subject.id);
    let done = endpoint_admin::disable(&subject.context, account_id, id).await;
    subject.done(done, |()| "Endpoint disabled".to_owned())
}

pub(in crate::dashboard) async fn edit(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<(String, String)>,
    form: CsrfForm<Fields>,
) -> Result<HttpResponse, PageError> {
    let subject = Subject::of(&workspace, &dashboard, &path.1)?;
    let (account_id, id, form) = (subject.account_id, subject.id, EndpointForm::read(form.0)?);
    match endpoint_admin::edit(&subject.context, account_id, id, &form.events).await {
        Ok(_) => Ok(redirect(&subject.path, Flash::success("Event types saved"))),
        Err(error) => {
            let dialog = Dialog::Edit(form.refused(error)?);
            again(workspace, &dashboard, &request, id, dialog).await
        }
    }
}

#[derive(Debug, Deserialize)]
pub(in crate::dashboard) struct RotateIn {
    overlap_hours: u32,
}

pub(in crate::dashboard) async fn rotate(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<(String, String)>,
    form: CsrfForm<RotateIn>,
) -> Result<HttpResponse, PageError> {
    let subject = Subject::of(&workspace, &dashboard, &path.1)?;
    let hours = form.0.overlap_hours;
    if !OVERLAP_HOURS.iter().any(|(offered, _)| *offered == hours) {
        return Err(PageError::BadForm);
    }
    let (context, id) = (&subject.context, subject.id);
    match endpoint_admin::rotate_secret(context, subject.account_id, id, hours).await {
        Ok(rotated) => {
            let secret = rotated.secret.expose_secret().to_owned();
            let dialog = Dialog::Rotated { secret, until: rotated.previous_until };
            again(workspace, &dashboard, &request, id, dialog).await
        }
        Err(error) => subject.done(Err::<(), _>(error), |()| String::new()),
    }
}

/// Sends a test event, and shows what came of it with its log.
pub(in crate::dashboard) async fn test(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    let subject = Subject::of(&workspace, &dashboard, &path.1)?;
    let (context, sender) = (&subject.context, dashboard.webhook_sender.as_ref());
    match endpoint_admin::test(context, sender, subject.account_id, subject.id).await {
        Ok((delivery_id, result)) => {
            let flash = match &result.error {
                None => Flash::success("Test event delivered"),
                Some(error) => Flash::error(format!("Test event not delivered: {error}")),
            };
            let to = format!("{}?dialog=delivery&id={delivery_id}", subject.path);
            Ok(redirect(&to, flash))
        }
        Err(error) => subject.done(Err::<(), _>(error), |()| String::new()),
    }
}

pub(in crate::dashboard) async fn deliver_queued(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    let subject = Subject::of(&workspace, &dashboard, &path.1)?;
    let (account_id, id) = (subject.account_id, subject.id);
    let sent = endpoint_admin::deliver_queued(&subject.context, account_id, id).await;
    subject.done(sent, resent)
}

pub(in crate::dashboard) async fn replay(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    let subject = Subject::of(&workspace, &dashboard, &path.1)?;
    let delivery = DeliveryId::parse(&path.2).ok_or(PageError::NotFound)?;
    let sent = endpoint_admin::replay(&subject.context, subject.account_id, delivery).await;
    subject.done(sent, resent)
}

pub(in crate::dashboard) async fn replay_between(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    request: HttpRequest,
    path: Path<(String, String)>,
    form: CsrfForm<RangeIn>,
) -> Result<HttpResponse, PageError> {
    let subject = Subject::of(&workspace, &dashboard, &path.1)?;
    let (context, id, typed) = (&subject.context, subject.id, form.0);
    let sent = match typed.read() {
        None => Err("Both have to be a date with a time.".to_owned()),
        Some((from, until)) => {
            let sent =
                endpoint_admin::replay_between(context, subject.account_id, id, from, until).await;
            match sent {
                Err(error @ IdentityError::Invalid { .. }) => Err(sentence(&error.to_string())),
                sent => Ok(sent),
            }
        }
    };
    match sent {
        Ok(sent) => subject.done(sent, resent),
        Err(error) => {
            let dialog = Dialog::Range(RangeForm { typed, error });
            again(workspace, &dashboard, &request, id, dialog).await
        }
    }
}

pub(in crate::dashboard) async fn delete(
    workspace: Workspace,
    dashboard: Data<Dashboard>,
    path: Path<(String, String)>,
    _form: CsrfForm<Nothing>,
) -> Result<HttpResponse, PageError> {
    let subject = Subject::of(&workspace, &dashboard, &path.1)?;
    match endpoint_admin::delete(&subject.context, subject.account_id, subject.id).await {
        Ok(()) => {
            let flash = Flash::success("Endpoint deleted");
            Ok(redirect(&Area::Webhooks.path(&workspace.slug), flash))
        }
        Err(error) => subject.done(Err::<(), _>(error), |()| String::new()),
    }
}

fn resent(count: u64) -> String {
    match count {
        0 => "There was nothing to send".to_owned(),
        1 => "1 event is sent again".to_owned(),
        many => format!("{many} events are sent again"),
    }
}

/// The page as it is now, with a dialog that follows from a form.
async fn again(
    workspace: Workspace,
    dashboard: &Dashboard,
    request: &HttpRequest,
    id: EndpointId,
    dialog: Dialog,
) -> Result<HttpResponse, PageError> {
    let place = Place::find(dashboard, workspace, id).await?;
    let query = ListQuery::default();
    place.show(dashboard, request, query, &Filter::default(), Some(dialog)).await
}
