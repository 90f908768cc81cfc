//! What is known of every model at every provider, and the order that it leads to.
//!
//! The state around the pure parts in [`crate::routing`]: shared by everybody who submits, and told
//! of every attempt that ends. Each model has a lock of its own, held for arithmetic over its few
//! providers and never across a wait. A copy of everything is written down from time to time; after
//! a start it is read, and the attempts that have ended since are taken in.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use providers::name::ProviderName;
use serde::{Deserialize, Serialize};

use crate::attempt::EndedAttempt;
use crate::catalogue::Catalogue;
use crate::provider_health::{Report, Window, roll_up, window_start};
use crate::routing::breaker::{BreakerRules, Circuit, Signal, State};
use crate::routing::choice::{Candidate, Decision, Shares, Source, Way, choose, ways};
use crate::routing::evidence::{Evidence, Observation};
use crate::routing::ranking::{Assessment, RankingRules, assess, rank};

/// How far back attempts are read at a start that finds no copy.
pub const REMEMBERED: TimeDelta = TimeDelta::hours(24);

/// By what providers are judged.
#[derive(Debug, Clone, Copy)]
pub struct RouterRules {
    /// When a circuit opens and closes.
    pub breaker: BreakerRules,
    /// What `fastest` goes by.
    pub ranking: RankingRules,
}

/// What is known of every model at every provider.
#[derive(Debug)]
pub struct Router {
    rules: RouterRules,
    models: BTreeMap<String, Mutex<Vec<Track>>>,
}

/// One provider of one model.
#[derive(Debug)]
struct Track {
    provider: ProviderName,
    circuit: Circuit,
    evidence: Evidence,
    window: Window,
}

/// A copy of what is known, to be kept over a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken: what ended later is not in it.
    pub taken_at: DateTime<Utc>,
    tracks: Vec<TrackSnapshot>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TrackSnapshot {
    model: String,
    provider: String,
    circuit: Circuit,
    evidence: Evidence,
}

/// How an order comes about, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What is known of each provider, with where its circuit stands, in the static order.
    pub providers: Vec<(Assessment, State)>,
    /// Every order that the next request may get, with its probability; the usual one last.
    pub ways: Vec<Way>,
}

impl Router {
    /// Nothing known yet of the models of this catalogue.
    pub fn new(catalogue: &Catalogue, rules: RouterRules) -> Self {
        let track = |provider| Track {
            provider,
            circuit: Circuit::default(),
            evidence: Evidence::default(),
            window: Window::default(),
        };
        let models = catalogue.models().iter();
        let models = models.map(|model| {
            (model.identifier.clone(), Mutex::new(model.providers().map(track).collect()))
        });
        Self { rules, models: models.collect() }
    }

    /// By which it judges.
    pub fn rules(&self) -> &RouterRules {
        &self.rules
    }

    /// The order in which the providers of a model are tried, and what decided about the first.
    /// `order` is the static one, or the one asked for when it is `pinned`; what comes back has
    /// the same providers. `random` is uniform in `0.0..1.0`.
    pub fn route(
        &self,
        model: &str,
        order: &[ProviderName],
        pinned: bool,
        random: f64,
        now: DateTime<Utc>,
    ) -> (Vec<ProviderName>, Decision) {
        let base = if pinned { Source::Pinned } else { Source::Static };
        let Some(mut tracks) = self.tracks(model) else {
            return (order.to_vec(), Decision { source: base, propensity_ppm: None });
        };
        let Some(way) = choose(self.ways(&tracks, order, pinned, now), random) else {
            return (order.to_vec(), Decision { source: base, propensity_ppm: None });
        };
        if way.source == Source::Probe
            && let Some(probed) = tracks.iter_mut().find(|track| way.order[0] == track.provider)
        {
            probed.circuit.probe(&self.rules.breaker, now);
        }
        let decision = way.decision();
        (way.order, decision)
    }

    /// A provider limits us, or is too busy and says for how long.
    pub fn limit(
        &self,
        model: &str,
        provider: ProviderName,
        retry_after: Option<Duration>,
        now: DateTime<Utc>,
    ) {
        let Some(mut tracks) = self.tracks(model) else { return };
        if let Some(track) = tracks.iter_mut().find(|track| track.provider == provider) {
            track.circuit.limit(retry_after, &self.rules.breaker, now);
        }
    }

