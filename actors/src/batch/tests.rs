use chrono::{DateTime, Utc};
use providers::name::ProviderName::{SandboxInline, SandboxPolling};
use providers::{Error, JobRef};
use uuid::Uuid;

use super::*;
use crate::fakes::{ACCOUNT, Ids, PRICE, new_generation};

const OTHER: AccountId = AccountId(Uuid::from_u128(2));

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap()
}

fn files() -> FileUrls {
    FileUrls { base: "https://files.test".to_owned() }
}

fn policy() -> DeliveryPolicy {
    let waits = vec![std::time::Duration::ZERO; 2];
    DeliveryPolicy { waits, disable_after: 2 }
}

fn first() -> NewAttempt {
    NewAttempt {
        correlation: Uuid::from_u128(9),
        provider: SandboxPolling,
        raw_model: "raw".to_owned(),
        at: now(),
        deadline_at: now() + std::time::Duration::from_secs(60),
    }
}

fn new(number: u128) -> NewGeneration {
    new_generation(Uuid::from_u128(number), &[SandboxPolling, SandboxInline], now())
}

fn endpoint(account_id: AccountId, number: u128, events: &[EventName]) -> EndpointState {
    let (id, events) = (EndpointId(Uuid::from_u128(number)), events.to_vec());
    EndpointState { account_id, id, events, enabled: true, exhausted_in_a_row: 0 }
}

/// A snapshot with this balance and one accepted generation.
fn snapshot(thousandths: i64) -> Snapshot {
    let mut generation = Generation::new(new(5));
    generation.apply(Event::AttemptStarted(first())).unwrap();
    let credits = Credits::from_thousandths(thousandths).unwrap();
    let balance = Balance { credits, seq: 4 };
    let endpoints = [
        endpoint(ACCOUNT, 1, &EventName::ALL),
        endpoint(ACCOUNT, 2, &[EventName::GenerationFailed]),
        EndpointState { enabled: false, ..endpoint(ACCOUNT, 3, &[EventName::GenerationStarted]) },
        endpoint(OTHER, 4, &EventName::ALL),
    ];
    Snapshot {
        balances: HashMap::from([(ACCOUNT, balance)]),
        generations: HashMap::from([((ACCOUNT, generation.id), generation)]),
        endpoints: endpoints.into_iter().map(|endpoint| (endpoint.id, endpoint)).collect(),
        deliveries: HashMap::new(),
    }
}

