use std::sync::Arc;
use std::time::Duration;

use providers::clock::Clock;
use providers::name::ProviderName::{SandboxInline, SandboxPolling, SandboxWebhook};
use providers::{
    CallbackError, CancelAnswer, Capabilities, DeliveryMode, Error, JobRef, LookUp, Progress,
};

use crate::attempt::AttemptOutcome;
use crate::batch::AdvanceRefusal;
use crate::engine::{CallbackRefusal, CancelError, SubmitError};
use crate::failure::FailureCode;
use crate::fakes::provider::{
    Answer, FakeProvider, done, found, job, lost, offer, picture, refused,
};
use crate::fakes::store::Fault;
use crate::fakes::{ACCOUNT, World, limits, run};
use crate::generation::{Event, EventKind as E, Generation, State, Status};
use crate::id::GenerationId;
use crate::metrics::StatusLabel;
use crate::ports::TakeOverError;
use crate::routing::choice::Source;

const SECOND: Duration = Duration::from_secs(1);

fn inline() -> Arc<FakeProvider> {
    FakeProvider::new(SandboxInline, DeliveryMode::Inline)
}

fn polling() -> Arc<FakeProvider> {
    FakeProvider::new(SandboxPolling, DeliveryMode::Polling)
}

/// A polled provider that can find a job whose submit answer was lost.
fn findable() -> Arc<FakeProvider> {
    let deliveries = offer(DeliveryMode::Polling);
    FakeProvider::with(SandboxPolling, Capabilities { deliveries, cancel: true, look_up: true })
}

fn calling() -> Arc<FakeProvider> {
    FakeProvider::new(SandboxWebhook, DeliveryMode::Callback)
}

fn outcomes(generation: &Generation) -> Vec<&'static str> {
    generation.attempts().iter().map(|attempt| attempt.outcome.as_str()).collect()
}

fn failure_code(generation: &Generation) -> FailureCode {
    match generation.state() {
        State::Failed { failure, .. } => failure.code,
        state => panic!("it is {state:?}"),
    }
}

#[test]
fn an_inline_success_is_exactly_two_writes() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::Now(done()));
        let world = World::start(&[&provider]).await;
        let generation = world.submit().await;
        assert_eq!(generation.status(), Status::Succeeded);
        let ended = world.ended(generation.id).await;
        let writes = world.store.rows().writes.clone();
        assert_eq!(writes, [vec![E::AttemptStarted], vec![E::Accepted, E::Completed]]);
        assert_eq!(outcomes(&ended), ["used"]);
        assert_eq!(world.outputs.files.lock().unwrap().len(), 1);
    });
}

#[test]
fn a_polled_job_is_awaited_and_its_result_delivered() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        let waiting = || Answer::Now(Ok(Progress::Waiting { retry_after: None }));
        provider.on_poll(waiting()).on_poll(Answer::Now(Err(Error::Unavailable)));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        let taken = world.submit().await;
        assert_eq!(taken.status(), Status::Processing);
        let ended = world.ended(taken.id).await;
        assert_eq!(ended.status(), Status::Succeeded);
        assert_eq!((provider.count("submit"), provider.count("poll")), (1, 3));
        let writes = world.store.rows().writes.clone();
        let all = [vec![E::AttemptStarted], vec![E::Accepted], vec![E::Accepted, E::Completed]];
        assert_eq!(writes, all);
    });
}

#[test]
fn how_attempts_end_is_held_against_their_providers() {
    run(async {
        let (down, up) = (polling(), inline());
        down.on_submit(Answer::Now(refused(Error::Unavailable)));
        up.on_submit(Answer::Now(done()));
        let world = World::start(&[&down, &up]).await;
        let generation = world.submit().await;
        assert_eq!(outcomes(&world.ended(generation.id).await), ["failed", "used"]);
        let counted = |name| {
            let report = world.router.health(name, world.clock.now());
            (report.failures, report.successes)
        };
        assert_eq!((counted(SandboxPolling), counted(SandboxInline)), ((1, 0), (0, 1)));
    });
}

#[test]
fn a_wish_to_be_polled_at_once_does_not_become_a_storm() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        for _ in 0..100 {
            let retry_after = Some(Duration::ZERO);
            provider.on_poll(Answer::Now(Ok(Progress::Waiting { retry_after })));
        }
        let world = World::start(&[&provider]).await;
        world.begin().await;
        world.pass(5 * SECOND).await;
        assert!(provider.count("poll") <= 10, "{} polls", provider.count("poll"));
    });
}

#[test]
fn polls_of_the_second_provider_begin_as_quickly_as_those_of_the_first() {
    run(async {
        let slow = polling();
        slow.on_submit(Answer::Now(job("j1")));
        let second = FakeProvider::new(SandboxInline, DeliveryMode::Polling);
        second.on_submit(Answer::Now(job("j2")));
        let world = World::start(&[&slow, &second]).await;
        world.begin().await;
        world.pass(62 * SECOND).await;
        assert!(second.count("poll") >= 2, "{} polls", second.count("poll"));
    });
}

#[test]
fn a_callback_delivers_the_result_and_polling_is_only_a_safety_net() {
    run(async {
        let provider = calling();
        provider.on_submit(Answer::Now(job("j1")));
        let world = World::start(&[&provider]).await;
        let taken = world.submit().await;
        world.pass(2 * SECOND).await;
        assert_eq!(provider.count("poll"), 0);
        world.call_back(taken.id, 1, "done j1").await.unwrap();
        let ended = world.ended(taken.id).await;
        assert_eq!((ended.status(), provider.count("poll")), (Status::Succeeded, 0));
    });
}

