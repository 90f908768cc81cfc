//! Deliveries each second to customers' endpoints, and how long they take from the write that
//! makes an event to its arrival, beside what the HTTP client alone can do.
//!
//! Events are canceled generations: two writes and one event each, with no provider in between.
//! Since making them is work too, what lies in the outbox already is measured as well.
//! Receivers, server and client share this machine, so only the ratios count.

pub mod receiver;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actors::account::{AccountKind, Plan};
use actors::batch::Advance;
use actors::catalogue::PriceSource;
use actors::generation::{AskedBy, Event, NewAttempt, NewGeneration, Pricing};
use actors::id::{AccountId, EndpointId, GenerationId};
use actors::money::Credits;
use actors::ports::GenerationStore;
use actors::ports::deliveries::{DeliveryLog, Resend};
use actors::webhook::{EventName, WebhookDelivery};
use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::try_join_all;
use providers::MediaKind;
use providers::name::ProviderName;
use serde::Serialize;
use serde_json::json;
use tokio::time::{sleep, sleep_until, timeout};
use url::Url;

use crate::bench::webhooks::receiver::Receiver;
use crate::identity::{Context, NewAccount, NewEndpoint, create_account, create_endpoint};
use crate::webhook_sender::WebhookClient;

/// Who writes events at a time, and who posts in the bare client: as many as fill both cores of a
/// small machine.
const WRITERS: usize = 48;
/// Endpoints of an account, which is what the default allows.
const PER_ACCOUNT: usize = 10;
/// Deliveries of an endpoint that are sent again together, which is a page of the store.
const AGAIN: usize = 500;
/// How far actors look ahead: what is due later than this does not leave while the outbox is
/// being filled.
const HORIZON: Duration = Duration::from_secs(15);
/// Transactions, and rows in them, that can surely be written in a second to fill the outbox.
const ENDPOINTS_PER_SECOND: usize = 200;
const WRITTEN_PER_SECOND: usize = 8_000;
/// With more endpoints, connections are not kept open: both of their ends would be open files of
/// this process, of which many systems allow 20,000.
const KEPT_ALIVE_MAX: usize = 2_000;
/// The longest wait for what is on its way.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);

/// What `babysea bench webhooks` found.
#[derive(Debug, Clone, Serialize)]
pub struct WebhooksReport {
    /// To one endpoint.
    pub one: SideReport,
    /// To many endpoints.
    pub many: SideReport,
    /// To as many, of which a tenth does not answer; what is told is of the others.
    pub with_dead: LatencyReport,
    /// Endpoints in the last two.
    pub endpoints: usize,
    /// Growth of this process's memory for each endpoint with something to send, connections and
    /// the receiver's side included. One with nothing to send takes none: it has no actor.
    pub busy_endpoint_kib: f64,
}

/// Deliveries to some endpoints.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SideReport {
    /// Signed POSTs each second of the HTTP client alone, to as many endpoints.
    pub bare_per_second: f64,
    /// As fast as events can be made: arrivals each second.
    pub per_second: f64,
    /// Of those that the HTTP client does alone.
    pub ratio: f64,
    /// Out of the outbox: arrivals each second.
    pub outbox_per_second: f64,
    /// Of those that the HTTP client does alone.
    pub outbox_ratio: f64,
    /// At half of that pace.
    pub at_half: LatencyReport,
}

/// Milliseconds from before the write that makes an event to its arrival.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LatencyReport {
    /// Half of them took at most.
    pub p50_ms: f64,
    /// 99 of 100 took at most.
    pub p99_ms: f64,
}

/// Accounts with endpoints that one receiver listens for.
struct Field {
    accounts: Vec<AccountId>,
    endpoints: Vec<(AccountId, EndpointId)>,
    /// Deliveries that arrive for each event.
    living: usize,
}

/// Measures.
///
/// # Errors
/// When something cannot be made, or deliveries do not arrive.
pub async fn webhooks(
    context: &Context,
    client: &WebhookClient,
    deliveries: usize,
    endpoints: usize,
) -> anyhow::Result<WebhooksReport> {
    let receiver = Receiver::start(endpoints <= KEPT_ALIVE_MAX)?;
    let one = Field::new(context, &receiver, 1, 0).await?;
    let one = one.side(context, client, &receiver, deliveries).await?;
    let before = resident_kib();
    let field = Field::new(context, &receiver, endpoints, 0).await?;
    let many = field.side(context, client, &receiver, deliveries).await?;
    let busy_endpoint_kib = (resident_kib() - before).max(0.0) / endpoints as f64;
    let field = Field::new(context, &receiver, endpoints, 1).await?;
    // The first events find out who is dead.
    field.run(context, &receiver, deliveries / 4, Some(many.per_second / 4.0)).await?;
    let half = many.per_second / 2.0 * field.living as f64 / PER_ACCOUNT as f64;
    let (_, with_dead) = field.run(context, &receiver, deliveries, Some(half)).await?;
    Ok(WebhooksReport { one, many, with_dead, endpoints, busy_endpoint_kib })
}

