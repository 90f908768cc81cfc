//! What the wires share: clock and chance, and a desk for each provider with its jobs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use providers::clock::Clock;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use crate::dice::Dice;
use crate::faults::{CallbackFault, Fate, Faults};
use crate::jobs::{Callback, Job, Jobs, without_pictures};
use crate::journal::Journal;
use crate::latency::{self, Limits};
use crate::limits::{Meter, after};
use crate::media::{Sketch, Studio};
use crate::settings::{Provider, ProviderSettings, Settings};
use crate::signatures::{FalKey, WebhookSecret};
use crate::{StartError, callbacks};

/// Everything that answers share.
pub(crate) struct House {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seed: u64,
    pub(crate) webhook_secret: WebhookSecret,
    pub(crate) fal_key: FalKey,
    pub(crate) file_key: [u8; 32],
    pub(crate) studio: Studio,
    pub(crate) journal: Journal,
    pub(crate) client: reqwest::Client,
    /// In the order of [`Provider::ALL`].
    desks: Vec<Desk>,
}

/// The time, as the providers have it.
struct ProvidersClock {
    clock: Arc<dyn Clock>,
    offset: TimeDelta,
}

impl Clock for ProvidersClock {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now() + self.offset
    }
}

/// One provider's state.
pub(crate) struct Desk {
    pub(crate) settings: ProviderSettings,
    pub(crate) jobs: Jobs,
    pub(crate) meter: Meter,
    faults: RwLock<Faults>,
    submits: AtomicU64,
    calls: AtomicU64,
}

/// A job to be taken on.
pub(crate) struct Order {
    pub(crate) key: String,
    pub(crate) base: String,
    pub(crate) model: String,
    pub(crate) request: Value,
    pub(crate) sketch: Sketch,
    pub(crate) callback: Option<Callback>,
    /// After how many seconds it is given up.
    pub(crate) give_up: Option<f64>,
}

