//! How quickly the pages of a workspace with a long past are answered, and what they weigh.
//!
//! The past is written by the store, as it would have come to be, over ninety days. One browser asks
//! for one page after another, so what is measured is the work and not the queue; a bare handler
//! in between says what the machine can do.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::account::{Account, AccountKind, Plan};
use actors::activity::{Actor, By};
use actors::api_key::{ApiKey, KeyStatus};
use actors::batch::Advance;
use actors::catalogue::PriceSource;
use actors::failure::{Failure, FailureCode};
use actors::generation::{
    AskedBy, Event, Generation, NewAttempt, NewGeneration, Pricing, StoredFile,
};
use actors::id::{AccountId, ActivityId, GenerationId, SessionId, UserId};
use actors::logged_request::LoggedRequest;
use actors::money::Credits;
use actors::ports::people::{NewPerson, SessionStore, UserStore};
use actors::ports::tallies::TallyStore;
use actors::ports::{GenerationStore, Grant, RequestLogStore};
use actors::spending::Month;
use actors::user::{Email, Session, User};
use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::try_join_all;
use providers::name::ProviderName;
use providers::{JobRef, MediaKind};
use serde::Serialize;
use serde_json::json;

use crate::bench::load::Load;
use crate::identity::{Context, NewKey, create_key};
use crate::secrets::token_hash;

/// Generations that are written together: a batch of the writer.
const TOGETHER: u32 = 256;
/// Over how many days they are spread.
const DAYS: i64 = 89;
/// Rows whose days are put together at once.
const COMPACTED: u32 = 10_000;
/// What the browser holds.
const TOKEN: &str = "a-browser-of-the-bench";
const MODELS: [&str; 4] =
    ["sandbox/inline", "sandbox/polling", "sandbox/webhook", "sandbox/failover"];

/// What `babysea bench dashboard` found.
#[derive(Debug, Clone, Serialize)]
pub struct DashboardReport {
    /// Generations of the account, and requests in its log.
    pub generations: u32,
    /// Milliseconds of the bare handler: half of the answers, and 99 of 100.
    pub bare_p50_ms: f64,
    /// 99 of 100.
    pub bare_p99_ms: f64,
    /// Each page.
    pub pages: Vec<PageReport>,
}

/// One page.
#[derive(Debug, Clone, Serialize)]
pub struct PageReport {
    /// Which, without the workspace.
    pub page: String,
    /// Half of the answers took at most.
    pub p50_ms: f64,
    /// 99 of 100 took at most.
    pub p99_ms: f64,
    /// The first to the bare handler's.
    pub ratio: f64,
    /// Kibibytes as they are sent.
    pub plain_kib: f64,
    /// And with gzip, as a proxy in front may send them.
    pub gzip_kib: f64,
}

/// An account with a past, and where its pages are.
#[derive(Debug, Clone)]
pub struct Past {
    /// Paths of pages.
    pages: Vec<String>,
    generations: u32,
}

/// Writes a person with an account that has this many generations and requests.
///
/// # Errors
/// When it cannot be written.
pub async fn fill(context: &Context, generations: u32) -> anyhow::Result<Past> {
    let now = context.clock.now();
    let account_id = person(context, now).await?;
    let mut keys = Vec::new();
    for name in ["render farm", "web", "nightly"] {
        let new = NewKey::full_access(account_id, name);
        keys.push(Arc::new(create_key(context, new).await?.key));
    }
    let step = TimeDelta::days(DAYS) / i32::try_from(generations.max(1))?;
    let mut last = None;
    for first in (0..generations).step_by(TOGETHER as usize) {
        let numbers = first..generations.min(first + TOGETHER);
        let at = |number: u32| now - TimeDelta::days(DAYS) + step * number.cast_signed();
        let written = numbers.clone().map(|number| {
            let key = &keys[number as usize % keys.len()];
            generation(context, account_id, key, number, at(number))
        });
        last = try_join_all(written).await?.pop();
        let requests = numbers.map(|number| {
            request(context, &keys[number as usize % keys.len()], number, at(number))
        });
        context.store.log_requests(requests.collect()).await?;
    }
    // As the keeper would have done meanwhile.
    while context.store.compact_tallies_any_account(now.date_naive(), COMPACTED).await? > 0 {}
    let mut pages: Vec<String> =
        ["", "?range=24h", "?range=90d", "/generations", "/generations?status=failed"]
            .map(|page| format!("/home/personal{page}"))
            .into();
    if let Some(last) = last {
        pages.push(format!("/home/personal/generations/{}", last.id));
    }
    let others = ["generations?q=nowhere", "logs", "logs?status=5xx", "logs?q=nowhere", "activity"];
    pages.extend(others.map(|page| format!("/home/personal/{page}")));
    pages.push(format!("/home/personal/logs?key={}", keys[1].id));
    pages.extend(["api-keys", "webhooks"].map(|page| format!("/home/personal/{page}")));
    Ok(Past { pages, generations })
}