#[test]
fn a_callback_that_never_comes_is_made_up_for_by_polling() {
    run(async {
        let provider = calling();
        provider.on_submit(Answer::Now(job("j1")));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        let taken = world.submit().await;
        assert_eq!(world.ended(taken.id).await.status(), Status::Succeeded);
        assert_eq!(provider.count("poll"), 1);
    });
}

#[test]
fn a_callback_may_come_before_the_submit_returns() {
    run(async {
        let provider = calling();
        provider.on_submit(Answer::After(SECOND, job("j1")));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        world.call_back(id, 1, "done j1").await.unwrap();
        let ended = world.ended(id).await;
        assert_eq!((ended.status(), provider.count("submit")), (Status::Succeeded, 1));
    });
}

#[test]
fn a_submit_refused_while_its_callback_brought_the_result_changes_nothing() {
    run(async {
        let provider = calling();
        provider.on_submit(Answer::After(SECOND / 10, lost()));
        let world = World::start(&[&provider]).await;
        *world.outputs.wait.lock().unwrap() = SECOND;
        let id = world.begin().await;
        world.call_back(id, 1, "done j1").await.unwrap();
        assert_eq!(world.ended(id).await.status(), Status::Succeeded);
        assert!(world.store.rows().refusals.is_empty());
    });
}

#[test]
fn polling_goes_on_when_a_callback_named_the_job_of_a_lost_submit() {
    run(async {
        let provider = calling();
        provider.on_submit(Answer::After(SECOND, lost()));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        world.call_back(id, 1, "waiting j1").await.unwrap();
        world.pass(15 * SECOND).await;
        assert_eq!(world.store.generation(id).status(), Status::Succeeded);
    });
}

#[test]
fn a_callback_that_is_repeated_counts_once() {
    run(async {
        let provider = calling();
        provider.on_submit(Answer::Now(job("j1")));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        for _ in 0..5 {
            world.call_back(id, 1, "done j1").await.unwrap();
        }
        let ended = world.ended(id).await;
        assert_eq!(outcomes(&ended), ["used"]);
        world.call_back(id, 1, "done j1").await.unwrap();
        assert_eq!(world.store.generation(id), ended);
    });
}

#[test]
fn a_failure_called_back_twice_asks_the_next_provider_once() {
    run(async {
        let (first, second) = (calling(), polling());
        first.on_submit(Answer::Now(job("j1")));
        second.on_submit(Answer::After(4 * SECOND, job("j2")));
        second.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&first, &second]).await;
        let id = world.submit().await.id;
        world.store.fault(&[Fault::Slow(SECOND / 10)]);
        world.call_back(id, 1, "failed j1").await.unwrap();
        world.call_back(id, 1, "failed j1").await.unwrap();
        let ended = world.ended(id).await;
        assert_eq!(outcomes(&ended), ["failed", "used"]);
        assert_eq!((first.count("submit"), second.count("submit")), (1, 1));
    });
}

#[test]
fn a_callback_of_a_foreign_job_or_without_a_signature_is_refused() {
    run(async {
        let provider = calling();
        provider.on_submit(Answer::Now(job("j1")));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        let foreign = world.call_back(id, 1, "done other").await;
        assert!(matches!(foreign, Err(CallbackRefusal::NotFound)));
        let forged = world.call_back(id, 1, "forged").await;
        assert!(matches!(forged, Err(CallbackRefusal::Refused(CallbackError::Signature))));
        world.pass(SECOND).await;
        assert_eq!(world.store.generation(id).status(), Status::Processing);
    });
}

#[test]
fn a_refusal_asks_the_next_provider_in_the_same_write() {
    run(async {
        let (first, second) = (polling(), inline());
        first.on_submit(Answer::Now(refused(Error::RateLimited { retry_after: None })));
        second.on_submit(Answer::Now(done()));
        let world = World::start(&[&first, &second]).await;
        let generation = world.submit().await;
        let ended = world.ended(generation.id).await;
        assert_eq!(outcomes(&ended), ["failed", "used"]);
        assert_eq!(ended.provider_used(), Some(SandboxInline));
        assert_eq!(ended.attempts()[1].raw_model, "raw/sandbox_inline");
        let writes = world.store.rows().writes.clone();
        let second = vec![E::AttemptFailed, E::AttemptStarted];
        assert_eq!(writes, [vec![E::AttemptStarted], second, vec![E::Accepted, E::Completed]]);
    });
}

#[test]
fn a_decisive_refusal_asks_nobody_else() {
    run(async {
        let (first, second) = (polling(), inline());
        first.on_submit(Answer::Now(refused(Error::Moderated("no".to_owned()))));
        let world = World::start(&[&first, &second]).await;
        let generation = world.submit().await;
        assert_eq!(failure_code(&generation), FailureCode::ContentPolicyViolation);
        world.ended(generation.id).await;
        assert_eq!(second.count("submit"), 0);
    });
}

#[test]
fn when_every_provider_refuses_the_credit_is_back_and_the_caller_told_at_once() {
    run(async {
        let (first, second) = (polling(), inline());
        first.on_submit(Answer::Now(refused(Error::Unavailable)));
        second.on_submit(Answer::Now(refused(Error::OutOfCredit)));
        let world = World::start(&[&first, &second]).await;
        let before = tokio::time::Instant::now();
        let generation = world.submit().await;
        assert!(before.elapsed() < SECOND);
        assert_eq!(failure_code(&generation), FailureCode::AllProvidersFailed);
        world.ended(generation.id).await;
        assert_eq!(world.balance(), crate::fakes::WELCOME);
    });
}