impl House {
    pub(crate) fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let offset = TimeDelta::seconds(settings.clock_offset_seconds.into());
        let clock: Arc<dyn Clock> = Arc::new(ProvidersClock { clock, offset });
        let now = clock.now().timestamp_micros();
        let seed = settings.seed.unwrap_or(now.unsigned_abs());
        let secret =
            settings.secret.clone().map_or(seed.to_le_bytes().to_vec(), String::into_bytes);
        let derive = |purpose: &str| -> [u8; 32] {
            Sha256::new().chain_update(&secret).chain_update(purpose).finalize().into()
        };
        let fal_key = FalKey::from_seed(&derive("fal")).ok_or(StartError::Key)?;
        let webhook_secret =
            WebhookSecret::parse(&settings.webhook_secret).ok_or(StartError::Secret)?;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(StartError::Client)?;
        let mut desks = Vec::new();
        for provider in Provider::ALL {
            desks.push(Desk::new(provider, &settings, clock.now())?);
        }
        Ok(Self {
            seed,
            webhook_secret,
            fal_key,
            file_key: derive("files"),
            studio: Studio::new(),
            journal: Journal::new(settings.log_max),
            client,
            desks,
            clock,
            settings,
        })
    }

    pub(crate) fn desk(&self, provider: Provider) -> &Desk {
        &self.desks[provider as usize]
    }

    /// Whether a prompt is one that is refused.
    pub(crate) fn is_unsafe(&self, prompt: &str) -> bool {
        let prompt = prompt.to_lowercase();
        self.settings.refused_words.iter().any(|word| prompt.contains(&word.to_lowercase()))
    }

    /// Takes a job on: decides what becomes of it, writes it down and sees to its callbacks.
    pub(crate) async fn take_on(
        self: &Arc<Self>,
        provider: Provider,
        mut order: Order,
        name: impl FnOnce(&mut Dice, DateTime<Utc>) -> String,
    ) -> Job {
        let desk = self.desk(provider);
        let (faults, now) = (desk.faults(), self.clock.now());
        let nth = desk.submits.fetch_add(1, Ordering::Relaxed);
        let mut dice = Dice::of(self.seed, provider.as_str(), nth);
        let id = name(&mut dice, now);
        let (starts, mut ends) = self.times(provider, &order, &faults, now, &mut dice);
        let mut fate = faults.throw_fate(&mut dice);
        if self.is_unsafe(&order.sketch.prompt) {
            fate = Fate::Moderated;
        }
        let fault = faults.throw_callback(&mut dice);
        if let Some(callback) = &mut order.callback {
            callback.fault = fault;
            if fault == CallbackFault::Early {
                ends = now;
            }
        }
        desk.meter.start(&order.key, &id, ends, now);
        let job = Job {
            id,
            key: order.key,
            model: order.model,
            request: Arc::new(without_pictures(&order.request)),
            sketch: Arc::new(order.sketch),
            base: order.base,
            submitted: now,
            starts: starts.min(ends),
            ends,
            fate,
            canceled: None,
            deadline: order.give_up.map(|seconds| after(now, seconds)),
            callback: order.callback.map(Arc::new),
            heard: false,
            changed: Arc::new(Notify::new()),
        };
        desk.jobs.insert(job.clone());
        callbacks::arrange(self, provider, &job).await;
        job
    }

    /// When a job starts and ends.
    fn times(
        &self,
        provider: Provider,
        order: &Order,
        faults: &Faults,
        now: DateTime<Utc>,
        dice: &mut Dice,
    ) -> (DateTime<Utc>, DateTime<Utc>) {
        let desk = self.desk(provider);
        let sigma = match order.sketch.seconds {
            Some(_) => latency::SIGMA_VIDEO,
            None => latency::SIGMA_IMAGE,
        };
        let median = match desk.settings.run_ms {
            Some(ms) => ms as f64 / 1000.0,
            None => latency::typical(provider, &order.model, &order.sketch),
        };
        let queue = desk.settings.queue_ms.map_or(latency::QUEUE_SECONDS, |ms| ms as f64 / 1000.0);
        let queue = dice.log_normal(queue, sigma) * faults.scale();
        let run = dice.log_normal(median, sigma) * faults.scale();
        let starts = after(now, queue).max(desk.meter.seat(&order.key, now));
        (starts, after(starts, run))
    }

    /// Waits for the end of a job, but no longer than this; then how it is.
    pub(crate) async fn wait(&self, provider: Provider, job: Job, limit: Duration) -> Job {
        let end = self.clock.now() + limit;
        loop {
            let changed = job.changed.notified();
            let now = self.clock.now();
            let current = self.desk(provider).jobs.find(&job.id).unwrap_or_else(|| job.clone());
            if current.stage(now).is_final() || now >= end {
                return current;
            }
            let left = (current.over().min(end) - now).to_std().unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(left.max(Duration::from_millis(1))) => {}
                () = changed => {}
            }
        }
    }
}

impl Desk {
    fn new(
        provider: Provider,
        settings: &Settings,
        now: DateTime<Utc>,
    ) -> Result<Self, StartError> {
        let own = settings.providers.get(&provider).cloned().unwrap_or_default();
        let usual = latency::usual(provider);
        let limits = Limits {
            per_minute: own.per_minute.unwrap_or(usual.per_minute),
            concurrency: own.concurrency.or(usual.concurrency),
        };
        let jobs = match &settings.jobs_dir {
            None => Jobs::new(settings.jobs_max),
            Some(folder) => {
                let path = folder.join(format!("{}.jsonl", provider.as_str()));
                let base = format!("{}/{}", settings.origin(), provider.as_str());
                let opened = Jobs::open(settings.jobs_max, path.clone(), &base);
                opened.map_err(|source| StartError::Jobs { path, source })?
            }
        };
        let meter = Meter::new(limits);
        for job in jobs.select(usize::MAX, |job| job.ended(now).is_none()) {
            meter.start(&job.key, &job.id, job.ends, now);
        }
        Ok(Self {
            jobs,
            meter,
            faults: RwLock::new(own.faults.clone()),
            submits: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            settings: own,
        })
    }

    pub(crate) fn faults(&self) -> Faults {
        self.faults.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Which call this is, counted from 0.
    pub(crate) fn count_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Forgets jobs and counts, and goes back to the faults of the settings. Submits are counted
    /// on, so that no id comes twice.
    pub(crate) fn reset(&self) {
        self.jobs.clear();
        self.meter.clear();
        self.set_faults(self.settings.faults.clone());
    }
}
