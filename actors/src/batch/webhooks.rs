//! What customers are told, and what comes of telling them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::activity::{Actor, By, Deed, NewActivity};
use crate::batch::{Batch, DeliveryTried, EndpointFault, Try, TryOutcome};
use crate::generation::Generation;
use crate::id::{
    AccountId, ActivityId, DeliveryId, EndpointId, GenerationId, MailId, NotificationId,
};
use crate::mail::{Mail, OwnerMail};
use crate::notification::{Notification, NotificationKind};
use crate::webhook::endpoint::{DisableReason, EndpointState};
use crate::webhook::{DeliveryStatus, EventName, WebhookDelivery, generation_data};

/// What an account's endpoints are to be told.
pub(super) struct News {
    pub(super) account_id: AccountId,
    pub(super) event: EventName,
    pub(super) generation_id: Option<GenerationId>,
    pub(super) data: Arc<Value>,
    pub(super) at: DateTime<Utc>,
}

impl Batch<'_> {
    /// Takes the result of a try in: the delivery's next step and the endpoint's counts.
    /// `None` when the delivery or its endpoint is gone.
    pub fn record_try(&mut self, tried: &DeliveryTried) -> Option<TryOutcome> {
        let (policy, result) = (self.rules.policy, &tried.result);
        let delivery = self.snapshot.deliveries.get_mut(&tried.delivery.id)?;
        let mut endpoint = self.snapshot.endpoints.get_mut(&delivery.endpoint_id);
        if endpoint.is_none() && !tried.is_routine() {
            return None;
        }
        let mut disabled = None;
        if delivery.status.is_open() && delivery.tries < tried.number() {
            let tries_before = delivery.tries;
            delivery.record(result, policy, tried.spread);
            if let Some(endpoint) = &mut endpoint {
                let before = endpoint.clone();
                disabled = endpoint.record(delivery, result, policy);
                if **endpoint != before {
                    self.changed_endpoints.insert(endpoint.id);
                }
            }
            self.changes.tries.push(Try {
                account_id: delivery.account_id,
                delivery_id: delivery.id,
                number: delivery.tries,
                result: result.clone(),
            });
            let (_, last) =
                self.tried.entry(delivery.id).or_insert_with(|| (tries_before, result.clone()));
            last.clone_from(result);
        }
        let endpoint = endpoint.map(|endpoint| &*endpoint);
        let outcome = TryOutcome {
            delivery: delivery.clone(),
            endpoint_enabled: endpoint.is_none_or(|endpoint| endpoint.enabled),
            endpoint_probing: endpoint.is_some_and(|endpoint| endpoint.probing),
            endpoint_paused_until: endpoint.and_then(|endpoint| endpoint.paused_until),
        };
        if let (Some(reason), Some(endpoint)) = (disabled, endpoint.cloned()) {
            self.tell_of_disabling(&endpoint, reason, result.at);
        }
        Some(outcome)
    }

    /// Disables an endpoint for another reason than its answers. Answers whether it was enabled.
    pub fn disable(&mut self, fault: EndpointFault) -> bool {
        let Some(endpoint) = self.snapshot.endpoints.get_mut(&fault.endpoint_id) else {
            return false;
        };
        if !endpoint.enabled {
            return false;
        }
        endpoint.disable(fault.reason, fault.at, self.rules.policy);
        let endpoint = endpoint.clone();
        self.changed_endpoints.insert(endpoint.id);
        self.tell_of_disabling(&endpoint, fault.reason, fault.at);
        true
    }

    /// Queues what is pending, and tells the owner: in the dashboard, and by the other endpoints.
    fn tell_of_disabling(
        &mut self,
        endpoint: &EndpointState,
        reason: DisableReason,
        at: DateTime<Utc>,
    ) {
        let account_id = endpoint.account_id;
        self.changes.disabled.push((account_id, endpoint.id, at));
        let data = disabled_data(endpoint, reason);
        self.notify(account_id, NotificationKind::WebhookDisabled, data.clone(), at);
        let deed = Deed::webhook(reason.action(), endpoint.id, Some(reason.as_str()));
        self.log(account_id, deed, at);
        let (id, why) = (endpoint.id.to_string(), reason.as_str().replace('_', " "));
        self.mail_owner(account_id, Mail::WebhookDisabled { endpoint: id, reason: why }, at);
        let event = EventName::WebhookDisabled;
        let news = News { account_id, event, generation_id: None, data: Arc::new(data), at };
        let others = self.subscribed(account_id, event);
        let others = others.into_iter().filter(|(id, _)| *id != endpoint.id).collect();
        self.tell(others, &news);
    }

    /// Notes what the owner's endpoints are to be told of the state that a generation entered.
    pub(super) fn announce(&mut self, generation: &Generation) {
        let Some(event) = EventName::of(generation.status()) else { return };
        let at = generation.completed_at().or(generation.started_at());
        let at = at.expect("an announced state has a time");
        let endpoints = self.subscribed(generation.account_id, event);
        if endpoints.is_empty() {
            return;
        }
        // Read for every generation that ends, and only those that have ended have files.
        let standing = self.snapshot.standings.get(&generation.account_id);
        let files = standing.map(|standing| self.rules.files.of(generation, standing.plan));
        let news = News {
            account_id: generation.account_id,
            event,
            generation_id: Some(generation.id),
            data: Arc::new(generation_data(generation, &files.unwrap_or_default())),
            at,
        };
        self.tell(endpoints, &news);
    }

    /// The account's endpoints that want to know, each with whether it is enabled.
    pub(super) fn subscribed(
        &self,
        account_id: AccountId,
        event: EventName,
    ) -> Vec<(EndpointId, bool)> {
        let endpoints = self.snapshot.endpoints.values();
        let mut wanting: Vec<(EndpointId, bool)> = endpoints
            .filter(|endpoint| endpoint.account_id == account_id)
            .filter(|endpoint| endpoint.events.contains(&event))
            .map(|endpoint| (endpoint.id, endpoint.enabled))
            .collect();
        wanting.sort_unstable();
        wanting
    }

    /// One delivery for each; for a disabled endpoint it is kept.
    pub(super) fn tell(&mut self, endpoints: Vec<(EndpointId, bool)>, news: &News) {
        for (endpoint_id, enabled) in endpoints {
            let (status, queued_at) = match enabled {
                true => (DeliveryStatus::Pending, None),
                false => (DeliveryStatus::Queued, Some(news.at)),
            };
            self.changes.deliveries.push(WebhookDelivery {
                account_id: news.account_id,
                endpoint_id,
                id: DeliveryId((self.next_id)()),
                event: news.event,
                generation_id: news.generation_id,
                data: Arc::clone(&news.data),
                status,
                queued_at,
                ..WebhookDelivery::blank(news.at)
            });
        }
    }

    pub(super) fn notify(
        &mut self,
        account_id: AccountId,
        kind: NotificationKind,
        data: Value,
        created_at: DateTime<Utc>,
    ) {
        let id = NotificationId((self.next_id)());
        self.changes.notifications.push(Notification {
            account_id,
            id,
            kind,
            data,
            created_at,
            read_at: None,
        });
    }
}

impl Batch<'_> {
    /// Notes what this server did in an account's log.
    pub(super) fn log(&mut self, account_id: AccountId, deed: Deed, at: DateTime<Utc>) {
        let by = By { actor: Actor::System, id: ActivityId((self.next_id)()), at };
        self.changes.activities.push(NewActivity { account_id, by, deed });
    }

    pub(super) fn mail_owner(&mut self, account_id: AccountId, mail: Mail, at: DateTime<Utc>) {
        let id = MailId((self.next_id)());
        self.changes.mails.push(OwnerMail { id, account_id, mail, at });
    }
}

/// `webhook_data` of `webhook.disabled`, which the contract does not know.
fn disabled_data(endpoint: &EndpointState, reason: DisableReason) -> Value {
    json!({
        "account_id": endpoint.account_id,
        "webhook_endpoint_id": endpoint.id,
        "webhook_disabled_reason": reason.as_str(),
        "webhook_enable_after": endpoint.cooldown.map(|cooldown| {
            cooldown.until.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
        }),
    })
}
