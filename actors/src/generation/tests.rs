use std::collections::HashMap;

use providers::name::ProviderName::{SandboxInline, SandboxPolling};
use providers::{Error, JobRef};
use uuid::Uuid;

use super::*;
use crate::batch::{Advance, Batch, Rules, Snapshot};
use crate::fakes::{ACCOUNT, Ids, PRICE, new_generation};
use crate::ledger::EntryKind;
use crate::webhook::DeliveryPolicy;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000 + second, 0).unwrap()
}

/// An event of that kind about that attempt.
fn event(kind: EventKind, attempt: u32, second: i64) -> Event {
    let (at, job) = (at(second), JobRef(format!("job-{attempt}")));
    let failure = Failure::from(Error::Unavailable);
    match kind {
        EventKind::AttemptStarted => Event::AttemptStarted(NewAttempt {
            correlation: Uuid::from_u128(u128::from(attempt)),
            provider: SandboxPolling,
            raw_model: "raw".to_owned(),
            cost: None,
            at,
            deadline_at: at + Duration::from_secs(60),
        }),
        EventKind::Accepted => Event::Accepted { attempt, job, cost: None, at },
        EventKind::AttemptFailed => Event::AttemptFailed { attempt, failure, at },
        EventKind::Completed => {
            Event::Completed { attempt, outputs: Vec::new(), predict_time: None, cost: None, at }
        }
        EventKind::Failed => Event::Failed { failure, at },
        EventKind::Canceled => Event::Canceled { at },
        EventKind::ResultDiscarded => Event::ResultDiscarded { attempt, cost: None, at },
        EventKind::FilesRemoved => Event::FilesRemoved { at },
    }
}

/// A generation in that status whose last attempt is open, while the status allows.
fn standing(status: Status) -> Generation {
    let order = [SandboxPolling, SandboxInline];
    let mut generation = Generation::new(new_generation(Uuid::from_u128(5), &order, at(0)));
    let path: &[EventKind] = match status {
        Status::Pending => &[],
        Status::Processing => &[EventKind::Accepted],
        Status::Succeeded => &[EventKind::Accepted, EventKind::Completed],
        Status::Failed => &[EventKind::Failed],
        Status::Canceled => &[EventKind::Canceled],
    };
    for kind in [&[EventKind::AttemptStarted], path].concat() {
        generation.apply(event(kind, 1, 1)).unwrap();
    }
    assert_eq!(generation.status(), status);
    generation
}

#[test]
fn the_whole_machine_is_this_table() {
    let mut table = String::new();
    for status in Status::ALL {
        for kind in EventKind::ALL {
            let to = target(status, kind).map_or("-", Status::as_str);
            table += &format!("{:<10} {:<15} {to}\n", status.as_str(), format!("{kind:?}"));
        }
    }
    let wanted = "\
pending    AttemptStarted  pending
pending    Accepted        processing
pending    AttemptFailed   pending
pending    Completed       -
pending    Failed          failed
pending    Canceled        canceled
pending    ResultDiscarded pending
pending    FilesRemoved    -
processing AttemptStarted  processing
processing Accepted        processing
processing AttemptFailed   processing
processing Completed       succeeded
processing Failed          failed
processing Canceled        canceled
processing ResultDiscarded processing
processing FilesRemoved    -
succeeded  AttemptStarted  -
succeeded  Accepted        -
succeeded  AttemptFailed   -
succeeded  Completed       -
succeeded  Failed          -
succeeded  Canceled        -
succeeded  ResultDiscarded succeeded
succeeded  FilesRemoved    succeeded
failed     AttemptStarted  -
failed     Accepted        -
failed     AttemptFailed   -
failed     Completed       -
failed     Failed          -
failed     Canceled        -
failed     ResultDiscarded failed
failed     FilesRemoved    -
canceled   AttemptStarted  -
canceled   Accepted        -
canceled   AttemptFailed   -
canceled   Completed       -
canceled   Failed          -
canceled   Canceled        -
canceled   ResultDiscarded canceled
canceled   FilesRemoved    -
";
    assert_eq!(table, wanted, "\n{table}");
}

#[test]
fn apply_follows_the_table_and_changes_nothing_when_it_refuses() {
    for status in Status::ALL {
        for kind in EventKind::ALL {
            for attempt in [1, 2, 9] {
                let before = standing(status);
                let mut after = before.clone();
                match after.apply(event(kind, attempt, 2)) {
                    Ok(()) => assert_eq!(Some(after.status()), target(status, kind)),
                    Err(illegal) => {
                        assert_eq!(illegal, IllegalTransition { status, event: kind });
                        assert_eq!(after, before);
                    }
                }
            }
        }
    }
}

