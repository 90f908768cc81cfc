use chrono::{DateTime, Utc};
use providers::name::ProviderName::{SandboxInline, SandboxPolling};
use providers::{Error, JobRef};
use uuid::Uuid;

use super::*;
use crate::account::Plan;
use crate::alert::AlertSettings;
use crate::fakes::{ACCOUNT, Ids, PRICE, new_generation, plans, standing};
use crate::generation::{AskedBy, NewAttempt, NewGeneration};
use crate::id::ApiKeyId;
use crate::idempotency::{Answer, Claim, Conclusion};
use crate::spending::Month;
use crate::webhook::EventName;

const OTHER: AccountId = AccountId(Uuid::from_u128(2));

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap()
}

fn policy() -> DeliveryPolicy {
    let waits = vec![std::time::Duration::ZERO; 2];
    DeliveryPolicy { waits, disable_after: 2, ..DeliveryPolicy::default() }
}

fn first() -> NewAttempt {
    NewAttempt {
        correlation: Uuid::from_u128(9),
        provider: SandboxPolling,
        raw_model: "raw".to_owned(),
        cost: None,
        at: now(),
        deadline_at: now() + std::time::Duration::from_secs(60),
    }
}

fn new(number: u128) -> NewGeneration {
    new_generation(Uuid::from_u128(number), &[SandboxPolling, SandboxInline], now())
}

fn endpoint(account_id: AccountId, number: u128, events: &[EventName]) -> EndpointState {
    let (id, events) = (EndpointId(Uuid::from_u128(number)), events.to_vec());
    EndpointState::new(account_id, id, events)
}

/// A snapshot with this balance and one accepted generation.
fn snapshot(thousandths: i64) -> Snapshot {
    let mut generation = Generation::new(new(5));
    generation.apply(Event::AttemptStarted(first())).unwrap();
    let account = Standing { images_in_flight: 1, generations: 1, ..standing(thousandths, 4) };
    let endpoints = [
        endpoint(ACCOUNT, 1, &EventName::ALL),
        endpoint(ACCOUNT, 2, &[EventName::GenerationFailed]),
        EndpointState { enabled: false, ..endpoint(ACCOUNT, 3, &[EventName::GenerationStarted]) },
        endpoint(OTHER, 4, &EventName::ALL),
    ];
    Snapshot {
        standings: HashMap::from([(ACCOUNT, account)]),
        generations: HashMap::from([((ACCOUNT, generation.id), generation)]),
        endpoints: endpoints.into_iter().map(|endpoint| (endpoint.id, endpoint)).collect(),
        ..Snapshot::default()
    }
}