#[test]
fn no_more_attempts_are_made_than_allowed() {
    run(async {
        let fourth = FakeProvider::new(providers::name::ProviderName::Fal, DeliveryMode::Polling);
        let all = [polling(), inline(), calling(), fourth];
        let world = World::start(&all.each_ref()).await;
        let generation = world.submit().await;
        assert_eq!(failure_code(&generation), FailureCode::AllProvidersFailed);
        assert_eq!(world.ended(generation.id).await.attempts().len(), 3);
        assert_eq!(all[3].count("submit"), 0);
    });
}

#[test]
fn a_lost_submit_that_is_found_goes_on_without_another() {
    run(async {
        let provider = findable();
        provider.on_submit(Answer::Now(lost()));
        provider.on_look_up(Answer::Now(Err(Error::Unavailable)));
        provider.on_look_up(Answer::Now(found("j1")));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        let ended = world.ended(id).await;
        assert_eq!((ended.status(), provider.count("submit")), (Status::Succeeded, 1));
        assert_eq!(provider.called_with("submit"), provider.called_with("look_up")[..1]);
    });
}

#[test]
fn a_submit_that_takes_too_long_is_lost_and_not_repeated() {
    run(async {
        let provider = findable();
        provider.on_submit(Answer::Hang);
        provider.on_look_up(Answer::Now(found("j1")));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        assert_eq!(world.ended(id).await.status(), Status::Succeeded);
        assert_eq!(provider.count("submit"), 1);
    });
}

#[test]
fn a_lost_submit_that_is_certainly_absent_is_repeated_once() {
    run(async {
        let (first, second) = (findable(), inline());
        for _ in 0..50 {
            first.on_submit(Answer::Now(lost())).on_look_up(Answer::Now(Ok(LookUp::Absent)));
        }
        second.on_submit(Answer::Now(done()));
        let world = World::start(&[&first, &second]).await;
        let id = world.submit().await.id;
        let ended = world.ended(id).await;
        assert_eq!((outcomes(&ended), first.count("submit")), (vec!["failed", "used"], 2));
    });
}

#[test]
fn a_lost_submit_that_nobody_can_look_up_waits_for_its_callback() {
    run(async {
        let provider = calling();
        provider.on_submit(Answer::Now(lost()));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        world.pass(20 * SECOND).await;
        assert_eq!(world.store.generation(id).status(), Status::Pending);
        world.call_back(id, 1, "done j1").await.unwrap();
        let ended = world.ended(id).await;
        assert_eq!((ended.status(), provider.count("submit")), (Status::Succeeded, 1));
    });
}

#[test]
fn a_lost_submit_of_which_nothing_is_heard_ends_at_its_deadline() {
    run(async {
        let (first, second) = (calling(), inline());
        first.on_submit(Answer::Now(lost()));
        second.on_submit(Answer::Now(done()));
        let world = World::start(&[&first, &second]).await;
        let id = world.begin().await;
        let ended = world.ended(id).await;
        assert_eq!((outcomes(&ended), first.count("submit")), (vec!["failed", "used"], 1));
        assert_eq!(ended.attempts()[1].submitted_at, ended.attempts()[0].deadline_at);
    });
}

#[test]
fn an_attempt_past_its_deadline_is_stopped_and_its_late_result_discarded() {
    run(async {
        let (first, second) = (calling(), polling());
        first.on_submit(Answer::Now(job("j1")));
        second.on_submit(Answer::After(4 * SECOND, job("j2")));
        second.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&first, &second]).await;
        let id = world.submit().await.id;
        world.pass(61 * SECOND).await;
        assert_eq!(first.called_with("cancel"), ["j1"]);
        assert_eq!((second.count("submit"), second.count("poll")), (1, 0));
        // While the second submit is under way.
        world.call_back(id, 1, "done j1").await.unwrap();
        let ended = world.ended(id).await;
        assert_eq!(outcomes(&ended), ["discarded", "used"]);
        assert_eq!((second.count("submit"), world.store.rows().refusals.len()), (1, 0));
    });
}

#[test]
fn a_late_result_does_not_disturb_the_wait_for_a_lost_submit() {
    run(async {
        let (first, second) = (calling(), polling());
        first.on_submit(Answer::Now(job("j1")));
        second.on_submit(Answer::Now(lost()));
        let world = World::start(&[&first, &second]).await;
        let id = world.submit().await.id;
        world.pass(61 * SECOND).await;
        world.call_back(id, 1, "done j1").await.unwrap();
        world.pass(30 * SECOND).await;
        let generation = world.store.generation(id);
        assert_eq!(outcomes(&generation), ["discarded", "pending"]);
        assert_eq!(outcomes(&world.ended(id).await), ["discarded", "failed"]);
    });
}

#[test]
fn a_generation_past_its_deadline_has_timed_out() {
    run(async {
        let all = [polling(), calling(), inline()];
        for (number, provider) in all.iter().enumerate().take(2) {
            provider.on_submit(Answer::Now(job(&format!("j{number}"))));
        }
        all[2].on_submit(Answer::Hang);
        let world = World::start(&all.each_ref()).await;
        let id = world.submit().await.id;
        let ended = world.ended(id).await;
        assert_eq!(failure_code(&ended), FailureCode::GenerationTimedOut);
        assert_eq!(ended.completed_at(), Some(ended.created_at + limits().route.image_total));
    });
}

#[test]
fn an_adopted_generation_past_its_deadline_has_its_job_stopped() {
    run(async {
        let provider = polling();
        let mut world = World::new(&[&provider]);
        let at = providers::clock::Clock::now(&*world.clock);
        let taken = Event::Accepted { attempt: 1, job: JobRef("j1".to_owned()), cost: None, at };
        let id = world.leave(vec![taken]).await;
        world.pass(200 * SECOND).await;
        world.boot().await;
        let ended = world.ended(id).await;
        assert_eq!(failure_code(&ended), FailureCode::GenerationTimedOut);
        assert_eq!(provider.called_with("cancel"), ["j1"]);
    });
}

