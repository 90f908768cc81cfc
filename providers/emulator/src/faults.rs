//! What goes wrong, and how often.
//!
//! A fault of a call is thrown for each request; a fault of a job when it is submitted, and it
//! keeps to it.

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// Which requests the faults of a call strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Every one, downloads of files too.
    #[default]
    All,
    /// Those that make a job.
    Submit,
    /// Those that ask for one, or about the account.
    Read,
    /// Those that end one.
    Cancel,
    /// Those that fetch a file.
    File,
}

/// Rates from 0 to 1. Those of a call exclude each other, so together they are at most 1.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub struct Faults {
    /// Which requests are struck.
    pub on: Target,
    /// The provider's own 429.
    pub rate_limited: f64,
    /// The provider's own 500.
    pub server_error: f64,
    /// The provider's own 401 or 403.
    pub unauthorized: f64,
    /// The provider's own way to say that there is no money left.
    pub out_of_credit: f64,
    /// No answer for [`Faults::hang_ms`], then the connection is cut. Nothing was accepted.
    pub timeout: f64,
    /// The request is carried out, and the connection cut instead of an answer.
    pub lost_reply: f64,
    /// The right answer, cut in the middle.
    pub truncated: f64,
    /// Bytes that are no answer to anything.
    pub garbage: f64,
    /// A proxy's page with status 502.
    pub html: f64,
    /// The right answer, a byte at a time.
    pub slow_drip: f64,
    /// An answer without end.
    pub endless: f64,
    /// The right answer, called a web page.
    pub wrong_type: f64,
    /// A redirect to where no request of ours should go.
    pub redirect: f64,
    /// The job is refused as unsafe.
    pub moderated: f64,
    /// The job fails.
    pub failed: f64,
    /// Nobody is called about the job.
    pub never_call_back: f64,
    /// The last call about the job comes twice.
    pub duplicate_callback: f64,
    /// The last call about the job follows one with a wrong signature.
    pub forged_callback: f64,
    /// The job is done, and the call about it made, before the submit is answered.
    pub early_callback: f64,
    /// Multiplies every time: of answers, queues and runs. Absent is 1, and 0 is at once.
    pub latency_scale: Option<f64>,
    /// How long what hangs does so.
    pub hang_ms: Option<u64>,
}

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallFault {
    RateLimited,
    ServerError,
    Unauthorized,
    OutOfCredit,
    Timeout,
    LostReply,
    Truncated,
    Garbage,
    Html,
    SlowDrip,
    Endless,
    WrongType,
    Redirect,
}

/// What becomes of one job's callbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum CallbackFault {
    #[default]
    None,
    Never,
    Duplicate,
    Forged,
    Early,
}

/// What becomes of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fate {
    Succeeds,
    Moderated,
    Fails,
}

const HANG_MS: u64 = 120_000;

impl Faults {
    /// Says what is out of its range.
    pub(crate) fn check(&self) -> Result<(), String> {
        let groups = [
            self.of_calls().map(|(rate, _)| rate).to_vec(),
            self.of_callbacks().map(|(rate, _)| rate).to_vec(),
            vec![self.moderated, self.failed],
        ];
        for rates in groups {
            let sum: f64 = rates.iter().sum();
            // A little more than 1, because tenths do not add up in binary.
            if rates.iter().any(|rate| !(0.0..=1.0).contains(rate)) || sum > 1.000_001 {
                return Err("rates are between 0 and 1, also together".to_owned());
            }
        }
        match self.latency_scale {
            Some(scale) if !(0.0..=1000.0).contains(&scale) => {
                Err("latency_scale is between 0 and 1000".to_owned())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What this call comes to.
    pub(crate) fn throw_call(&self, target: Target, dice: &mut Dice) -> Option<CallFault> {
        if self.on != Target::All && self.on != target {
            return None;
        }
        throw(&self.of_calls(), dice)
    }

    /// What this job comes to.
    pub(crate) fn throw_fate(&self, dice: &mut Dice) -> Fate {
        let fates = [(self.moderated, Fate::Moderated), (self.failed, Fate::Fails)];
        throw(&fates, dice).unwrap_or(Fate::Succeeds)
    }

    /// What this job's callbacks come to.
    pub(crate) fn throw_callback(&self, dice: &mut Dice) -> CallbackFault {
        throw(&self.of_callbacks(), dice).unwrap_or_default()
    }

    pub(crate) fn scale(&self) -> f64 {
        self.latency_scale.unwrap_or(1.0)
    }

    pub(crate) fn hang(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.hang_ms.unwrap_or(HANG_MS))
    }

    fn of_calls(&self) -> [(f64, CallFault); 13] {
        [
            (self.rate_limited, CallFault::RateLimited),
            (self.server_error, CallFault::ServerError),
            (self.unauthorized, CallFault::Unauthorized),
            (self.out_of_credit, CallFault::OutOfCredit),
            (self.timeout, CallFault::Timeout),
            (self.lost_reply, CallFault::LostReply),
            (self.truncated, CallFault::Truncated),
            (self.garbage, CallFault::Garbage),
            (self.html, CallFault::Html),
            (self.slow_drip, CallFault::SlowDrip),
            (self.endless, CallFault::Endless),
            (self.wrong_type, CallFault::WrongType),
            (self.redirect, CallFault::Redirect),
        ]
    }

    fn of_callbacks(&self) -> [(f64, CallbackFault); 4] {
        [
            (self.never_call_back, CallbackFault::Never),
            (self.duplicate_callback, CallbackFault::Duplicate),
            (self.forged_callback, CallbackFault::Forged),
            (self.early_callback, CallbackFault::Early),
        ]
    }
}

/// One of several things that exclude each other, or none.
fn throw<T: Copy>(rates: &[(f64, T)], dice: &mut Dice) -> Option<T> {
    let mut left = dice.share();
    for (rate, what) in rates {
        left -= rate;
        if left < 0.0 {
            return Some(*what);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_they_are_asked_for() {
        let faults = Faults { rate_limited: 0.1, html: 0.3, ..Faults::default() };
        let mut dice = Dice::of(1, "faults", 0);
        let thrown: Vec<_> =
            (0..10_000).map(|_| faults.throw_call(Target::Read, &mut dice)).collect();
        let count = |fault| thrown.iter().filter(|one| **one == fault).count();
        assert!((850..1150).contains(&count(Some(CallFault::RateLimited))));
        assert!((2800..3200).contains(&count(Some(CallFault::Html))));
        assert_eq!(count(Some(CallFault::Garbage)), 0);
    }

    #[test]
    fn faults_strike_only_what_they_are_for() {
        let faults = Faults { on: Target::Submit, html: 1.0, ..Faults::default() };
        let mut dice = Dice::of(1, "faults", 0);
        assert_eq!(faults.throw_call(Target::Read, &mut dice), None);
        assert_eq!(faults.throw_call(Target::Submit, &mut dice), Some(CallFault::Html));
    }

    #[test]
    fn rates_outside_their_range_are_refused() {
        for faults in [
            Faults { html: -0.1, ..Faults::default() },
            Faults { html: f64::NAN, ..Faults::default() },
            Faults { moderated: 0.6, failed: 0.6, ..Faults::default() },
            Faults { latency_scale: Some(-1.0), ..Faults::default() },
        ] {
            assert!(faults.check().is_err(), "{faults:?}");
        }
        assert_eq!(Faults { html: 1.0, ..Faults::default() }.check(), Ok(()));
    }
}
