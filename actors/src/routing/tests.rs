use providers::Error;
use providers::name::ProviderName::{Fal, SandboxInline, SandboxPolling};
use uuid::Uuid;

use super::*;
use crate::fakes::{limits, new_generation};
use crate::generation::{Event, NewAttempt};

fn at(second: u64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap() + Duration::from_secs(second)
}

/// A generation of which these attempts were made; `None` is still open.
fn after(attempts: &[Option<Error>]) -> Generation {
    let order = [SandboxPolling, SandboxInline, Fal];
    let mut generation = Generation::new(new_generation(Uuid::from_u128(5), &order, at(0)));
    for (provider, error) in order.into_iter().zip(attempts) {
        let started = NewAttempt {
            correlation: Uuid::from_u128(1),
            provider,
            raw_model: String::new(),
            cost: None,
            at: at(0),
            deadline_at: at(60),
        };
        generation.apply(Event::AttemptStarted(started)).unwrap();
        let attempt = generation.open_attempt().unwrap().number;
        if let Some(error) = error.clone() {
            let ended = Event::AttemptFailed { attempt, failure: error.into(), at: at(1) };
            generation.apply(ended).unwrap();
        }
    }
    generation
}

fn step(attempts: &[Option<Error>]) -> Step {
    next_step(&after(attempts), &limits().route, at(2))
}

fn fails_with(step: Step) -> FailureCode {
    match step {
        Step::Fail(failure) => failure.code,
        step => panic!("{step:?}"),
    }
}

#[test]
fn providers_are_asked_in_order_each_once() {
    let (down, slow) = (|| Some(Error::Unavailable), || Some(Error::TimedOut));
    assert_eq!(step(&[]), Step::Submit(SandboxPolling));
    assert_eq!(step(&[None]), Step::Attend(1));
    assert_eq!(step(&[down()]), Step::Submit(SandboxInline));
    assert_eq!(step(&[down(), None]), Step::Attend(2));
    assert_eq!(step(&[down(), slow()]), Step::Submit(Fal));
    assert_eq!(fails_with(step(&[down(), slow(), down()])), FailureCode::AllProvidersFailed);
}

#[test]
fn only_failures_of_the_input_are_decisive() {
    let text = || "why".to_owned();
    let others = [
        Error::RateLimited { retry_after: None },
        Error::OutOfCredit,
        Error::Unauthorized,
        Error::Unavailable,
        Error::TimedOut,
        Error::Failed(text()),
        Error::Protocol(text()),
        Error::Unsupported,
    ];
    for error in others {
        assert_eq!(step(&[Some(error)]), Step::Submit(SandboxInline));
    }
    let moderated = step(&[Some(Error::Moderated(text()))]);
    assert_eq!(fails_with(moderated), FailureCode::ContentPolicyViolation);
    let rejected = step(&[Some(Error::Unavailable), Some(Error::Rejected(text()))]);
    assert_eq!(fails_with(rejected), FailureCode::ProviderRejectedRequest);
}

#[test]
fn refused_content_goes_on_where_the_account_says_so() {
    let refused = || Some(Error::Moderated("no".to_owned()));
    let step = |attempts: &[Option<Error>]| {
        let mut generation = after(attempts);
        generation.input.route.failover_on_moderation = true;
        next_step(&generation, &limits().route, at(2))
    };
    assert_eq!(step(&[refused()]), Step::Submit(SandboxInline));
    let rejected = step(&[refused(), Some(Error::Rejected("no".to_owned()))]);
    assert_eq!(fails_with(rejected), FailureCode::ProviderRejectedRequest);
    // That somebody refused it is what its owner can do something about.
    let failures = [refused(), Some(Error::Unavailable), refused()];
    assert_eq!(fails_with(step(&failures)), FailureCode::ContentPolicyViolation);
}

#[test]
fn one_failure_is_told_as_it_is() {
    let route = RouteLimits { attempts_max: 1, ..limits().route };
    let step = next_step(&after(&[Some(Error::OutOfCredit)]), &route, at(2));
    assert_eq!(fails_with(step), FailureCode::ProviderCreditsExhausted);
}

#[test]
fn the_deadline_comes_before_everything_but_the_end() {
    let deadline = at(150);
    let just_before = deadline - Duration::from_micros(1);
    let route = limits().route;
    for attempts in [&[][..], &[None], &[Some(Error::Unavailable)]] {
        let generation = after(attempts);
        assert!(!matches!(next_step(&generation, &route, just_before), Step::Fail(_)));
        let code = fails_with(next_step(&generation, &route, deadline));
        assert_eq!(code, FailureCode::GenerationTimedOut);
    }
    let mut ended = after(&[None]);
    ended.apply(Event::Canceled { at: at(1) }).unwrap();
    assert_eq!(next_step(&ended, &route, deadline), Step::Rest);
}

#[test]
fn images_and_videos_have_deadlines_of_their_own() {
    let route = limits().route;
    let of = |media| (route.attempt_deadline(media, at(0)), route.deadline(media, at(0)));
    assert_eq!(of(MediaKind::Image), (at(60), at(150)));
    assert_eq!(of(MediaKind::Video), (at(600), at(1200)));
}