#[test]
fn a_deadline_holds_while_every_poll_is_taken() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        let mut world = World::new(&[&provider]);
        world.polls = [(SandboxPolling, 1)].into_iter().collect();
        world.polls.of(SandboxPolling).unwrap().pause(1000 * SECOND);
        world.boot().await;
        let id = world.submit().await.id;
        let ended = world.ended(id).await;
        assert_eq!(failure_code(&ended), FailureCode::ProviderTimeout);
        assert_eq!(ended.completed_at(), Some(ended.attempts()[0].deadline_at));
    });
}

#[test]
fn a_slow_inline_call_shows_as_processing_after_a_second() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::After(10 * SECOND, done()));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        assert_eq!(world.store.generation(id).status(), Status::Pending);
        world.pass(SECOND).await;
        assert_eq!(world.store.generation(id).status(), Status::Processing);
        assert_eq!(outcomes(&world.ended(id).await), ["used"]);
    });
}

#[test]
fn an_inline_call_that_hangs_ends_at_its_deadline() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::Hang);
        let world = World::start(&[&provider]).await;
        let generation = world.submit().await;
        assert_eq!(generation.status(), Status::Processing);
        let ended = world.ended(generation.id).await;
        assert_eq!(failure_code(&ended), FailureCode::ProviderTimeout);
    });
}

#[test]
fn the_wait_for_an_answer_counts_from_the_request() {
    run(async {
        let slow = inline();
        slow.on_submit(Answer::After(30 * SECOND, done()));
        let world = World::start(&[&slow]).await;
        for already in [0, 15, 60] {
            let wanted = world.wanted();
            let asked_at = wanted.asked_at - Duration::from_secs(already);
            let began = world.clock.now();
            let wanted = crate::generation::NewGeneration { asked_at, ..wanted };
            let generation = world.engine().submit(wanted).await.unwrap();
            let waited = (world.clock.now() - began).num_seconds();
            assert_eq!(waited, (18 - already as i64).max(0));
            assert!(!generation.status().is_terminal());
            slow.on_submit(Answer::After(30 * SECOND, done()));
        }
    });
}

#[test]
fn an_inline_refusal_while_the_store_is_slow_asks_the_next_provider_once() {
    run(async {
        let (first, second) = (inline(), polling());
        first.on_submit(Answer::After(SECOND / 2, refused(Error::Unavailable)));
        second.on_submit(Answer::After(4 * SECOND, job("j2")));
        second.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&first, &second]).await;
        world.store.fault(&[Fault::Pass, Fault::Slow(SECOND)]);
        let id = world.begin().await;
        let ended = world.ended(id).await;
        assert_eq!((outcomes(&ended), second.count("submit")), (vec!["failed", "used"], 1));
        assert!(world.store.rows().refusals.is_empty());
    });
}

/// Cancels and checks that everything ends as it should.
async fn cancel(world: &World, id: GenerationId, told: bool) -> Generation {
    let canceled = world.engine().cancel(ACCOUNT, id).await.unwrap();
    assert_eq!(canceled.generation.status(), Status::Canceled);
    assert_eq!(canceled.provider_cancel_sent, told);
    let again = world.engine().cancel(ACCOUNT, id).await;
    assert!(matches!(again, Err(CancelError::Refused(AdvanceRefusal::Conflict(_)))));
    world.ended(id).await
}

#[test]
fn a_cancel_while_a_submit_is_under_way_stops_its_job_when_it_is_known() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::After(2 * SECOND, job("j1")));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        let ended = cancel(&world, id, false).await;
        assert_eq!(outcomes(&ended), ["canceled"]);
        assert_eq!(provider.called_with("cancel"), ["j1"]);
    });
}

#[test]
fn a_cancel_that_the_actor_only_learns_of_when_it_writes_stops_the_job_too() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::After(SECOND, job("j1")));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        let at = providers::clock::Clock::now(&*world.clock);
        let events = vec![Event::Canceled { at }];
        let advance = crate::batch::Advance { account_id: ACCOUNT, id, epoch: None, events };
        let store: &dyn crate::ports::GenerationStore = &*world.store;
        store.advance(advance).await.unwrap().unwrap();
        world.ended(id).await;
        assert_eq!(provider.called_with("cancel"), ["j1"]);
    });
}

#[test]
fn a_cancel_while_a_lost_submit_is_awaited_ends_the_actor() {
    run(async {
        let provider = calling();
        provider.on_submit(Answer::Now(lost()));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        cancel(&world, id, false).await;
        world.call_back(id, 1, "done j1").await.unwrap();
        assert_eq!(outcomes(&world.store.generation(id)), ["discarded"]);
        world.settled();
    });
}

#[test]
fn a_cancel_while_a_job_is_awaited_tells_the_provider() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        let ended = cancel(&world, id, true).await;
        assert_eq!(outcomes(&ended), ["canceled"]);
        assert_eq!(provider.called_with("cancel"), ["j1"]);
    });
}

#[test]
fn a_result_that_the_provider_could_not_stop_is_discarded() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        provider.on_cancel(Answer::Now(Ok(CancelAnswer::TooLate)));
        provider.on_poll(Answer::Now(Ok(Progress::Waiting { retry_after: None })));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        let ended = cancel(&world, id, true).await;
        assert_eq!(outcomes(&ended), ["discarded"]);
        assert!(world.outputs.files.lock().unwrap().is_empty());
    });
}

#[test]
fn a_canceled_job_that_runs_on_is_not_watched_for_ever() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        provider.on_cancel(Answer::Now(Err(Error::Unavailable)));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        let ended = cancel(&world, id, false).await;
        assert_eq!(outcomes(&ended), ["canceled"]);
    });
}

