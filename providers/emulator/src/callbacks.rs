//! Calling back: when, with which signature, and how often until it is heard.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::faults::CallbackFault;
use crate::house::House;
use crate::jobs::{Callback, Job, Moment};
use crate::settings::Provider;
use crate::wire::{self, Message};

/// A receiver that takes longer has not received.
const TIMEOUT: Duration = Duration::from_secs(15);

/// For how long after the end of a job a process that starts goes on calling.
const RESUMED_FOR: TimeDelta = TimeDelta::hours(2);

/// Sees to it that whoever asked for it is called. Returns at once, unless the first call is to
/// come before the submit is answered.
pub(crate) async fn arrange(house: &Arc<House>, provider: Provider, job: &Job) {
    let Some(callback) = job.callback.clone() else { return };
    match callback.fault {
        CallbackFault::Never => {}
        CallbackFault::Early => call(house, provider, job, &callback, Moment::Finished).await,
        CallbackFault::None | CallbackFault::Duplicate | CallbackFault::Forged => {
            let (house, job) = (Arc::clone(house), job.clone());
            let from = job.submitted;
            // On the worker's own runtime, which ends with it.
            tokio::spawn(async move { follow(&house, provider, job, &callback, from).await });
        }
    }
}

/// Goes on calling about the jobs that an earlier process has left, if nobody has heard of their
/// end.
pub(crate) fn resume(house: &Arc<House>) {
    let now = house.clock.now();
    for provider in Provider::ALL {
        let since = now - RESUMED_FOR;
        let due = |job: &Job| !job.heard && job.callback.is_some() && job.over() >= since;
        for job in house.desk(provider).jobs.select(usize::MAX, due) {
            let Some(callback) = job.callback.clone() else { continue };
            if callback.fault != CallbackFault::Never {
                let house = Arc::clone(house);
                tokio::spawn(async move { follow(&house, provider, job, &callback, now).await });
            }
        }
    }
}

/// Calls at every moment from a time on; of those before, only the end is still news.
async fn follow(
    house: &House,
    provider: Provider,
    job: Job,
    callback: &Callback,
    from: DateTime<Utc>,
) {
    for moment in [Moment::Accepted, Moment::Started, Moment::Output, Moment::Finished] {
        let due = match moment {
            Moment::Accepted => job.submitted,
            Moment::Started => job.starts,
            Moment::Output => job.ends,
            Moment::Finished => job.over(),
        };
        let Some(current) = wait_until(house, provider, &job, due).await else { return };
        // A job that was canceled or given up has only an end.
        let past = due < from || current.over() < due;
        let skipped = past && moment != Moment::Finished;
        if callback.moments.contains(&moment) && !skipped {
            call(house, provider, &current, callback, moment).await;
        }
    }
}

/// Waits for a time or for a cancel; `None` when the job was deleted.
async fn wait_until(
    house: &House,
    provider: Provider,
    job: &Job,
    due: DateTime<Utc>,
) -> Option<Job> {
    loop {
        let changed = job.changed.notified();
        let current = house.desk(provider).jobs.find(&job.id)?;
        let left = (due.min(current.over()) - house.clock.now()).to_std().unwrap_or_default();
        if left.is_zero() {
            return Some(current);
        }
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = changed => {}
        }
    }
}

/// Calls about a moment, until it is heard if it is the last.
async fn call(house: &House, provider: Provider, job: &Job, callback: &Callback, moment: Moment) {
    let wire = wire::of(provider);
    let Some(body) = wire.callback_body(house, job, moment) else { return };
    let body = body.to_string();
    // The same on every try, so that the receiver can tell a repetition from news.
    let id = format!("msg_{}_{moment:?}", job.id).to_lowercase();
    if moment != Moment::Finished {
        post(house, provider, job, callback, &id, &body, Signed::Well).await;
        return;
    }
    if callback.fault == CallbackFault::Forged {
        post(house, provider, job, callback, &id, &body, Signed::Badly).await;
    }
    let repeats = if callback.fault == CallbackFault::Duplicate { 2 } else { 1 };
    for _ in 0..repeats {
        let waits = wire.callback_waits().iter().copied().map(Some).chain([None]);
        for wait in waits {
            if post(house, provider, job, callback, &id, &body, Signed::Well).await {
                house.desk(provider).jobs.heard(&job.id);
                break;
            }
            let Some(wait) = wait else { break };
            let seconds = wait * house.settings.webhook_wait_scale;
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signed {
    Well,
    Badly,
}

/// Whether it was heard.
async fn post(
    house: &House,
    provider: Provider,
    job: &Job,
    callback: &Callback,
    id: &str,
    body: &str,
    signed: Signed,
) -> bool {
    let at = house.clock.now();
    // A forgery is signed over another body.
    let signed_body = if signed == Signed::Well { body } else { "forged" };
    let message = Message { id, at, body: signed_body.as_bytes() };
    let headers = wire::of(provider).callback_headers(house, job, &message);
    let mut request = house
        .client
        .post(callback.url.clone())
        .timeout(TIMEOUT)
        .header("content-type", "application/json")
        .body(body.to_owned());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let status = request.send().await.ok().map(|answer| answer.status());
    house.journal.note_callback(house.clock.now(), provider, &job.id, status.map(|s| s.as_u16()));
    status.is_some_and(|status| status.is_success())
}
