//! Jobs: written down once, when they are accepted. How one is doing follows from the time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::Notify;
use url::Url;

use crate::faults::{CallbackFault, Fate};
use crate::media::Sketch;

/// One job of one provider.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    /// Who submitted it; nobody else sees it.
    pub(crate) key: String,
    pub(crate) model: String,
    /// What was asked for; long texts, which are pictures, are cut.
    pub(crate) request: Arc<Value>,
    pub(crate) sketch: Arc<Sketch>,
    /// Where the provider was reached, for the URLs in its answers.
    pub(crate) base: String,
    pub(crate) submitted: DateTime<Utc>,
    /// When it leaves the queue.
    pub(crate) starts: DateTime<Utc>,
    pub(crate) ends: DateTime<Utc>,
    pub(crate) fate: Fate,
    pub(crate) canceled: Option<DateTime<Utc>>,
    /// When it is given up, if it is not over by then.
    pub(crate) deadline: Option<DateTime<Utc>>,
    pub(crate) callback: Option<Arc<Callback>>,
    /// Tells whoever waits for its end that it was canceled.
    pub(crate) changed: Arc<Notify>,
}

/// Who wants to be called about a job.
#[derive(Debug)]
pub(crate) struct Callback {
    pub(crate) url: Url,
    pub(crate) secret: Option<String>,
    pub(crate) moments: Vec<Moment>,
    pub(crate) fault: CallbackFault,
}

/// When somebody is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Accepted,
    Started,
    /// An output is there, and the job not over for whoever listens to that alone.
    Output,
    Finished,
}

/// How a job is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stage {
    Queued,
    /// With the part that is done.
    Running(f64),
    Succeeded,
    Moderated,
    Failed,
    Canceled {
        started: bool,
    },
    /// Given up at its deadline.
    Expired {
        started: bool,
    },
}

impl Stage {
    pub(crate) fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running(_))
    }
}

impl Job {
    pub(crate) fn stage(&self, now: DateTime<Utc>) -> Stage {
        if let Some(at) = self.canceled {
            return Stage::Canceled { started: at >= self.starts };
        }
        if let Some(at) = self.deadline.filter(|at| *at <= now && *at < self.ends) {
            return Stage::Expired { started: at >= self.starts };
        }
        if now < self.starts {
            return Stage::Queued;
        }
        if now < self.ends {
            let part = (now - self.starts).as_seconds_f64();
            return Stage::Running(part / self.run_seconds().max(f64::EPSILON));
        }
        match self.fate {
            Fate::Succeeds => Stage::Succeeded,
            Fate::Moderated => Stage::Moderated,
            Fate::Fails => Stage::Failed,
        }
    }

    /// How long it runs.
    pub(crate) fn run_seconds(&self) -> f64 {
        (self.ends - self.starts).as_seconds_f64()
    }

    /// When it is over, as far as can be told.
    pub(crate) fn over(&self) -> DateTime<Utc> {
        let end = self.deadline.map_or(self.ends, |deadline| deadline.min(self.ends));
        self.canceled.map_or(end, |canceled| canceled.min(end))
    }

    /// When it ended, if it has.
    pub(crate) fn ended(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Some(self.over()).filter(|over| *over <= now)
    }
}

/// How many jobs the lists of providers that count them go through.
pub(crate) const LISTED_MAX: usize = 10_000;

/// The jobs of one provider; the oldest are forgotten when there are too many.
pub(crate) struct Jobs {
    max: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    jobs: HashMap<String, Job>,
    order: VecDeque<String>,
}