/// Decides on that snapshot.
fn decide<T>(snapshot: Snapshot, units: impl FnOnce(&mut Batch<'_>) -> T) -> (T, Changes) {
    let (ids, files, policy) = (Ids::default(), crate::fakes::file_urls(), policy());
    let next_id = || ids.fresh();
    let plans = plans();
    let rules = Rules { files: &files, policy: &policy, plans: &plans };
    let mut batch = Batch::new(snapshot, &next_id, rules);
    let decided = units(&mut batch);
    (decided, batch.into_changes())
}

fn advance(epoch: Option<i64>, events: Vec<Event>) -> Advance {
    Advance { account_id: ACCOUNT, id: GenerationId(Uuid::from_u128(5)), epoch, events }
}

fn accepted() -> Event {
    Event::Accepted { attempt: 1, job: JobRef("j1".to_owned()), cost: None, at: now() }
}

fn completed() -> Event {
    Event::Completed { attempt: 1, outputs: Vec::new(), predict_time: None, cost: None, at: now() }
}

fn unchanged(changes: &Changes) -> bool {
    let Changes {
        inserted,
        updated,
        attempts,
        entries,
        standings,
        spendings,
        records,
        forgotten,
        deliveries,
        tried,
        endpoints,
        deleted,
        ..
    } = changes;
    inserted.is_empty()
        && updated.is_empty()
        && attempts.is_empty()
        && entries.is_empty()
        && standings.is_empty()
        && spendings.is_empty()
        && records.is_empty()
        && forgotten.is_empty()
        && deliveries.is_empty()
        && tried.is_empty()
        && endpoints.is_empty()
        && deleted.is_empty()
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
    assert_eq!((accepted, changes.entries.len(), changes.standings.len()), (3, 3, 1));
    let (_, before, after) = changes.standings[0];
    assert_eq!((before.balance.seq, after.balance.seq), (4, 7));
    assert_eq!((after.balance.credits, after.images_in_flight), (Credits::ZERO, 4));
}

#[test]
fn a_plan_caps_what_is_in_flight_by_kind() {
    let mut start = snapshot(100 * PRICE);
    start.standings.get_mut(&ACCOUNT).unwrap().plan = Plan::Free;
    let (accepted, changes) = decide(start, |batch| {
        // One image is in flight already, and two may be.
        let images: Vec<_> = (10..13).map(|number| batch.accept(new(number), first())).collect();
        let video = NewGeneration { media: MediaKind::Video, ..new(13) };
        (images, batch.accept(video, first()).is_ok())
    });
    let (images, video) = accepted;
    let refusal = AcceptRefusal::TooManyInFlight { media: MediaKind::Image, max: 2 };
    assert!(images[0].is_ok() && images[1..].iter().all(|r| *r == Err(refusal.clone())));
    assert!(video, "the other kind has a cap of its own");
    let (_, before, after) = changes.standings[0];
    assert_eq!((before.images_in_flight, before.videos_in_flight, before.generations), (1, 0, 1));
    assert_eq!((after.images_in_flight, after.videos_in_flight, after.generations), (2, 1, 3));
}

#[test]
fn what_ends_makes_room_for_the_next() {
    let mut start = snapshot(100 * PRICE);
    let free = start.standings.get_mut(&ACCOUNT).unwrap();
    (free.plan, free.images_in_flight) = (Plan::Free, 2);
    let (accepted, _) = decide(start, |batch| {
        let before = batch.accept(new(10), first()).is_ok();
        batch.advance(advance(None, vec![Event::Canceled { at: now() }])).unwrap();
        (before, batch.accept(new(11), first()).is_ok())
    });
    assert_eq!(accepted, (false, true));
}

fn claim(key: &str, body: &str) -> Option<Claim> {
    let route = "image/lab/image".to_owned();
    let key = RecordKey { account_id: ACCOUNT, route, key: key.to_owned() };
    Some(Claim { key, body_sha256: body.to_owned() })
}

#[test]
fn in_one_batch_a_key_makes_one_generation() {
    let (accepted, changes) = decide(snapshot(100 * PRICE), |batch| {
        let claimed = |number| NewGeneration { claim: claim("k", "body"), ..new(number) };
        (10..20).map(|number| batch.accept(claimed(number), first())).collect::<Vec<_>>()
    });
    let made = accepted[0].as_ref().unwrap().id;
    for refused in &accepted[1..] {
        let Err(AcceptRefusal::Claimed(record)) = refused else { panic!("{refused:?}") };
        assert_eq!((record.generation_id, &record.answer), (made, &None));
    }
    assert_eq!((changes.inserted.len(), changes.entries.len(), changes.records.len()), (1, 1, 1));
}

#[test]
fn a_refused_request_leaves_its_key_free() {
    let poor = NewGeneration { claim: claim("k", "body"), ..new(6) };
    let (accepted, changes) = decide(snapshot(PRICE - 1), |batch| batch.accept(poor, first()));
    assert!(accepted.is_err() && unchanged(&changes));
}

#[test]
fn a_failure_that_is_on_record_is_what_a_deleted_generation_leaves_and_stays() {
    let mut snapshot = snapshot(PRICE);
    let claim = claim("k", "body").unwrap();
    let generation_id = GenerationId(Uuid::from_u128(10));
    let answer = Some(Answer::Failure);
    let record = Record { claim: claim.clone(), generation_id, created_at: now(), answer };
    snapshot.records.insert(claim.key.clone(), record);
    let (_, changes) = decide(snapshot, |batch| {
        let answer = Some(Answer::Success("its prompt".to_owned()));
        batch.conclude(Conclusion { key: claim.key, generation_id, answer });
    });
    assert!(unchanged(&changes));
}

#[test]
fn an_answer_is_remembered_until_it_expires_and_a_forgotten_key_is_free() {
    let (_, changes) = decide(snapshot(100 * PRICE), |batch| {
        let claimed =
            |number, at| NewGeneration { claim: claim("k", "body"), created_at: at, ..new(number) };
        let made = batch.accept(claimed(10, now()), first()).unwrap();
        let key = claim("k", "body").unwrap().key;
        let conclude =
            |generation_id, answer| Conclusion { key: key.clone(), generation_id, answer };
        let answer = Answer::Success("{}".to_owned());
        batch.conclude(conclude(GenerationId(Uuid::nil()), Some(Answer::Failure)));
        batch.conclude(conclude(made.id, Some(answer.clone())));
        let Err(AcceptRefusal::Claimed(record)) = batch.accept(claimed(11, now()), first()) else {
            panic!("the key was free")
        };
        assert_eq!(record.answer, Some(answer));
        let late = batch.accept(claimed(12, record.expires_at()), first()).unwrap();
        batch.conclude(conclude(made.id, None));
        assert!(batch.accept(claimed(13, late.created_at), first()).is_err());
        batch.conclude(conclude(late.id, None));
    });
    assert_eq!((changes.inserted.len(), changes.records.len()), (2, 0));
    assert_eq!(changes.forgotten, [claim("k", "").unwrap().key]);
}

#[test]
fn a_key_spends_up_to_its_limit_and_gets_refunds_back() {
    let key = ApiKeyId(Uuid::from_u128(3));
    let month = Month::of(now());
    let mut start = snapshot(100 * PRICE);
    let allowed = Credits::from_thousandths(2 * PRICE).unwrap();
    let limit = Some(allowed);
    start.spendings.insert((ACCOUNT, key), Spending { limit, ..Spending::default() });
    let asked_by = AskedBy { key: Some(key), month: Some(month) };
    let (accepted, changes) = decide(start, |batch| {
        let limited = |number| NewGeneration { asked_by, ..new(number) };
        let before: Vec<bool> =
            (10..14).map(|number| batch.accept(limited(number), first()).is_ok()).collect();
        batch.accept(new(20), first()).unwrap();
        before
    });
    assert_eq!(accepted, [true, true, false, false]);
    assert_eq!(changes.spendings.len(), 1);
    assert_eq!(changes.spendings[0].2.spent_in(month), allowed);
    assert_eq!(changes.inserted[0].asked_by, asked_by);
    assert_eq!(changes.inserted[2].asked_by, AskedBy::default());
    // The refund of what was counted makes room again.
    let mut start = snapshot(0);
    let generation = start.generations.values_mut().next().unwrap();
    generation.asked_by = asked_by;
    let spent = Credits::from_thousandths(PRICE).unwrap();
    start.spendings.insert((ACCOUNT, key), Spending { limit, month, spent });
    let events = vec![Event::Canceled { at: now() }];
    let (_, changes) = decide(start, |batch| batch.advance(advance(None, events)).unwrap());
    assert_eq!(changes.spendings[0].2.spent_in(month), Credits::ZERO);
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
        generation_id: Some(GenerationId(Uuid::from_u128(5))),
        ..WebhookDelivery::blank(now())
    };
    snapshot.deliveries.extend((1..=2).map(delivery).map(|d| (d.id, d)));
    let tried = |(id, number): (u128, u32)| DeliveryTried {
        delivery: WebhookDelivery { tries: number - 1, ..delivery(id) },
        endpoint_calm: false,
        spread: 0.5,
        result: failed(),
    };
    let tries = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)];
    let (outcomes, changes) =
        decide(snapshot, |batch| tries.map(|one| batch.record_try(&tried(one)).unwrap()));
    let statuses = outcomes.each_ref().map(|outcome| outcome.delivery.status);
    use DeliveryStatus::{Exhausted, Pending};
    // The third try of the first changes nothing: it was exhausted.
    assert_eq!(statuses, [Pending, Exhausted, Exhausted, Pending, Exhausted]);
    assert_eq!(outcomes.map(|o| o.endpoint_enabled), [true, true, true, true, false]);
    assert_eq!((changes.tried.len(), changes.endpoints.len()), (2, 1));
    assert!(!changes.endpoints[0].enabled);
    assert_eq!(changes.tries.len(), 4);
    let counts = changes.tried.iter().map(|one| (one.tries_before, one.delivery.tries));
    assert_eq!(counts.collect::<Vec<_>>(), [(0, 2), (0, 2)]);
    assert_eq!(changes.disabled, [(ACCOUNT, EndpointId(Uuid::from_u128(1)), now())]);
}

