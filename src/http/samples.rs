//! Generations in every state, an account and its usage, for tests: those of
//! `spec/contract.md` 13.

use std::time::Duration;

use actors::account::{Account, AccountKind, Plan};
use actors::catalogue::PriceSource;
use actors::failure::{Failure, FailureCode};
use actors::file_urls::FileUrls;
use actors::generation::{
    AskedBy, Event, Generation, NewAttempt, NewGeneration, Pricing, StoredFile,
};
use actors::id::{AccountId, GenerationId};
use actors::input::{Input, Route};
use actors::logged_request::RequestCounts;
use actors::money::Credits;
use actors::retention::Retention;
use actors::usage::{EndpointUsage, ProviderUsage, Usage};
use chrono::{DateTime, TimeDelta, Utc};
use providers::name::ProviderName;
use providers::{JobRef, MediaKind, OutputFormat};
use serde_json::{Map, Value, json};
use uuid::{Uuid, uuid};

pub(crate) const ACCOUNT: AccountId = AccountId(uuid!("3f6c1d0e-8b1a-4d57-9c7e-51d0a6b2e904"));
pub(crate) const GENERATION: GenerationId =
    GenerationId(uuid!("b7d2f0a4-6e35-4c1f-8a90-2f4be1c6d713"));
pub(crate) const CORRELATION: Uuid = uuid!("0c9b7a52-1d8e-4f0b-b6a3-9e27d4c81f65");

/// Milliseconds after it was accepted.
pub(crate) fn at(milliseconds: i64) -> DateTime<Utc> {
    let accepted = DateTime::from_timestamp(1_780_388_110, 802_000_000).unwrap();
    accepted + TimeDelta::milliseconds(milliseconds)
}

/// Of 13.13, with the balance of 13.10.
pub(crate) fn account() -> Account {
    Account {
        id: ACCOUNT,
        name: "Paper Lab".to_owned(),
        kind: AccountKind::Team,
        plan: Plan::Pro,
        email: Some("ops@paperlab.example".to_owned()),
        failover_on_moderation: false,
        suspended_at: None,
        balance: Credits::parse("4.100").unwrap(),
        created_at: "2026-05-19T17:40:00Z".parse().unwrap(),
    }
}

/// Of 13.10.
pub(crate) fn usage() -> Usage {
    let endpoint = |endpoint: &str, successes, client_errors, code: &str| EndpointUsage {
        endpoint: endpoint.to_owned(),
        counts: RequestCounts { successes, client_errors, server_errors: 0 },
        codes: vec![(code.to_owned(), client_errors)],
    };
    let provider = |name, submissions, cost_microcredits| ProviderUsage {
        submissions,
        cost_microcredits,
        ..ProviderUsage::new(name)
    };
    Usage {
        endpoints: vec![
            endpoint("/v1/content/{generation_id}", 29, 2, "BSE1005"),
            endpoint("/v1/generate/image", 9, 1, "BSE2001"),
        ],
        providers: vec![
            ProviderUsage {
                used: 6,
                canceled: 1,
                failed: 1,
                wasted_microcredits: 60_000,
                ..provider(ProviderName::Fal, 8, 240_000)
            },
            ProviderUsage { used: 2, ..provider(ProviderName::Replicate, 2, 60_000) },
        ],
        generations: 9,
    }
}

fn input() -> Input {
    Input {
        prompt: "a lighthouse made of folded paper".to_owned(),
        ratio: "16:9".to_owned(),
        format: OutputFormat::Webp,
        count: 1,
        input_files: Vec::new(),
        last_frame: None,
        duration_ms: None,
        resolution: None,
        audio: None,
        options: Map::from_iter([("generation_seed".to_owned(), Value::Null)]),
        provider_order: vec![ProviderName::Fal, ProviderName::Replicate, ProviderName::Cloudflare],
        requested_order: None,
        route: Route::default(),
    }
}