#[test]
fn a_cancel_while_an_inline_call_runs_discards_its_result() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::After(5 * SECOND, done()));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        let ended = cancel(&world, id, false).await;
        assert_eq!(outcomes(&ended), ["discarded"]);
    });
}

#[test]
fn a_cancel_while_the_result_is_being_stored_wins() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        *world.outputs.wait.lock().unwrap() = 3 * SECOND;
        let id = world.submit().await.id;
        world.pass(SECOND).await;
        let ended = cancel(&world, id, true).await;
        assert_eq!(outcomes(&ended), ["discarded"]);
    });
}

#[test]
fn a_caller_that_hangs_up_keeps_no_cancel_from_the_provider() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        provider.on_cancel(Answer::After(SECOND, Ok(CancelAnswer::Canceled)));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        let (engine, impatience) = (world.engine(), SECOND / 10);
        let hung_up = tokio::time::timeout(impatience, engine.cancel(ACCOUNT, id)).await;
        assert!(hung_up.is_err());
        world.pass(SECOND).await;
        assert_eq!(world.alive(), 0);
        world.settled();
    });
}

#[test]
fn a_canceled_generation_is_counted_once() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::After(SECOND, job("j1")));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        cancel(&world, id, false).await;
        let canceled = StatusLabel { status: "canceled" };
        assert_eq!(world.metrics.generations.get_or_create(&canceled).get(), 1);
    });
}

#[test]
fn a_store_that_fails_is_asked_again_until_it_has_written() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        world.store.fault(&[Fault::Pass, Fault::Fail, Fault::Fail, Fault::Pass, Fault::Fail]);
        let id = world.begin().await;
        assert_eq!(world.ended(id).await.status(), Status::Succeeded);
        assert_eq!((provider.count("submit"), provider.count("poll")), (1, 1));
    });
}

#[test]
fn a_write_whose_answer_was_lost_settles_once_and_goes_on() {
    run(async {
        let (first, second) = (polling(), inline());
        first.on_submit(Answer::Now(refused(Error::Unavailable)));
        second.on_submit(Answer::Now(done()));
        let world = World::start(&[&first, &second]).await;
        let lose = Fault::LoseAnswer;
        world.store.fault(&[Fault::Pass, lose, Fault::Pass, lose]);
        let generation = world.submit().await;
        assert_eq!(generation.status(), Status::Succeeded);
        let ended = world.ended(generation.id).await;
        assert_eq!((outcomes(&ended), second.count("submit")), (vec!["failed", "used"], 1));
        let succeeded = StatusLabel { status: "succeeded" };
        assert_eq!(world.metrics.generations.get_or_create(&succeeded).get(), 1);
    });
}

#[test]
fn an_accepted_generation_whose_answer_was_lost_is_taken_on() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::Now(done()));
        let world = World::start(&[&provider]).await;
        world.store.fault(&[Fault::LoseAnswer]);
        let generation = world.submit().await;
        assert_eq!(generation.status(), Status::Succeeded);
        world.ended(generation.id).await;
        world.store.fault(&[Fault::Fail]);
        let failed = world.engine().submit(world.wanted()).await;
        assert!(matches!(failed, Err(SubmitError::Store(_))));
    });
}

#[test]
fn a_fenced_actor_lets_go() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        let other = crate::id::NodeId(uuid::Uuid::from_u128(8));
        let store: &dyn crate::ports::GenerationStore = &*world.store;
        store.adopt_any_account(other).await.unwrap();
        world.pass(5 * SECOND).await;
        assert_eq!((world.alive(), world.store.generation(id).status()), (0, Status::Processing));
        assert_eq!(world.store.rows().refusals, [AdvanceRefusal::Fenced]);
    });
}

/// No other provider is paid for what we could not store either.
#[test]
fn an_output_that_cannot_be_stored_is_refunded() {
    run(async {
        let (first, second) = (inline(), polling());
        first.on_submit(Answer::Now(done()));
        let world = World::start(&[&first, &second]).await;
        world.outputs.failures.store(100, std::sync::atomic::Ordering::Relaxed);
        let generation = world.submit().await;
        assert_eq!(failure_code(&generation), FailureCode::OutputNotStored);
        assert_eq!(outcomes(&generation), ["failed"]);
    });
}

#[test]
fn an_output_that_is_no_file_of_ours_is_made_by_another_provider() {
    run(async {
        let (first, second) = (inline(), polling());
        first.on_submit(Answer::Now(done_elsewhere()));
        second.on_submit(Answer::Now(done()));
        let world = World::start(&[&first, &second]).await;
        let reason = TakeOverError::Refused("It is a page.".to_owned());
        world.outputs.fetches.lock().unwrap().push_back(reason);
        let ended = world.submit().await;
        assert_eq!(outcomes(&ended), ["failed", "used"]);
        assert_eq!(world.outputs.files.lock().unwrap().len(), 1);
        // It was not for want of a result.
        assert_eq!(world.router.health(SandboxInline, world.clock.now()).failures, 0);
    });
}

#[test]
fn a_provider_that_limits_us_is_left_alone_at_once() {
    run(async {
        let (busy, other) = (polling(), inline());
        let retry_after = Some(20 * SECOND);
        busy.on_submit(Answer::Now(refused(Error::RateLimited { retry_after })));
        busy.on_submit(Answer::Now(done()));
        other.on_submit(Answer::Now(done())).on_submit(Answer::Now(done()));
        let world = World::start(&[&busy, &other]).await;
        assert_eq!(outcomes(&world.submit().await), ["failed", "used"]);
        let next = world.submit().await;
        assert_eq!(next.input.provider_order, [SandboxInline, SandboxPolling]);
        let sources: Vec<Source> = next.attempts().iter().map(|it| it.decision.source).collect();
        assert_eq!(sources, [Source::Breaker]);
        world.pass(20 * SECOND).await;
        assert_eq!(world.submit().await.input.provider_order, [SandboxPolling, SandboxInline]);
    });
}