impl Field {
    /// So many endpoints, of which each account has so many that never answer.
    async fn new(
        context: &Context,
        receiver: &Receiver,
        endpoints: usize,
        dead: usize,
    ) -> anyhow::Result<Self> {
        let each = endpoints.min(PER_ACCOUNT);
        let (mut accounts, mut all) = (Vec::new(), Vec::new());
        for number in 0..endpoints.div_ceil(PER_ACCOUNT) {
            let account = NewAccount {
                name: "Bench".to_owned(),
                kind: AccountKind::Team,
                plan: Plan::Enterprise,
                email: None,
                credits: Some(Credits::MAX),
            };
            let account_id = create_account(context, account).await?.id;
            for place in 0..each {
                let url = receiver.url(number * PER_ACCOUNT + place, place < dead);
                let events = vec![EventName::GenerationCanceled];
                let new = NewEndpoint { account_id, url, events };
                all.push((account_id, create_endpoint(context, new).await?.state.id));
            }
            accounts.push(account_id);
        }
        Ok(Self { accounts, endpoints: all, living: each - dead })
    }

    async fn side(
        &self,
        context: &Context,
        client: &WebhookClient,
        receiver: &Receiver,
        deliveries: usize,
    ) -> anyhow::Result<SideReport> {
        // The first ones pay for connections and actors.
        let first = self.endpoints.len().max(deliveries / 10);
        bare(client, receiver, first, self.endpoints.len()).await?;
        let bare_per_second = bare(client, receiver, deliveries, self.endpoints.len()).await?;
        self.run(context, receiver, deliveries / 10, None).await?;
        let (per_second, _) = self.run(context, receiver, deliveries, None).await?;
        let (_, at_half) = self.run(context, receiver, deliveries, Some(per_second / 2.0)).await?;
        let outbox_per_second = self.empty_outbox(context, receiver, deliveries).await?;
        Ok(SideReport {
            bare_per_second,
            per_second,
            ratio: per_second / bare_per_second,
            outbox_per_second,
            outbox_ratio: outbox_per_second / bare_per_second,
            at_half,
        })
    }

    /// Writes so many deliveries that are due at one time, all before it, and answers how many
    /// arrive each second from the first on.
    async fn empty_outbox(
        &self,
        context: &Context,
        receiver: &Receiver,
        deliveries: usize,
    ) -> anyhow::Result<f64> {
        let each = deliveries.div_ceil(self.endpoints.len());
        let page = each.min(AGAIN);
        let from = context.clock.now();
        self.run(context, receiver, page * self.endpoints.len(), None).await?;
        let until = context.clock.now();
        // No longer than it takes, so that connections are still open, as the bare client's are.
        let seconds =
            3 + self.endpoints.len() / ENDPOINTS_PER_SECOND + deliveries / WRITTEN_PER_SECOND;
        let filling = Duration::from_secs(seconds as u64);
        let due = until + HORIZON + filling;
        receiver.begin();
        let (mut wanted, resend) = (0, Resend::Between(from, until));
        for (account_id, id) in &self.endpoints {
            for _ in 0..each / page {
                let ids = Arc::clone(&context.ids);
                wanted += context.store.resend(*account_id, *id, resend, due, ids).await??;
            }
        }
        let early = (until + filling - context.clock.now()).to_std();
        sleep(early.ok().context("filling the outbox took long")?).await;
        let wanted = usize::try_from(wanted)?;
        wait_for(receiver, wanted).await?;
        let (first, last) = receiver.span().context("nothing has arrived")?;
        Ok(wanted as f64 / (last - first).as_secs_f64())
    }

    /// Makes events for so many deliveries and waits for all of them, at a pace in deliveries
    /// each second if there is one.
    async fn run(
        &self,
        context: &Context,
        receiver: &Receiver,
        deliveries: usize,
        pace: Option<f64>,
    ) -> anyhow::Result<(f64, LatencyReport)> {
        let events = deliveries.div_ceil(self.living);
        receiver.begin();
        let (next, started) = (AtomicUsize::new(0), Instant::now());
        let writer = async |_| -> anyhow::Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    return Ok(());
                }
                if let Some(pace) = pace {
                    let due = number as f64 * self.living as f64 / pace;
                    sleep_until((started + Duration::from_secs_f64(due)).into()).await;
                }
                let account_id = self.accounts[number % self.accounts.len()];
                make_event(context, receiver, account_id).await?;
            }
        };
        try_join_all((0..WRITERS).map(writer)).await?;
        let wanted = events * self.living;
        wait_for(receiver, wanted).await?;
        let (took, latencies) = (started.elapsed(), receiver.end());
        let at = |share: f64| {
            let last = latencies.len().saturating_sub(1);
            let index = (last as f64 * share).round() as usize;
            latencies.get(index).map_or(f64::NAN, |took| took.as_secs_f64() * 1000.0)
        };
        let latency = LatencyReport { p50_ms: at(0.50), p99_ms: at(0.99) };
        Ok((wanted as f64 / took.as_secs_f64(), latency))
    }
}