#[test]
fn a_success_of_a_calm_endpoint_needs_nothing_but_the_delivery() {
    let delivery =
        WebhookDelivery { id: DeliveryId(Uuid::from_u128(1)), ..WebhookDelivery::blank(now()) };
    let tried = |endpoint_calm, result| DeliveryTried {
        delivery: delivery.clone(),
        endpoint_calm,
        spread: 0.5,
        result,
    };
    let record = |tried: DeliveryTried| {
        let deliveries = [(delivery.id, delivery.clone())].into();
        decide(Snapshot { deliveries, ..Snapshot::default() }, |batch| batch.record_try(&tried))
    };
    let success = TryResult { status: Some(200), at: now(), ..TryResult::default() };
    let (outcome, changes) = record(tried(true, success.clone()));
    assert_eq!(outcome.unwrap().delivery.status, DeliveryStatus::Delivered);
    assert_eq!((changes.tried.len(), changes.tries.len(), changes.endpoints.len()), (1, 1, 0));
    for tried in [tried(false, success), tried(true, failed())] {
        let (outcome, changes) = record(tried);
        assert_eq!((outcome, changes.tries.len()), (None, 0), "its endpoint is gone");
    }
}

fn failed() -> TryResult {
    let error = Some("no".to_owned());
    TryResult { status: Some(500), error, at: now(), ..TryResult::default() }
}