    /// Takes in how an attempt ended. One of a model that is no longer known is passed over.
    pub fn note(&self, attempt: &EndedAttempt) {
        self.take_in(attempt, true);
    }

    /// How a provider has done in the window before now, over all models.
    pub fn health(&self, provider: ProviderName, now: DateTime<Utc>) -> Report {
        let after = window_start(now, self.window_seconds());
        let counted = |tracks: &Mutex<Vec<Track>>| {
            let tracks = lock(tracks);
            let track = tracks.iter().find(|track| track.provider == provider)?;
            let (failures, successes) = track.window.count(after);
            Some((track.circuit.state(now), failures, successes))
        };
        roll_up(self.models.values().filter_map(counted))
    }

    /// Circuits that are not closed, by model and provider.
    pub fn troubled(&self, now: DateTime<Utc>) -> Vec<(&str, ProviderName, State)> {
        let mut troubled = Vec::new();
        for (model, tracks) in &self.models {
            for track in &*lock(tracks) {
                let state = track.circuit.state(now);
                if state != State::Closed {
                    troubled.push((model.as_str(), track.provider, state));
                }
            }
        }
        troubled
    }

    /// Whether a provider is asked for a model in its turn, or at least tried.
    pub fn is_available(&self, model: &str, provider: ProviderName, now: DateTime<Utc>) -> bool {
        let Some(tracks) = self.tracks(model) else { return true };
        let track = tracks.iter().find(|track| track.provider == provider);
        track.is_none_or(|track| match track.circuit.state(now) {
            State::Closed | State::HalfOpen { .. } => true,
            State::Paused { .. } | State::Open { .. } => false,
        })
    }

    /// How the order of a model comes about, among these providers; `None` for an unknown model.
    pub fn explain(
        &self,
        model: &str,
        order: &[ProviderName],
        now: DateTime<Utc>,
    ) -> Option<Explanation> {
        let tracks = self.tracks(model)?;
        let states = order.iter().filter_map(|name| {
            let track = tracks.iter().find(|track| track.provider == *name)?;
            Some(track.circuit.state(now))
        });
        let providers = self.assess(&tracks, order, now).into_iter().zip(states).collect();
        Some(Explanation { providers, ways: self.ways(&tracks, order, false, now) })
    }

    /// A copy of everything that is known.
    pub fn snapshot(&self, now: DateTime<Utc>) -> Snapshot {
        let of = |(model, tracks): (&String, &Mutex<Vec<Track>>)| {
            let of = |track: &Track| TrackSnapshot {
                model: model.clone(),
                provider: track.provider.as_str().to_owned(),
                circuit: track.circuit.clone(),
                evidence: track.evidence.clone(),
            };
            lock(tracks).iter().map(of).collect::<Vec<_>>()
        };
        Snapshot { taken_at: now, tracks: self.models.iter().flat_map(of).collect() }
    }

    /// Knows again what a copy knew, and what has ended since, latest first. Before anything is
    /// noted.
    pub fn restore(&self, snapshot: Option<Snapshot>, ended: &[EndedAttempt]) {
        let taken_at = snapshot.as_ref().map(|snapshot| snapshot.taken_at);
        for kept in snapshot.into_iter().flat_map(|snapshot| snapshot.tracks) {
            let Some(mut tracks) = self.tracks(&kept.model) else { continue };
            let mut tracks = tracks.iter_mut();
            if let Some(track) = tracks.find(|track| track.provider.as_str() == kept.provider) {
                (track.circuit, track.evidence) = (kept.circuit, kept.evidence);
            }
        }
        for attempt in ended.iter().rev() {
            let at = attempt.outcome.resolved_at();
            // The windows are not in the copy.
            self.take_in(attempt, at > taken_at);
        }
    }