fn new(media: MediaKind, input: Input) -> Generation {
    Generation::new(NewGeneration {
        account_id: ACCOUNT,
        id: GENERATION,
        model: "bfl/flux-schnell".to_owned(),
        media,
        input,
        amount: Credits::parse("0.005").unwrap(),
        pricing: Pricing {
            cost_per_output: Credits::parse("0.005").unwrap(),
            source: PriceSource::Published,
            catalogue_version: "1".to_owned(),
        },
        asked_by: AskedBy::default(),
        claim: None,
        asked_at: at(0),
        created_at: at(0),
        deadline_at: at(60_000),
    })
}

fn asked(generation: &mut Generation, provider: ProviderName, milliseconds: i64) {
    let attempt = NewAttempt {
        correlation: CORRELATION,
        provider,
        raw_model: "m".to_owned(),
        cost: None,
        at: at(milliseconds),
        deadline_at: at(60_000),
    };
    generation.apply(Event::AttemptStarted(attempt)).unwrap();
}

fn accepted(mut generation: Generation) -> Generation {
    let job = JobRef("pj-5520ce1b".to_owned());
    generation.apply(Event::Accepted { attempt: 1, job, cost: None, at: at(262) }).unwrap();
    generation
}

/// An attempt is under way.
pub(crate) fn pending() -> Generation {
    let mut generation = new(MediaKind::Image, input());
    asked(&mut generation, ProviderName::Fal, 0);
    generation
}

pub(crate) fn processing() -> Generation {
    accepted(pending())
}

pub(crate) fn succeeded() -> Generation {
    let mut generation = processing();
    let outputs = vec![StoredFile { key: "us/b7d2f0a4/0.webp".to_owned(), bytes: 9 }];
    let predict_time = Some(Duration::from_micros(1_912_499));
    let completed =
        Event::Completed { attempt: 1, outputs, predict_time, cost: None, at: at(2645) };
    generation.apply(completed).unwrap();
    generation
}

/// Its files are not kept any more.
pub(crate) fn removed() -> Generation {
    let mut generation = succeeded();
    generation.apply(Event::FilesRemoved { at: at(90_000_000) }).unwrap();
    generation
}

/// What makes URLs.
pub(crate) fn file_urls() -> FileUrls {
    let retention = Retention::LONGEST;
    FileUrls::new("https://files.example.net".to_owned(), &[7; 32], retention)
}

pub(crate) fn canceled() -> Generation {
    let mut generation = processing();
    generation.apply(Event::Canceled { at: at(1000) }).unwrap();
    generation
}

/// Each provider of the order failed for the reason beside it.
pub(crate) fn failed(attempts: &[(ProviderName, FailureCode)], reason: FailureCode) -> Generation {
    let mut generation = new(MediaKind::Image, input());
    for (index, (provider, code)) in attempts.iter().enumerate() {
        asked(&mut generation, *provider, 0);
        let failure = Failure::new(*code, "As it was told.");
        let attempt = index as u32 + 1;
        generation.apply(Event::AttemptFailed { attempt, failure, at: at(100) }).unwrap();
    }
    let failure = Failure::new(reason, "The provider did not answer in time.");
    generation.apply(Event::Failed { failure, at: at(5000) }).unwrap();
    generation
}

/// A video with everything, which failed at its provider.
pub(crate) fn failed_video() -> Generation {
    let files = ["https://files.example.net/first.png"];
    let input = Input {
        format: OutputFormat::Mp4,
        input_files: files.iter().map(|url| url.parse().unwrap()).collect(),
        last_frame: Some("https://files.example.net/last.png".parse().unwrap()),
        duration_ms: Some(5000),
        resolution: Some("720p".to_owned()),
        audio: Some(true),
        options: Map::from_iter([("generation_seed".to_owned(), json!(7))]),
        ..input()
    };
    let mut generation = new(MediaKind::Video, input);
    asked(&mut generation, ProviderName::Fal, 0);
    let mut generation = accepted(generation);
    let failure =
        Failure::new(FailureCode::ProviderTimeout, "The provider did not answer in time.");
    generation.apply(Event::Failed { failure, at: at(5000) }).unwrap();
    generation
}

/// Taken by the sandbox provider that calls back.
pub(crate) fn sandbox() -> Generation {
    let mut generation = new(MediaKind::Image, input());
    asked(&mut generation, ProviderName::SandboxWebhook, 0);
    accepted(generation)
}