/// An account that is told below these thresholds, and has an endpoint that wants to know.
fn alerted(balance: i64, thresholds: &[i64]) -> Snapshot {
    let mut snapshot = snapshot(balance);
    let thresholds = thresholds.iter().map(|one| Credits::from_thousandths(*one).unwrap());
    let settings = AlertSettings {
        thresholds: thresholds.collect(),
        webhook: true,
        ..AlertSettings::default()
    };
    let alerts = Alerts { settings: settings.checked().unwrap(), ..Alerts::default() };
    snapshot.standings.get_mut(&ACCOUNT).unwrap().alert_below = alerts.alert_below();
    snapshot.alerts.insert(ACCOUNT, alerts);
    snapshot
}

#[test]
fn a_reserve_that_crosses_thresholds_tells_the_owner_of_all_of_them_once() {
    let (_, changes) = decide(alerted(31, &[30, 25, 5]), |batch| {
        batch.accept(new(6), first()).unwrap();
        batch.accept(new(7), first()).unwrap();
    });
    let [told] = &changes.deliveries[..] else { panic!("{:?}", changes.deliveries) };
    assert_eq!((told.event, told.generation_id), (EventName::CreditsLowBalance, None));
    assert_eq!(told.data["current_balance"], 0.021);
    assert_eq!(told.data["thresholds_crossed"].as_array().unwrap().len(), 2);
    assert_eq!(changes.notifications.len(), 1);
    let (_, _, after) = changes.standings[0];
    assert_eq!(after.alert_below.thousandths(), 5, "the next one");
    assert_eq!(changes.alerts[0].1.fired.len(), 2);
}

#[test]
fn an_alert_without_its_channels_is_only_remembered() {
    let mut snapshot = alerted(21, &[20]);
    let settings = &mut snapshot.alerts.get_mut(&ACCOUNT).unwrap().settings;
    (settings.in_app, settings.webhook) = (false, false);
    let (_, changes) = decide(snapshot, |batch| batch.accept(new(6), first()).unwrap());
    assert!(changes.deliveries.is_empty() && changes.notifications.is_empty());
    assert_eq!(changes.alerts.len(), 1);
}

#[test]
fn what_happens_to_a_disabled_endpoint_in_one_batch_is_queued() {
    let (id, at) = (EndpointId(Uuid::from_u128(1)), now());
    let fault = EndpointFault { endpoint_id: id, reason: DisableReason::Quarantined, at };
    let (disabled, changes) = decide(snapshot(0), |batch| {
        let disabled = [batch.disable(fault), batch.disable(fault)];
        batch.advance(advance(None, vec![accepted()])).unwrap();
        disabled
    });
    assert_eq!(disabled, [true, false]);
    assert!(changes.deliveries.iter().all(|it| it.status == DeliveryStatus::Queued));
    assert_eq!((changes.disabled.len(), changes.notifications.len()), (1, 1));
    assert!(changes.into_sendable().is_empty());
}

#[test]
fn only_what_has_ended_is_deleted_and_only_once() {
    let id = GenerationId(Uuid::from_u128(5));
    let (refused, changes) =
        decide(snapshot(PRICE), |batch| [batch.delete(ACCOUNT, id), batch.delete(OTHER, id)]);
    assert_eq!(refused, [Err(DeleteRefusal::InFlight), Err(DeleteRefusal::NotFound)]);
    assert!(unchanged(&changes));

    let (answers, changes) = decide(snapshot(PRICE), |batch| {
        batch.advance(advance(None, vec![Event::Canceled { at: now() }])).unwrap();
        let late = vec![Event::ResultDiscarded { attempt: 1, cost: None, at: now() }];
        let deleted = [batch.delete(ACCOUNT, id), batch.delete(ACCOUNT, id)];
        (deleted, batch.advance(advance(None, late)))
    });
    assert_eq!(answers.0, [Ok(()), Err(DeleteRefusal::NotFound)]);
    assert_eq!(answers.1, Err(AdvanceRefusal::NotFound));
    assert_eq!(changes.deleted, [(ACCOUNT, id)]);
    // What happened to it before in the same batch is written all the same.
    assert_eq!((changes.updated.len(), changes.attempts.len()), (1, 1));
    assert_eq!((changes.entries.len(), changes.entries[0].kind), (1, EntryKind::Refund));
    assert_eq!(changes.moved().collect::<Vec<_>>(), [(ACCOUNT, id); 2]);
}