    /// Counts an attempt, and judges by it unless that is done.
    fn take_in(&self, attempt: &EndedAttempt, judge: bool) {
        let (Some(signal), Some(at)) =
            (Signal::of(&attempt.outcome), attempt.outcome.resolved_at())
        else {
            return;
        };
        let Some(mut tracks) = self.tracks(&attempt.model) else { return };
        let Some(track) = tracks.iter_mut().find(|track| track.provider == attempt.provider) else {
            return;
        };
        track.window.add(at.timestamp(), signal == Signal::Served, self.window_seconds());
        if judge {
            track.note(attempt, signal, at, &self.rules);
        }
    }

    fn ways(
        &self,
        tracks: &[Track],
        order: &[ProviderName],
        pinned: bool,
        now: DateTime<Utc>,
    ) -> Vec<Way> {
        let RouterRules { breaker, ranking } = &self.rules;
        let assessments = self.assess(tracks, order, now);
        let ranked = ranking.enabled && !pinned;
        let (order, base) = match ranked {
            true => {
                let order = rank(&assessments);
                let best = assessments.iter().find(|it| order.first() == Some(&it.provider));
                let known = best.is_some_and(|best| best.score.is_some());
                (order, if known { Source::Ranking } else { Source::Static })
            }
            false => (order.to_vec(), if pinned { Source::Pinned } else { Source::Static }),
        };
        let candidate = |provider: &ProviderName| {
            let circuit = tracks.iter().find(|track| track.provider == *provider);
            let circuit = circuit.map(|track| &track.circuit);
            let known = assessments.iter().find(|it| it.provider == *provider);
            let little = |it: &Assessment| it.attempts < f64::from(ranking.explore_below);
            Candidate {
                provider: *provider,
                opens_at: circuit.map_or(now, |circuit| circuit.opens_at(now)),
                flows: circuit.is_none_or(|circuit| circuit.is_closed(now)),
                probe: circuit.is_some_and(|circuit| circuit.has_room_for_probe(breaker, now)),
                unknown: ranked && known.is_none_or(|it| little(it) || it.promising),
            }
        };
        let candidates: Vec<Candidate> = order.iter().map(candidate).collect();
        let share = |percent: u32| f64::from(percent) / 100.0;
        let (probe, explore) = (share(breaker.probe_percent), share(ranking.explore_percent));
        ways(&candidates, base, Shares { probe, explore })
    }

    /// In the order given; who is not in the catalogue has nothing that speaks for or against it.
    fn assess(
        &self,
        tracks: &[Track],
        order: &[ProviderName],
        now: DateTime<Utc>,
    ) -> Vec<Assessment> {
        let nothing = Evidence::default();
        let evidence = |name: &ProviderName| {
            let track = tracks.iter().find(|track| track.provider == *name);
            (*name, track.map_or(&nothing, |track| &track.evidence))
        };
        let known: Vec<(ProviderName, &Evidence)> = order.iter().map(evidence).collect();
        assess(&known, &self.rules.ranking, now)
    }

    fn tracks(&self, model: &str) -> Option<MutexGuard<'_, Vec<Track>>> {
        self.models.get(model).map(lock)
    }

    fn window_seconds(&self) -> i64 {
        i64::try_from(self.rules.breaker.window.as_secs()).unwrap_or(i64::MAX / 2)
    }
}

impl Track {
    fn note(
        &mut self,
        attempt: &EndedAttempt,
        signal: Signal,
        at: DateTime<Utc>,
        rules: &RouterRules,
    ) {
        let took = (at - attempt.submitted_at).to_std().unwrap_or_default();
        let work = f64::from(attempt.work_milli.max(1)) / 1000.0;
        let observation = Observation {
            signal,
            at,
            unit_ms: (signal == Signal::Served).then(|| took.as_secs_f64() * 1000.0 / work),
            cost_share: attempt.cost_share,
        };
        self.evidence.add(observation, &rules.ranking.memory);
        let was_closed = self.circuit.is_closed(at);
        self.circuit.note(signal, attempt.submitted_at, at, &rules.breaker);
        // The outage is over: what is remembered of it would only keep the provider away.
        if !was_closed && self.circuit.is_closed(at) {
            self.evidence.forgive();
        }
    }
}

fn lock(tracks: &Mutex<Vec<Track>>) -> MutexGuard<'_, Vec<Track>> {
    tracks.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