#[test]
fn every_legal_step_can_be_taken_from_somewhere() {
    for (status, kind, to) in TRANSITIONS {
        let mut candidates = vec![standing(status)];
        // Some steps need an attempt that has failed, or none that is open.
        let mut failed = standing(status);
        if failed.apply(event(EventKind::AttemptFailed, 1, 2)).is_ok() {
            candidates.push(failed);
        }
        if status == Status::Succeeded {
            let mut second = standing(Status::Processing);
            second.apply(event(EventKind::AttemptFailed, 1, 2)).unwrap();
            second.apply(event(EventKind::AttemptStarted, 2, 2)).unwrap();
            second.apply(event(EventKind::Accepted, 2, 2)).unwrap();
            second.apply(event(EventKind::Completed, 2, 2)).unwrap();
            candidates.push(second);
        }
        let taken = candidates.into_iter().any(|mut generation| {
            generation.apply(event(kind, 1, 3)).is_ok() && generation.status() == to
        });
        assert!(taken, "{status:?} {kind:?}");
    }
}

#[test]
fn files_are_removed_once_and_then_none_are_kept() {
    let mut generation = standing(Status::Processing);
    let outputs = vec![StoredFile { key: "a/0.png".to_owned(), bytes: 1 }];
    let completed =
        Event::Completed { attempt: 1, outputs, predict_time: None, cost: None, at: at(2) };
    generation.apply(completed).unwrap();
    assert_eq!(generation.kept_files().len(), 1);
    generation.apply(Event::FilesRemoved { at: at(3) }).unwrap();
    assert!(generation.kept_files().is_empty());
    assert!(generation.apply(Event::FilesRemoved { at: at(4) }).is_err());
    assert_eq!(generation.completed_at(), Some(at(2)));
}

#[test]
fn there_is_never_more_than_one_open_attempt() {
    let mut generation = standing(Status::Processing);
    assert!(generation.apply(event(EventKind::AttemptStarted, 2, 2)).is_err());
    generation.apply(event(EventKind::AttemptFailed, 1, 2)).unwrap();
    generation.apply(event(EventKind::AttemptStarted, 2, 3)).unwrap();
    assert_eq!(generation.open_attempt().unwrap().number, 2);
    assert_eq!(generation.due_at(), Some(at(3) + Duration::from_secs(60)));
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

#[test]
fn no_sequence_of_events_settles_twice() {
    let (ids, files) = (Ids::default(), crate::fakes::file_urls());
    let policy = DeliveryPolicy { waits: Vec::new(), ..DeliveryPolicy::default() };
    let mut dice = Dice(1);
    let plans = crate::fakes::plans();
    let mut ends = HashMap::new();
    for round in 0..2_000_u128 {
        let mut generation = standing(Status::Pending);
        let mut account = crate::fakes::standing(0, 1);
        account.enter(MediaKind::Image);
        let mut settlements = Vec::new();
        for step in 0..12 {
            let key = (ACCOUNT, generation.id);
            let snapshot = Snapshot {
                standings: HashMap::from([(ACCOUNT, account)]),
                generations: HashMap::from([(key, generation.clone())]),
                ..Snapshot::default()
            };
            let next_id = || ids.fresh();
            let rules = Rules { files: &files, policy: &policy, plans: &plans };
            let mut batch = Batch::new(snapshot, &next_id, rules);
            let count = 1 + dice.throw(3);
            let events: Vec<Event> = (0..count)
                .map(|_| {
                    let kind = EventKind::ALL[dice.throw(EventKind::ALL.len())];
                    event(kind, 1 + dice.throw(3) as u32, step)
                })
                .collect();
            let advance = Advance { account_id: ACCOUNT, id: generation.id, epoch: None, events };
            let advanced = batch.advance(advance);
            let changes = batch.into_changes();
            settlements.extend(changes.entries.iter().map(|entry| entry.kind));
            if let Some((_, _, after)) = changes.standings.first() {
                account = *after;
            }
            match advanced {
                Ok(next) => generation = next,
                Err(_) => assert!(changes.updated.is_empty() && changes.entries.is_empty()),
            }
        }
        let wanted: &[EntryKind] = match generation.status() {
            Status::Pending | Status::Processing => &[],
            Status::Succeeded => &[EntryKind::Charge],
            Status::Failed | Status::Canceled => &[EntryKind::Refund],
        };
        assert_eq!(settlements, wanted, "round {round}");
        let back = if wanted == [EntryKind::Refund] { PRICE } else { 0 };
        assert_eq!(account.balance.credits.thousandths(), back);
        let ended = generation.status().is_terminal();
        assert_eq!(account.images_in_flight, u32::from(!ended), "round {round}");
        *ends.entry(generation.status()).or_insert(0) += 1;
    }
    assert!(ends.len() >= 4, "the dice see too little: {ends:?}");
}
