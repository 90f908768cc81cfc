//! The operator's side: faults, the log, and starting anew. It asks for no key, so the emulator
//! should listen where only its users are.

use std::sync::Arc;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::call::{Answer, Call};
use crate::faults::Faults;
use crate::house::House;
use crate::jobs::Job;
use crate::settings::Provider;

/// How many jobs of each provider are shown.
const JOBS_SHOWN: usize = 200;

/// Answers what is below `/admin`.
pub(crate) fn answer(house: &Arc<House>, call: &Call) -> Answer {
    match (&call.method, call.segments().as_slice()) {
        (&Method::GET, ["faults", name]) => {
            with_provider(name, |provider| Answer::json(200, json!(house.desk(provider).faults())))
        }
        (&Method::PUT, ["faults", name]) => {
            with_provider(name, |provider| set_faults(house, provider, call))
        }
        (&Method::GET, ["log"]) => Answer::json(200, log(house)),
        (&Method::POST, ["reset"]) => {
            Provider::ALL.into_iter().for_each(|provider| house.desk(provider).reset());
            house.journal.clear();
            Answer::empty(204)
        }
        (_, ["faults", _] | ["log"] | ["reset"]) => wrong(405, "wrong method"),
        _ => wrong(404, "no such page: there are faults/{provider}, log and reset"),
    }
}

fn with_provider(name: &str, answer: impl FnOnce(Provider) -> Answer) -> Answer {
    match Provider::parse(name) {
        Some(provider) => answer(provider),
        None => wrong(404, "no such provider"),
    }
}

fn set_faults(house: &House, provider: Provider, call: &Call) -> Answer {
    let faults: Faults = match serde_json::from_slice(&call.body) {
        Ok(faults) => faults,
        Err(error) => return wrong(400, &error.to_string()),
    };
    if let Err(why) = faults.check() {
        return wrong(400, &why);
    }
    house.desk(provider).set_faults(faults.clone());
    Answer::json(200, json!(faults))
}

fn log(house: &House) -> Value {
    let now = house.clock.now();
    let show = |provider: Provider, job: Job| {
        json!({
            "provider": provider,
            "id": job.id,
            "model": job.model,
            "request": job.request.as_ref(),
            "submitted": job.submitted,
            "starts": job.starts,
            "ends": job.ends,
            "fate": job.fate,
            "stage": format!("{:?}", job.stage(now)),
        })
    };
    let jobs = Provider::ALL.into_iter().flat_map(|provider| {
        let latest = house.desk(provider).jobs.latest(JOBS_SHOWN);
        latest.into_iter().map(move |job| show(provider, job))
    });
    json!({ "requests": house.journal.entries(), "jobs": jobs.collect::<Vec<_>>() })
}

fn wrong(status: u16, why: &str) -> Answer {
    Answer::json(status, json!({ "error": why }))
}
