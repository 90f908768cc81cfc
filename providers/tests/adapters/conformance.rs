//! What every adapter must do, whatever its provider looks like.

use std::time::Duration;

use providers::{Acceptance, Error, JobRef, Progress, Provider, Request, SubmitError};
use tokio::time::timeout;

use crate::script::{Answer, Script};
use crate::support::SECRET;

/// An adapter in front of a script.
pub(crate) struct Subject<'a> {
    pub(crate) provider: &'a dyn Provider,
    pub(crate) script: &'a Script,
    pub(crate) request: Request,
    /// The start of the request line of a submit.
    pub(crate) submit: &'a str,
    /// A job and the start of the request line of a question about it, unless it is inline.
    pub(crate) poll: Option<(&'a str, &'a str)>,
    /// Header and value of the credential.
    pub(crate) credential: (&'a str, String),
}

impl Subject<'_> {
    /// All of it.
    pub(crate) async fn conforms(&self) {
        self.lost_answers_are_unknown_and_never_sent_again().await;
        self.a_redirect_is_not_followed().await;
        self.the_credential_is_sent_and_never_told().await;
        self.a_hanging_answer_does_not_outlive_its_question().await;
        if let Some((job, line)) = self.poll {
            self.unanswered_questions_say_nothing_of_the_job(job, line).await;
            self.jobs_of_others_are_not_asked_for().await;
        }
    }

    /// Each refusal with its status, body, meaning; none of them means that a job runs.
    pub(crate) async fn refuses(&self, refusals: &[(u16, &str, Error)]) {
        for (status, body, expected) in refusals {
            self.script.reset().on(self.submit, Answer::json(*status, *body));
            let expected = SubmitError { error: expected.clone(), acceptance: Acceptance::Refused };
            assert_eq!(self.submit_fails().await, expected, "{status} {body}");
            assert_eq!(self.script.count(self.submit), 1, "{status} {body}");
        }
    }

    async fn submit_fails(&self) -> SubmitError {
        let limit = Duration::from_secs(20);
        let submitted = timeout(limit, self.provider.submit(&self.request)).await;
        submitted.expect("the submit hangs").expect_err("the submit should have failed")
    }

    async fn lost_answers_are_unknown_and_never_sent_again(&self) {
        let answers = [
            Answer::Nothing,
            Answer::Truncated,
            Answer::Endless,
            Answer::json(200, "{\"id\":"),
            Answer::json(200, "[]"),
            Answer::json(200, "\u{0}\u{1}"),
            Answer::page(200),
            Answer::page(502),
            Answer::page(504),
        ];
        for (index, answer) in answers.into_iter().enumerate() {
            self.script.reset().on(self.submit, answer);
            let failed = self.submit_fails().await;
            assert_eq!(failed.acceptance, Acceptance::Unknown, "{index}: {failed:?}");
            assert_eq!(self.script.count(self.submit), 1, "{index}");
        }
    }

    async fn a_redirect_is_not_followed(&self) {
        let elsewhere = Script::start().await;
        let there = format!("{}stolen", elsewhere.url);
        let answer = Answer::page(307).header("location", &there);
        self.script.reset().on(self.submit, answer);
        assert_eq!(self.submit_fails().await.acceptance, Acceptance::Refused);
        assert_eq!(elsewhere.asked().len(), 0);
    }

    async fn the_credential_is_sent_and_never_told(&self) {
        let body = format!("{{\"detail\":\"bad key {SECRET}\",\"message\":\"bad key {SECRET}\"}}");
        for status in [400, 401, 422, 500] {
            self.script.reset().on(self.submit, Answer::json(status, body.clone()));
            let failed = format!("{:?}", self.submit_fails().await);
            assert!(!failed.contains(SECRET), "{failed}");
            let (name, value) = &self.credential;
            assert_eq!(self.script.last().header(name), value);
        }
    }

    async fn a_hanging_answer_does_not_outlive_its_question(&self) {
        self.script.reset().on(self.submit, Answer::Hangs);
        let hanging = timeout(Duration::from_millis(300), self.provider.submit(&self.request));
        assert!(hanging.await.is_err());
    }

    async fn unanswered_questions_say_nothing_of_the_job(&self, job: &str, line: &str) {
        let job = JobRef(job.to_owned());
        let limited = Answer::json(429, r#"{"detail":"slow down"}"#).header("retry-after", "7");
        self.script.reset().on(line, limited);
        let refused = self.provider.poll(&job).await.unwrap_err();
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(refused, Error::RateLimited { retry_after });
        for answer in [Answer::page(500), Answer::page(503)] {
            self.script.reset().on(line, answer);
            let progress = self.provider.poll(&job).await.unwrap();
            assert!(matches!(progress, Progress::Waiting { .. }), "{progress:?}");
        }
        let unreadable = [
            Answer::Nothing,
            Answer::Truncated,
            Answer::Endless,
            Answer::json(200, "[]"),
            Answer::page(200),
        ];
        for (index, answer) in unreadable.into_iter().enumerate() {
            self.script.reset().on(line, answer);
            assert!(self.provider.poll(&job).await.is_err(), "{index}");
        }
        self.script.reset().on(line, Answer::Nothing).on(line, Answer::page(500));
        self.provider.poll(&job).await.expect("a read is repeated");
    }

    async fn jobs_of_others_are_not_asked_for(&self) {
        self.script.reset();
        for id in ["", "../account", "a/../../b", "x?y=1", "é", "a b", "%2e%2e"] {
            let job = JobRef(id.to_owned());
            assert!(matches!(self.provider.poll(&job).await, Err(Error::Protocol(_))), "{id}");
            assert!(self.provider.cancel(&job).await.is_err(), "{id}");
        }
        assert_eq!(self.script.asked().len(), 0);
    }
}