async fn wait_for(receiver: &Receiver, wanted: usize) -> anyhow::Result<()> {
    let arrived = async {
        while receiver.arrived() < wanted {
            sleep(Duration::from_millis(2)).await;
        }
    };
    let missing = || format!("{} of {wanted} deliveries have arrived", receiver.arrived());
    timeout(ARRIVAL_MAX, arrived).await.with_context(missing)
}

/// A generation that is accepted and canceled: the cancel is the event.
async fn make_event(
    context: &Context,
    receiver: &Receiver,
    account_id: AccountId,
) -> anyhow::Result<()> {
    let (id, now) = (GenerationId(context.ids.next()), context.clock.now());
    let (new, first) = generation(context, account_id, id)?;
    context.store.accept(new, first).await??;
    let events = vec![Event::Canceled { at: now }];
    receiver.expect(id);
    context.store.advance(Advance { account_id, id, epoch: None, events }).await??;
    Ok(())
}

fn generation(
    context: &Context,
    account_id: AccountId,
    id: GenerationId,
) -> anyhow::Result<(NewGeneration, NewAttempt)> {
    let at = context.clock.now();
    let deadline_at = at + Duration::from_secs(600);
    let amount = Credits::parse("0.001").context("an amount")?;
    let input = json!({
        "prompt": "a lighthouse made of folded paper", "ratio": "1:1", "format": "png", "count": 1,
        "input_files": [], "last_frame": null, "duration_ms": null, "resolution": null,
        "audio": null, "options": {}, "provider_order": ["sandbox_polling"],
        "requested_order": null,
    });
    let new = NewGeneration {
        account_id,
        id,
        model: "sandbox/polling".to_owned(),
        media: MediaKind::Image,
        input: serde_json::from_value(input)?,
        amount,
        pricing: Pricing {
            cost_per_output: amount,
            source: PriceSource::Operator,
            catalogue_version: "bench".to_owned(),
        },
        asked_by: AskedBy::default(),
        claim: None,
        asked_at: at,
        created_at: at,
        deadline_at,
    };
    let first = NewAttempt {
        correlation: context.ids.next(),
        provider: ProviderName::SandboxPolling,
        raw_model: "polling".to_owned(),
        cost: None,
        at,
        deadline_at,
    };
    Ok((new, first))
}

/// The client alone: signed POSTs of an event like those of the product, to each endpoint in turn.
async fn bare(
    client: &WebhookClient,
    receiver: &Receiver,
    deliveries: usize,
    endpoints: usize,
) -> anyhow::Result<f64> {
    use providers::clock::Clock;

    let urls = (0..endpoints).map(|number| Url::parse(&receiver.url(number, false)));
    let urls: Vec<Url> = urls.collect::<Result<_, _>>()?;
    let secret = secrecy::SecretString::from("whsec_0123456789abcdef0123456789abcdef");
    let now = crate::clock::SystemClock.now();
    let data = json!({
        "account_id": uuid::Uuid::nil(), "model_identifier": "sandbox/polling",
        "generation_status": "canceled", "generation_id": uuid::Uuid::nil(),
        "credits_refunded": true,
    });
    let delivery = WebhookDelivery {
        event: EventName::GenerationCanceled,
        data: Arc::new(data),
        ..WebhookDelivery::blank(now)
    };
    let endpoint = actors::webhook::WebhookEndpoint {
        state: actors::webhook::endpoint::EndpointState::new(
            delivery.account_id,
            delivery.endpoint_id,
            vec![delivery.event],
        ),
        url: urls[0].clone(),
        secret,
        previous: None,
        created_at: now,
    };
    let (sent, started) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let poster = async |_| -> anyhow::Result<()> {
        loop {
            let number = sent.fetch_add(1, Ordering::Relaxed);
            if number >= deliveries {
                return Ok(());
            }
            let body = delivery.body();
            let headers = delivery.headers(&body, &endpoint, crate::clock::SystemClock.now());
            client.post(&urls[number % urls.len()], headers, Bytes::from(body)).await;
        }
    };
    try_join_all((0..WRITERS).map(poster)).await?;
    Ok(deliveries as f64 / started.elapsed().as_secs_f64())
}

/// The memory of this process that is really there; nothing where the system does not say.
fn resident_kib() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    number.unwrap_or_default()
}