#[test]
fn an_output_store_that_fails_now_and_then_costs_only_time() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::Now(done()));
        let world = World::start(&[&provider]).await;
        world.outputs.failures.store(3, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(world.submit().await.status(), Status::Succeeded);
    });
}

/// The result of a provider that keeps its files.
fn done_elsewhere() -> Result<providers::Submitted, providers::SubmitError> {
    let url = "https://files.example/out.png".parse().unwrap();
    let mut output = picture();
    output.files = vec![providers::OutputFile::Url(url)];
    Ok(providers::Submitted::Done { job: None, output })
}

#[test]
fn an_output_at_the_provider_is_taken_over_before_success() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::Now(done_elsewhere()));
        let world = World::start(&[&provider]).await;
        // More often than a store would be asked: the provider may have a bad minute.
        for _ in 0..6 {
            let reason = TakeOverError::Unavailable("not now".to_owned());
            world.outputs.fetches.lock().unwrap().push_back(reason);
        }
        let generation = world.submit().await;
        assert_eq!(generation.status(), Status::Succeeded);
        let files = world.outputs.files.lock().unwrap();
        let (key, bytes) = files.first_key_value().unwrap();
        assert!(key.ends_with("/0.png"), "{key}");
        assert_eq!(bytes.as_ref(), b"https://files.example/out.png");
    });
}

#[test]
fn an_output_that_nobody_may_take_over_is_refunded_with_the_reason() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::Now(done_elsewhere()));
        let world = World::start(&[&provider]).await;
        let reason = TakeOverError::Refused("It is a page.".to_owned());
        world.outputs.fetches.lock().unwrap().push_back(reason);
        let generation = world.submit().await;
        let State::Failed { failure, .. } = generation.state() else { panic!() };
        assert_eq!(failure.code, FailureCode::OutputProcessingFailed);
        assert_eq!(failure.message, "It is a page.");
        assert!(world.outputs.files.lock().unwrap().is_empty());
    });
}

#[test]
fn an_output_that_cannot_be_fetched_is_given_up_with_the_attempt() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::Now(done_elsewhere()));
        let world = World::start(&[&provider]).await;
        for _ in 0..1000 {
            let reason = TakeOverError::Unavailable("not now".to_owned());
            world.outputs.fetches.lock().unwrap().push_back(reason);
        }
        let id = world.begin().await;
        assert_eq!(failure_code(&world.ended(id).await), FailureCode::OutputProcessingFailed);
        let left = world.outputs.fetches.lock().unwrap().len();
        assert!((900..990).contains(&left), "{left}");
    });
}

#[test]
fn a_file_that_comes_too_slowly_is_given_up_like_one_that_does_not_come() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::Now(done_elsewhere()));
        let world = World::start(&[&provider]).await;
        *world.outputs.wait.lock().unwrap() = 10_000 * SECOND;
        let id = world.begin().await;
        assert_eq!(failure_code(&world.ended(id).await), FailureCode::OutputProcessingFailed);
    });
}

#[test]
fn an_output_store_that_hangs_does_not_hold_a_generation_for_ever() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::Now(done()));
        let world = World::start(&[&provider]).await;
        *world.outputs.wait.lock().unwrap() = 10_000 * SECOND;
        let id = world.begin().await;
        let ended = world.ended(id).await;
        assert_eq!(failure_code(&ended), FailureCode::OutputNotStored);
    });
}

#[test]
fn a_provider_that_panics_costs_a_restart_and_never_a_second_submit() {
    run(async {
        let provider = findable();
        provider.on_submit(Answer::Panic);
        provider.on_look_up(Answer::Now(found("j1")));
        provider.on_poll(Answer::Panic);
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        let ended = world.ended(id).await;
        assert_eq!((ended.status(), provider.count("submit")), (Status::Succeeded, 1));
        let counts = &world.metrics.generation_actors;
        assert_eq!((counts.started.get(), counts.panicked.get()), (3, 2));
        assert_eq!((counts.restarted.get(), counts.finished.get()), (2, 1));
    });
}

#[test]
fn a_generation_whose_actor_keeps_dying_is_failed_and_refunded() {
    run(async {
        let (provider, other) = (polling(), inline());
        provider.on_submit(Answer::Now(job("j1")));
        for _ in 0..10 {
            provider.on_poll(Answer::Panic);
        }
        let world = World::start(&[&provider, &other]).await;
        let id = world.submit().await.id;
        let ended = world.ended(id).await;
        assert_eq!(failure_code(&ended), FailureCode::GenerationFailed);
        assert_eq!((provider.count("poll"), other.count("submit")), (3, 0));
        assert_eq!(world.metrics.generation_actors.panicked.get(), 3);
    });
}

#[test]
fn an_actor_that_died_is_not_replaced_when_another_process_has_its_generation() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1"))).on_poll(Answer::Panic);
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        let store: &dyn crate::ports::GenerationStore = &*world.store;
        let other = crate::id::NodeId(uuid::Uuid::from_u128(8));
        store.adopt_any_account(other).await.unwrap();
        world.pass(10 * SECOND).await;
        assert_eq!((world.alive(), provider.count("poll")), (0, 1));
        assert_eq!(world.store.generation(id).status(), Status::Processing);
    });
}

