//! Jobs: written down once, when they are accepted. How one is doing follows from the time.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;
use url::Url;

use crate::faults::{CallbackFault, Fate};
use crate::jobs_file::JobsFile;
use crate::media::Sketch;

/// One job of one provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Whether whoever wanted to be called has heard of its end.
    pub(crate) heard: bool,
    /// Tells whoever waits for its end that it was canceled.
    #[serde(skip)]
    pub(crate) changed: Arc<Notify>,
}

/// Who wants to be called about a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Callback {
    pub(crate) url: Url,
    pub(crate) secret: Option<String>,
    pub(crate) moments: Vec<Moment>,
    pub(crate) fault: CallbackFault,
}

/// When somebody is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Where changes are written down, in their order.
    file: Option<JobsFile>,
}

impl Table {
    /// Forgets the oldest until there is room. Removed ones stay in the order until their turn
    /// comes, so both are bounded.
    fn add(&mut self, job: Job, max: usize) {
        while self.order.len() >= max {
            if let Some(oldest) = self.order.pop_front() {
                self.remove(&oldest);
            }
        }
        self.order.push_back(job.id.clone());
        self.jobs.insert(job.id.clone(), job);
    }

    fn remove(&mut self, id: &str) {
        if self.jobs.remove(id).is_some()
            && let Some(file) = &mut self.file
        {
            file.gone(id);
        }
    }

    fn note(&mut self, id: &str) {
        let (Some(file), Some(job)) = (&mut self.file, self.jobs.get(id)) else { return };
        file.is(job);
        if file.is_old(self.jobs.len()) {
            file.renew(self.order.iter().filter_map(|id| self.jobs.get(id)));
        }
    }
}

impl Jobs {
    /// In memory only.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, table: Mutex::default() }
    }

    /// Those of a file, which keeps up with them from then on. They are reached under `base`
    /// now.
    pub(crate) fn open(max: usize, path: PathBuf, base: &str) -> std::io::Result<Self> {
        let (file, jobs) = JobsFile::open(path)?;
        let mut table = Table { file: Some(file), ..Table::default() };
        for mut job in jobs {
            base.clone_into(&mut job.base);
            table.add(job, max);
        }
        Ok(Self { max, table: Mutex::new(table) })
    }

    pub(crate) fn insert(&self, job: Job) {
        let id = job.id.clone();
        self.with(|table| {
            table.add(job, self.max);
            table.note(&id);
        });
    }

    /// Whoever wanted to be called has heard of its end.
    pub(crate) fn heard(&self, id: &str) {
        self.with(|table| {
            if let Some(job) = table.jobs.get_mut(id) {
                job.heard = true;
                table.note(id);
            }
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
            let job = job.clone();
            table.note(id);
            Some((before, job))
        })
    }

    pub(crate) fn remove(&self, id: &str) {
        self.with(|table| table.remove(id));
    }

    pub(crate) fn clear(&self) {
        self.with(|table| {
            let mut file = table.file.take();
            if let Some(file) = &mut file {
                file.renew([]);
            }
            *table = Table { file, ..Table::default() };
        });
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
        heard: false,
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
    fn jobs_of_a_file_are_found_again_as_they_were() {
        let folder = std::env::temp_dir().join(format!("jobs-{}", std::process::id()));
        let path = folder.join("some.jsonl");
        let open = || Jobs::open(3, path.clone(), "http://new/p").unwrap();
        let jobs = open();
        for id in ["a", "b", "c", "d", "e"] {
            jobs.insert(sample(id));
        }
        jobs.cancel("k", "c", at(2)).unwrap();
        jobs.heard("d");
        jobs.remove("e");
        // A line that broke off when the process died.
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, b"{\"is\":{\"id\":\"f\",\"ke").unwrap();
        drop((jobs, file));
        for _ in 0..2 {
            let jobs = open();
            let found: Vec<_> = jobs.latest(9).into_iter().map(|job| job.id).collect();
            assert_eq!(found, ["d", "c"]);
            assert_eq!(jobs.find("c").unwrap().stage(at(9)), Stage::Canceled { started: true });
            assert!(jobs.find("d").unwrap().heard && !jobs.find("c").unwrap().heard);
            assert_eq!(jobs.find("c").unwrap().base, "http://new/p");
        }
        // However much happens, the file holds little more than what there is.
        let jobs = open();
        for number in 0..3_000 {
            jobs.insert(sample(&number.to_string()));
        }
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 1_010, "{lines}");
        jobs.clear();
        assert!(open().latest(9).is_empty());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn pictures_are_not_kept() {
        let asked = serde_json::json!({ "a": ["x".repeat(5000)], "b": 1 });
        let kept = without_pictures(&asked);
        assert!(kept["a"][0].as_str().unwrap().len() < 100);
        assert_eq!(kept["b"], 1);
    }
}