/// Asks for each page for so long, in turns with the bare handler.
///
/// # Errors
/// When a page is not answered, or answered with something else.
pub fn measure(
    past: &Past,
    product: SocketAddr,
    bare: SocketAddr,
    turn: Duration,
) -> anyhow::Result<DashboardReport> {
    let cookie = format!("Cookie: babysea={TOKEN}");
    let (mut pages, mut bares) = (Vec::new(), Vec::new());
    for path in &past.pages {
        let load = Load::get(product, path, &[&cookie, "Accept: text/html"]);
        let body = load.once().with_context(|| format!("{path} is not answered"))?;
        let bare = Load::get(bare, "/", &[]).run(1, turn / 4)?;
        let sample = load.run(1, turn)?;
        anyhow::ensure!(sample.refused == 0, "{path} was refused {} times", sample.refused);
        pages.push(PageReport {
            page: path.trim_start_matches("/home/personal").to_owned(),
            p50_ms: sample.percentile_ms(0.50),
            p99_ms: sample.percentile_ms(0.99),
            ratio: sample.percentile_ms(0.50) / bare.percentile_ms(0.50),
            plain_kib: kib(body.len()),
            gzip_kib: kib(gzip(&body)?.len()),
        });
        bares.push(bare);
    }
    let bare = |share| super::median(bares.iter().map(|it| it.percentile_ms(share)).collect());
    Ok(DashboardReport {
        generations: past.generations,
        bare_p50_ms: bare(0.50),
        bare_p99_ms: bare(0.99),
        pages,
    })
}