#[test]
fn a_stop_waits_for_calls_and_writes_down_what_they_came_to() {
    run(async {
        let (provider, other) = (polling(), inline());
        provider.on_submit(Answer::After(3 * SECOND, job("j1")));
        let mut world = World::start(&[&provider, &other]).await;
        let id = world.begin().await;
        world.stop().await;
        let generation = world.store.generation(id);
        assert_eq!((generation.status(), world.alive()), (Status::Processing, 0));
        assert_eq!(generation.job(), Some(&JobRef("j1".to_owned())));
        let engine = world.store.listener.lock().unwrap().clone().unwrap();
        let refused = engine.submit(world.wanted()).await;
        assert!(matches!(refused, Err(SubmitError::Stopping)));
    });
}

#[test]
fn a_refusal_during_a_stop_leaves_the_next_attempt_to_the_next_process() {
    run(async {
        let (first, second) = (polling(), inline());
        first.on_submit(Answer::After(3 * SECOND, refused(Error::Unavailable)));
        second.on_submit(Answer::Now(done()));
        let mut world = World::start(&[&first, &second]).await;
        let id = world.begin().await;
        world.stop().await;
        assert_eq!(outcomes(&world.store.generation(id)), ["failed"]);
        assert_eq!(second.count("submit"), 0);
        world.boot().await;
        assert_eq!(outcomes(&world.ended(id).await), ["failed", "used"]);
    });
}

#[test]
fn a_result_that_comes_during_a_stop_is_stored() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::After(3 * SECOND, done()));
        let mut world = World::start(&[&provider]).await;
        let id = world.begin().await;
        world.stop().await;
        assert_eq!(world.ended(id).await.status(), Status::Succeeded);
    });
}

#[test]
fn a_stop_does_not_wait_longer_than_its_limit() {
    run(async {
        let provider = inline();
        provider.on_submit(Answer::Hang);
        let mut world = World::start(&[&provider]).await;
        world.begin().await;
        let before = tokio::time::Instant::now();
        world.stop().await;
        assert!(before.elapsed() < 11 * SECOND);
    });
}

#[test]
fn what_was_adopted_pending_is_not_submitted_again_unless_certainly_absent() {
    run(async {
        let provider = findable();
        provider.on_look_up(Answer::Now(Ok(LookUp::Absent)));
        provider.on_submit(Answer::Now(job("j1")));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let mut world = World::new(&[&provider]);
        let id = world.leave(Vec::new()).await;
        world.boot().await;
        let ended = world.ended(id).await;
        assert_eq!((ended.status(), ended.epoch), (Status::Succeeded, 2));
        assert_eq!(provider.count("submit"), 1);
        assert_eq!(provider.called_with("submit"), provider.called_with("look_up"));
    });
}

#[test]
fn what_was_adopted_with_a_job_is_polled_at_once() {
    run(async {
        let provider = calling();
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let mut world = World::new(&[&provider]);
        let at = providers::clock::Clock::now(&*world.clock);
        let taken = Event::Accepted { attempt: 1, job: JobRef("j1".to_owned()), cost: None, at };
        let id = world.leave(vec![taken]).await;
        world.boot().await;
        world.pass(SECOND).await;
        assert_eq!(world.store.generation(id).status(), Status::Succeeded);
        assert_eq!(provider.count("submit"), 0);
    });
}

#[test]
fn an_inline_call_that_died_with_its_process_is_not_repeated_at_the_same_provider() {
    run(async {
        let (first, second) = (inline(), polling());
        second.on_submit(Answer::Now(job("j2")));
        second.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let mut world = World::new(&[&first, &second]);
        let pending = world.leave(Vec::new()).await;
        world.boot().await;
        let ended = world.ended(pending).await;
        assert_eq!((outcomes(&ended), first.count("submit")), (vec!["failed", "used"], 0));
    });
}

#[test]
fn what_was_adopted_between_two_attempts_asks_the_next_provider() {
    run(async {
        let (first, second) = (polling(), inline());
        second.on_submit(Answer::Now(done()));
        let mut world = World::new(&[&first, &second]);
        let at = providers::clock::Clock::now(&*world.clock);
        let ended = Event::AttemptFailed { attempt: 1, failure: Error::Unavailable.into(), at };
        let id = world.leave(vec![ended]).await;
        world.boot().await;
        let ended = world.ended(id).await;
        assert_eq!((outcomes(&ended), first.count("submit")), (vec!["failed", "used"], 0));
    });
}

#[test]
fn what_has_ended_is_not_adopted() {
    run(async {
        let provider = polling();
        let mut world = World::new(&[&provider]);
        let at = providers::clock::Clock::now(&*world.clock);
        let id = world.leave(vec![Event::Canceled { at }]).await;
        world.boot().await;
        world.pass(5 * SECOND).await;
        assert_eq!(world.metrics.generation_actors.started.get(), 0);
        let canceled = AttemptOutcome::Canceled { at };
        assert_eq!(world.store.generation(id).attempts()[0].outcome, canceled);
    });
}

#[test]
fn a_hundred_generations_at_once_leave_no_actor_and_no_credit_behind() {
    run(async {
        let (first, second) = (calling(), inline());
        for number in 0..100 {
            let answer = if number % 3 == 0 { refused(Error::Unavailable) } else { job("j") };
            first.on_submit(Answer::After(SECOND * (number % 7), answer));
            second.on_submit(Answer::After(SECOND * (number % 5), done()));
            first.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        }
        let world = World::start(&[&first, &second]).await;
        let mut ids = Vec::new();
        for _ in 0..100 {
            ids.push(world.begin().await);
        }
        for id in ids {
            world.ended(id).await;
        }
        // A thousand thousandths paid for exactly these.
        assert_eq!(world.balance(), 0);
        let refused = world.engine().submit(world.wanted()).await;
        assert!(matches!(refused, Err(SubmitError::Refused(_))));
    });
}