impl Jobs {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, table: Mutex::default() }
    }

    pub(crate) fn insert(&self, job: Job) {
        self.with(|table| {
            // Removed ones stay in the order until their turn comes, so both are bounded.
            while table.order.len() >= self.max {
                if let Some(oldest) = table.order.pop_front() {
                    table.jobs.remove(&oldest);
                }
            }
            table.order.push_back(job.id.clone());
            table.jobs.insert(job.id.clone(), job);
        });
    }

    /// A job by its id, whoever asks.
    pub(crate) fn find(&self, id: &str) -> Option<Job> {
        self.with(|table| table.jobs.get(id).cloned())
    }

    /// A job of a key.
    pub(crate) fn of(&self, key: &str, id: &str) -> Option<Job> {
        self.find(id).filter(|job| job.key == key)
    }

    /// Cancels one that is not over: what it was before, and what it is now.
    pub(crate) fn cancel(&self, key: &str, id: &str, now: DateTime<Utc>) -> Option<(Stage, Job)> {
        self.with(|table| {
            let job = table.jobs.get_mut(id).filter(|job| job.key == key)?;
            let before = job.stage(now);
            if !before.is_final() {
                job.canceled = Some(now);
                job.changed.notify_waiters();
            }
            Some((before, job.clone()))
        })
    }

    pub(crate) fn remove(&self, id: &str) {
        self.with(|table| table.jobs.remove(id));
    }

    pub(crate) fn clear(&self) {
        self.with(|table| *table = Table::default());
    }

    /// The latest, newest first.
    pub(crate) fn latest(&self, max: usize) -> Vec<Job> {
        self.select(max, |_| true)
    }

    /// Those that fit, newest first.
    pub(crate) fn select(&self, max: usize, fits: impl Fn(&Job) -> bool) -> Vec<Job> {
        self.with(|table| {
            let newest = table.order.iter().rev().filter_map(|id| table.jobs.get(id));
            newest.filter(|job| fits(job)).take(max).cloned().collect()
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        // Nothing panics while it is held.
        change(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Texts longer than this are pictures in base64 and not kept.
const TEXT_MAX: usize = 4_000;

/// What was asked for, without the pictures that came with it.
pub(crate) fn without_pictures(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > TEXT_MAX => {
            let start: String = text.chars().take(40).collect();
            Value::String(format!("{start}… ({} bytes)", text.len()))
        }
        Value::Array(items) => items.iter().map(without_pictures).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), without_pictures(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
pub(crate) fn sample(id: &str) -> Job {
    let at = |seconds: i64| DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap();
    Job {
        id: id.to_owned(),
        key: "k".to_owned(),
        model: "m".to_owned(),
        request: Arc::new(Value::Null),
        sketch: Arc::new(Sketch::default()),
        base: String::new(),
        submitted: at(0),
        starts: at(1),
        ends: at(5),
        fate: Fate::Succeeds,
        canceled: None,
        deadline: None,
        callback: None,
        changed: Arc::new(Notify::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_job_is_queued_then_runs_then_ends() {
        let job = sample("a");
        let stages = [0, 1, 3, 5].map(|seconds| job.stage(at(seconds)));
        let expected = [Stage::Queued, Stage::Running(0.0), Stage::Running(0.5), Stage::Succeeded];
        assert_eq!(stages, expected);
        let stage = |fate| Job { fate, ..job.clone() }.stage(at(9));
        assert_eq!((stage(Fate::Fails), stage(Fate::Moderated)), (Stage::Failed, Stage::Moderated));
    }

    #[test]
    fn a_job_that_is_not_over_by_its_deadline_is_given_up() {
        let late = Job { deadline: Some(at(3)), ..sample("a") };
        assert_eq!(late.stage(at(2)), Stage::Running(0.25));
        assert_eq!(late.stage(at(9)), Stage::Expired { started: true });
        assert_eq!((late.over(), late.ended(at(2))), (at(3), None));
        let in_time = Job { deadline: Some(at(6)), ..sample("a") };
        assert_eq!(in_time.stage(at(9)), Stage::Succeeded);
    }

    #[test]
    fn a_cancel_is_final_and_comes_too_late_after_the_end() {
        let jobs = Jobs::new(9);
        jobs.insert(sample("a"));
        jobs.insert(sample("b"));
        assert_eq!(jobs.cancel("k", "a", at(0)).unwrap().0, Stage::Queued);
        assert_eq!(jobs.find("a").unwrap().stage(at(9)), Stage::Canceled { started: false });
        assert_eq!(jobs.cancel("k", "b", at(5)).unwrap().0, Stage::Succeeded);
        assert_eq!(jobs.find("b").unwrap().stage(at(9)), Stage::Succeeded);
    }

    #[test]
    fn nobody_else_sees_or_cancels_a_job() {
        let jobs = Jobs::new(9);
        jobs.insert(sample("a"));
        assert!(jobs.of("other", "a").is_none() && jobs.cancel("other", "a", at(0)).is_none());
        assert!(jobs.of("k", "a").is_some());
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_are_too_many() {
        let jobs = Jobs::new(2);
        for id in ["a", "b", "c"] {
            jobs.insert(sample(id));
        }
        assert!(jobs.find("a").is_none());
        let ids: Vec<_> = jobs.latest(9).into_iter().map(|job| job.id).collect();
        assert_eq!(ids, ["c", "b"]);
    }

    #[test]
    fn pictures_are_not_kept() {
        let asked = serde_json::json!({ "a": ["x".repeat(5000)], "b": 1 });
        let kept = without_pictures(&asked);
        assert!(kept["a"][0].as_str().unwrap().len() < 100);
        assert_eq!(kept["b"], 1);
    }
}