fn kib(bytes: usize) -> f64 {
    bytes as f64 / 1024.0
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Somebody who is signed in, with a personal account that may have as much as is wanted.
async fn person(context: &Context, now: DateTime<Utc>) -> anyhow::Result<AccountId> {
    let email = Email::parse("bench@example.com").context("no address")?;
    let user_id = UserId(context.ids.next());
    let name = "Bench".to_owned();
    let account = Account {
        id: AccountId(context.ids.next()),
        name: name.clone(),
        kind: AccountKind::Personal,
        plan: Plan::Enterprise,
        email: None,
        balance: Credits::ZERO,
        failover_on_moderation: false,
        suspended_at: None,
        created_at: now,
    };
    let (account_id, grant) = (
        account.id,
        Grant {
            amount: Credits::MAX,
            key: "bench".to_owned(),
            description: "Bench".to_owned(),
            at: now,
        },
    );
    let user = User { id: user_id, email, name, operator: false, created_at: now };
    let by = || By { actor: Actor::User(user_id), id: ActivityId(context.ids.next()), at: now };
    let person = NewPerson { user, password_hash: None, account, grant };
    context.store.create_user(person, by()).await??;
    let session = Session {
        user_id,
        id: SessionId(context.ids.next()),
        user_agent: None,
        created_at: now,
        last_seen_at: now,
        expires_at: now + TimeDelta::days(1),
    };
    context.store.create_session(session, &token_hash(TOKEN), None, by()).await?;
    Ok(account_id)
}

/// One that ended: most well, some after a failover, some not at all.
async fn generation(
    context: &Context,
    account_id: AccountId,
    key: &ApiKey,
    number: u32,
    at: DateTime<Utc>,
) -> anyhow::Result<Generation> {
    let input = json!({
        "prompt": "a lighthouse made of folded paper, seen from the sea",
        "ratio": "16:9",
        "format": "png",
        "count": 1,
        "input_files": [],
        "last_frame": null,
        "duration_ms": null,
        "resolution": null,
        "audio": null,
        "options": {},
        "provider_order": ["sandbox_polling", "sandbox_inline"],
        "requested_order": null,
    });
    // Not over yet, or whoever looks after what is overdue would end it first.
    let deadline_at = context.clock.now() + TimeDelta::hours(1);
    let amount = Credits::from_thousandths(10).context("an amount")?;
    let new = NewGeneration {
        account_id,
        id: GenerationId(context.ids.next_at(at)),
        model: MODELS[number as usize % MODELS.len()].to_owned(),
        media: MediaKind::Image,
        input: serde_json::from_value(input)?,
        amount,
        pricing: Pricing {
            cost_per_output: amount,
            source: PriceSource::Operator,
            catalogue_version: "bench".to_owned(),
        },
        asked_by: AskedBy { key: Some(key.id), month: Some(Month::of(at)) },
        claim: None,
        asked_at: at,
        created_at: at,
        deadline_at,
    };
    let attempt = |provider| NewAttempt {
        correlation: context.ids.next(),
        provider,
        raw_model: "sandbox-image".to_owned(),
        cost: None,
        at,
        deadline_at,
    };
    let generation = context.store.accept(new, attempt(ProviderName::SandboxPolling)).await??;
    let end = at + TimeDelta::milliseconds(1_500 + i64::from(number % 97) * 40);
    let accepted =
        |attempt| Event::Accepted { attempt, job: JobRef(format!("job-{number}")), cost: None, at };
    let failure = || Failure::new(FailureCode::ProviderError, "the model is on fire");
    let completed = |attempt| Event::Completed {
        attempt,
        outputs: vec![StoredFile {
            key: format!("{account_id}/{}/0.png", generation.id),
            bytes: 48_000,
        }],
        predict_time: Some(Duration::from_millis(1_200)),
        cost: None,
        at: end,
    };
    let failed = Event::AttemptFailed { attempt: 1, failure: failure(), at: end };
    let events = match number % 20 {
        0 => vec![accepted(1), failed, Event::Failed { failure: failure(), at: end }],
        1 => vec![accepted(1), Event::Canceled { at: end }],
        2 | 3 => vec![
            accepted(1),
            failed,
            Event::AttemptStarted(attempt(ProviderName::SandboxInline)),
            accepted(2),
            completed(2),
        ],
        _ => vec![accepted(1), completed(1)],
    };
    let (id, epoch) = (generation.id, Some(generation.epoch));
    Ok(context.store.advance(Advance { account_id, id, epoch, events }).await??)
}

fn request(context: &Context, key: &Arc<ApiKey>, number: u32, at: DateTime<Utc>) -> LoggedRequest {
    let (status, code) = match number % 50 {
        0 => (500, Some("BSE5000")),
        1..=3 => (429, Some("BSE1005")),
        _ => (200, None),
    };
    LoggedRequest {
        id: context.ids.next_at(at),
        key: Arc::clone(key),
        key_status: KeyStatus::Active,
        method: if number.is_multiple_of(3) { "POST" } else { "GET" }.to_owned(),
        endpoint: ["/v1/generate/image", "/v1/content/{generation_id}", "/v1/status"]
            [number as usize % 3]
            .to_owned(),
        query: None,
        status,
        code,
        replayed: false,
        ip_hash: token_hash(&format!("10.0.0.{}", number % 200)),
        user_agent: Some("bench/1".to_owned()),
        at,
        took: Duration::from_micros(900),
    }
}