#[test]
fn many_that_wait_ask_no_more_often_than_the_provider_answers() {
    run(async {
        let provider = polling();
        let mut world = World::new(&[&provider]);
        world.polls = [(SandboxPolling, 20)].into_iter().collect();
        world.boot().await;
        const WAITING: usize = 90;
        for number in 0..WAITING {
            provider.on_submit(Answer::Now(job(&format!("j{number}"))));
            world.begin().await;
        }
        let before = provider.count("poll");
        let mut asked = before;
        for _ in 0..40 {
            world.pass(SECOND).await;
            let now = provider.count("poll");
            assert!(now - asked <= 40, "{} in a second", now - asked);
            asked = now;
        }
        assert!((20 * 35..=20 * 41).contains(&(asked - before)), "{asked} in all");
        // Nobody is asked for again before everybody else was.
        let polls = provider.called_with("poll");
        let mut counts = std::collections::HashMap::<&str, usize>::new();
        polls.iter().for_each(|job| *counts.entry(job).or_default() += 1);
        let (fewest, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
        assert!(counts.len() == WAITING && most - fewest <= 2, "{fewest} to {most}");
    });
}

#[test]
fn a_provider_that_is_asked_too_often_is_left_alone_by_everybody() {
    run(async {
        let provider = polling();
        let mut world = World::new(&[&provider]);
        world.polls = [(SandboxPolling, 100)].into_iter().collect();
        world.boot().await;
        for name in ["j1", "j2", "j3"] {
            provider.on_submit(Answer::Now(job(name)));
            world.begin().await;
        }
        let retry_after = Some(20 * SECOND);
        provider.on_poll(Answer::Now(Err(Error::RateLimited { retry_after })));
        world.pass(19 * SECOND).await;
        assert_eq!(provider.count("poll"), 1);
        world.pass(8 * SECOND).await;
        assert!(provider.count("poll") >= 4, "{}", provider.count("poll"));
    });
}

#[test]
fn a_job_is_asked_for_less_often_the_longer_it_takes_and_never_sooner_than_the_provider_wishes() {
    run(async {
        let provider = polling();
        provider.on_submit(Answer::Now(job("j1")));
        let world = World::start(&[&provider]).await;
        world.begin().await;
        world.pass(4 * SECOND).await;
        let early = provider.count("poll");
        assert!((6..=8).contains(&early), "{early}");
        world.pass(36 * SECOND).await;
        let late = provider.count("poll") - early;
        assert!((12..=25).contains(&late), "{late}");

        let picky = FakeProvider::new(SandboxInline, DeliveryMode::Polling);
        picky.on_submit(Answer::Now(job("j2")));
        for _ in 0..9 {
            let retry_after = Some(6 * SECOND);
            picky.on_poll(Answer::Now(Ok(Progress::Waiting { retry_after })));
        }
        let world = World::start(&[&picky]).await;
        world.begin().await;
        world.pass(30 * SECOND).await;
        assert!((4..=6).contains(&picky.count("poll")), "{}", picky.count("poll"));
    });
}

#[test]
fn a_hint_is_a_reason_to_ask_and_nothing_else() {
    run(async {
        let provider = calling();
        provider.on_submit(Answer::After(SECOND, job("j1")));
        provider.on_poll(Answer::Now(Ok(Progress::Waiting { retry_after: None })));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let world = World::start(&[&provider]).await;
        let id = world.begin().await;
        world.call_back(id, 1, "hint").await.unwrap();
        world.pass(SECOND / 2).await;
        assert_eq!(provider.count("poll"), 0, "nobody knows the job yet");
        world.pass(SECOND).await;
        for polls in 1..=2 {
            assert!(!world.store.generation(id).status().is_terminal());
            world.call_back(id, 1, "hint").await.unwrap();
            world.pass(SECOND / 10).await;
            assert_eq!(provider.count("poll"), polls);
        }
        assert_eq!(world.ended(id).await.status(), Status::Succeeded);
        world.call_back(id, 1, "hint").await.unwrap();
    });
}

#[test]
fn where_nobody_can_call_back_an_image_is_waited_for_in_the_submit() {
    run(async {
        let all = &[DeliveryMode::Callback, DeliveryMode::Inline, DeliveryMode::Polling];
        let capabilities = Capabilities { deliveries: all, cancel: true, look_up: false };
        let provider = FakeProvider::with(SandboxPolling, capabilities);
        let named = Some(JobRef("p1".to_owned()));
        let done = providers::Submitted::Done { job: named, output: picture() };
        provider.on_submit(Answer::After(4 * SECOND, Ok(done)));
        let mut world = World::new(&[&provider]);
        world.reachable = false;
        world.boot().await;
        let ended = world.submit().await;
        assert_eq!((ended.status(), provider.count("poll")), (Status::Succeeded, 0));
        assert_eq!(ended.attempts()[0].job, Some(JobRef("p1".to_owned())));
        // A provider that is not done in the time of the call has a job to ask for.
        provider.on_submit(Answer::After(4 * SECOND, job("p2")));
        provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
        let taken = world.submit().await;
        assert_eq!(taken.status(), Status::Processing);
        assert_eq!(world.ended(taken.id).await.status(), Status::Succeeded);
        assert_eq!(provider.called_with("poll"), ["p2"]);
        // Nobody knows the job of a call under way, so there is none to cancel.
        provider.on_submit(Answer::After(4 * SECOND, job("p3")));
        let id = world.begin().await;
        world.pass(2 * SECOND).await;
        let canceled = world.engine().cancel(ACCOUNT, id).await.unwrap();
        assert!(!canceled.provider_cancel_sent && provider.count("cancel") == 0);
        world.pass(3 * SECOND).await;
        assert_eq!(provider.called_with("cancel"), ["p3"]);
    });
}