/// Decides on that snapshot.
fn decide<T>(snapshot: Snapshot, units: impl FnOnce(&mut Batch<'_>) -> T) -> (T, Changes) {
    let (ids, files, policy) = (Ids::default(), files(), policy());
    let next_id = || ids.fresh();
    let mut batch = Batch::new(snapshot, &next_id, &files, &policy);
    let decided = units(&mut batch);
    (decided, batch.into_changes())
}

fn advance(epoch: Option<i64>, events: Vec<Event>) -> Advance {
    Advance { account_id: ACCOUNT, id: GenerationId(Uuid::from_u128(5)), epoch, events }
}

fn accepted() -> Event {
    Event::Accepted { attempt: 1, job: JobRef("j1".to_owned()), at: now() }
}

fn completed() -> Event {
    Event::Completed { attempt: 1, outputs: Vec::new(), predict_time: None, at: now() }
}

fn unchanged(changes: &Changes) -> bool {
    let Changes {
        inserted,
        updated,
        attempts,
        entries,
        balances,
        deliveries,
        tried,
        endpoints,
        ..
    } = changes;
    inserted.is_empty()
        && updated.is_empty()
        && attempts.is_empty()
        && entries.is_empty()
        && balances.is_empty()
        && deliveries.is_empty()
        && tried.is_empty()
        && endpoints.is_empty()
}

#[test]
fn an_accepted_generation_is_reserved_with_its_first_attempt() {
    let (accepted, changes) = decide(snapshot(PRICE), |batch| batch.accept(new(6), first()));
    assert_eq!(accepted.unwrap().open_attempt().unwrap().number, 1);
    assert_eq!((changes.inserted.len(), changes.attempts.len()), (1, 1));
    let entry = &changes.entries[0];
    assert_eq!((entry.kind, entry.seq, entry.delta), (EntryKind::Reserve, 5, -PRICE));
    assert_eq!(entry.balance_after, Credits::ZERO);
    assert!(changes.deliveries.is_empty());
}

#[test]
fn credit_that_does_not_cover_the_amount_changes_nothing() {
    let (accepted, changes) = decide(snapshot(PRICE - 1), |batch| batch.accept(new(6), first()));
    assert!(matches!(accepted, Err(AcceptRefusal::InsufficientCredit { .. })));
    assert!(unchanged(&changes));
}

#[test]
fn an_unknown_account_changes_nothing() {
    let stranger = NewGeneration { account_id: OTHER, ..new(6) };
    let (accepted, changes) = decide(snapshot(PRICE), |batch| batch.accept(stranger, first()));
    assert_eq!(accepted.unwrap_err(), AcceptRefusal::UnknownAccount);
    assert!(unchanged(&changes));
}

#[test]
fn in_one_batch_credit_is_spent_once() {
    let (accepted, changes) = decide(snapshot(3 * PRICE), |batch| {
        (10..20).filter(|number| batch.accept(new(*number), first()).is_ok()).count()
    });
    assert_eq!((accepted, changes.entries.len(), changes.balances.len()), (3, 3, 1));
    let (_, before, after) = changes.balances[0];
    assert_eq!((before.seq, after.seq, after.credits), (4, 7, Credits::ZERO));
}

#[test]
fn a_success_charges_and_tells_of_the_start_and_the_end() {
    let events = vec![accepted(), completed()];
    let (advanced, changes) = decide(snapshot(0), |batch| batch.advance(advance(Some(1), events)));
    assert_eq!(advanced.unwrap().status(), Status::Succeeded);
    assert_eq!(changes.updated[0].1, Status::Pending);
    assert_eq!(changes.entries[0].kind, EntryKind::Charge);
    let told: Vec<(u128, EventName)> =
        changes.deliveries.iter().map(|d| (d.endpoint_id.0.as_u128(), d.event)).collect();
    // Only endpoints of the account that asked for it; a disabled one has it queued.
    let (started, completed) = (EventName::GenerationStarted, EventName::GenerationCompleted);
    assert_eq!(told, [(1, started), (3, started), (1, completed)]);
    assert!(changes.deliveries.iter().all(|d| d.account_id == ACCOUNT && d.tries == 0));
}

#[test]
fn a_failure_among_several_events_changes_nothing_at_all() {
    let ended = Event::AttemptFailed { attempt: 1, failure: Error::Unavailable.into(), at: now() };
    for events in [
        vec![accepted(), completed(), accepted()],
        vec![accepted(), ended, completed()],
        vec![Event::Canceled { at: now() }, Event::Canceled { at: now() }],
    ] {
        let (advanced, changes) = decide(snapshot(0), |batch| batch.advance(advance(None, events)));
        let Err(AdvanceRefusal::Conflict(current)) = advanced else { panic!("{advanced:?}") };
        assert_eq!(current.status(), Status::Pending);
        assert!(unchanged(&changes));
    }
}

#[test]
fn the_second_of_two_ends_in_one_batch_loses() {
    let (results, changes) = decide(snapshot(0), |batch| {
        let cancel = batch.advance(advance(None, vec![Event::Canceled { at: now() }]));
        let finish = batch.advance(advance(Some(1), vec![accepted(), completed()]));
        (cancel, finish)
    });
    assert_eq!(results.0.unwrap().status(), Status::Canceled);
    assert!(matches!(results.1, Err(AdvanceRefusal::Conflict(_))));
    assert_eq!((changes.entries.len(), changes.updated.len()), (1, 1));
    assert_eq!(changes.entries[0].kind, EntryKind::Refund);
    assert_eq!(changes.updated[0].1, Status::Pending);
}

#[test]
fn a_process_that_lost_a_generation_can_write_nothing_about_it() {
    for epoch in [0, 2] {
        let unit = advance(Some(epoch), vec![accepted()]);
        let (advanced, changes) = decide(snapshot(0), |batch| batch.advance(unit));
        assert_eq!(advanced.unwrap_err(), AdvanceRefusal::Fenced);
        assert!(unchanged(&changes));
    }
}

#[test]
fn a_generation_of_another_account_is_not_found() {
    let unit = Advance { account_id: OTHER, ..advance(None, vec![accepted()]) };
    let (advanced, changes) = decide(snapshot(0), |batch| batch.advance(unit));
    assert_eq!(advanced.unwrap_err(), AdvanceRefusal::NotFound);
    assert!(unchanged(&changes));
}

#[test]
fn tries_of_one_batch_count_one_after_another() {
    let mut snapshot = snapshot(0);
    let delivery = |number: u128| WebhookDelivery {
        account_id: ACCOUNT,
        endpoint_id: EndpointId(Uuid::from_u128(1)),
        id: DeliveryId(Uuid::from_u128(number)),
        event: EventName::GenerationStarted,
        generation_id: GenerationId(Uuid::from_u128(5)),
        data: serde_json::Value::Null,
        created_at: now(),
        status: DeliveryStatus::Pending,
        tries: 0,
        next_try_at: now(),
    };
    snapshot.deliveries.extend((1..=2).map(delivery).map(|d| (d.id, d)));
    let tried = |number: u128| DeliveryTried {
        delivery_id: DeliveryId(Uuid::from_u128(number)),
        result: TryResult { status: Some(500), error: Some("no".to_owned()), at: now() },
    };
    let (outcomes, changes) = decide(snapshot, |batch| {
        [1, 1, 1, 2, 2].map(|number| batch.record_try(tried(number)).unwrap())
    });
    let statuses = outcomes.each_ref().map(|outcome| outcome.delivery.status);
    use DeliveryStatus::{Exhausted, Pending};
    // The third try of the first changes nothing: it was exhausted.
    assert_eq!(statuses, [Pending, Exhausted, Exhausted, Pending, Exhausted]);
    assert_eq!(outcomes.map(|o| o.endpoint_enabled), [true, true, true, true, false]);
    assert_eq!((changes.tried.len(), changes.endpoints.len()), (2, 1));
    assert!(!changes.endpoints[0].enabled);
}
