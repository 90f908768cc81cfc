use std::sync::Arc;
use std::time::Duration;

use providers::name::ProviderName::{SandboxInline, SandboxPolling};
use providers::{DeliveryMode, Output, OutputFile, OutputFormat, Progress};
use uuid::Uuid;

use super::DeleteError;
use crate::fakes::provider::{Answer, FakeProvider, done, job, picture};
use crate::fakes::store::Fault;
use crate::fakes::{ACCOUNT, World, run};
use crate::generation::Status;
use crate::id::{AccountId, GenerationId};
use crate::ledger::EntryKind;

const SECOND: Duration = Duration::from_secs(1);
const OTHER: AccountId = AccountId(Uuid::from_u128(2));

/// An inline provider that answers with a picture.
fn inline() -> Arc<FakeProvider> {
    let provider = FakeProvider::new(SandboxInline, DeliveryMode::Inline);
    provider.on_submit(Answer::Now(done()));
    provider
}

/// A polled provider whose job is done at the first poll.
fn polling() -> Arc<FakeProvider> {
    let provider = FakeProvider::new(SandboxPolling, DeliveryMode::Polling);
    provider.on_submit(Answer::Now(job("j1")));
    provider.on_poll(Answer::Now(Ok(Progress::Done(picture()))));
    provider
}

fn files(world: &World) -> usize {
    world.outputs.files.lock().unwrap().len()
}

fn is_there(world: &World, id: GenerationId) -> bool {
    world.store.rows().generations.contains_key(&id)
}

async fn actors_end(world: &World) {
    for _ in 0..600 {
        if world.alive() == 0 {
            return;
        }
        world.pass(SECOND / 10).await;
    }
    panic!("{} actors are left", world.alive());
}

#[test]
fn a_generation_goes_with_its_files_and_its_ledger_stays() {
    run(async {
        let world = World::start(&[&inline()]).await;
        let id = world.submit().await.id;
        world.ended(id).await;
        assert_eq!(files(&world), 1);
        assert_eq!(world.engine().delete(ACCOUNT, id).await.unwrap(), 1);
        assert_eq!((files(&world), is_there(&world, id)), (0, false));
        assert_eq!(world.store.movements(id), [EntryKind::Reserve, EntryKind::Charge]);
        let again = world.engine().delete(ACCOUNT, id).await;
        assert!(matches!(again, Err(DeleteError::NotFound)), "{again:?}");
    });
}

#[test]
fn a_foreign_generation_is_as_missing_as_one_that_never_was() {
    run(async {
        let world = World::start(&[&inline()]).await;
        let id = world.submit().await.id;
        world.ended(id).await;
        let mut reads = Vec::new();
        let never = GenerationId(Uuid::from_u128(4));
        for (account_id, id) in [(ACCOUNT, never), (OTHER, id), (OTHER, never)] {
            let before = *world.store.reads.lock().unwrap();
            let writes = world.store.rows().writes.len();
            let missing = world.engine().delete(account_id, id).await;
            assert!(matches!(missing, Err(DeleteError::NotFound)), "{missing:?}");
            assert_eq!(world.store.rows().writes.len(), writes);
            reads.push(*world.store.reads.lock().unwrap() - before);
        }
        assert_eq!(reads, [1, 1, 1], "each costs the same look");
        assert_eq!((files(&world), is_there(&world, id)), (1, true));
    });
}

#[test]
fn what_is_in_flight_is_canceled_first() {
    run(async {
        let provider = FakeProvider::new(SandboxPolling, DeliveryMode::Polling);
        provider.on_submit(Answer::Now(job("j1")));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        assert_eq!(world.engine().delete(ACCOUNT, id).await.unwrap(), 0);
        assert!(!is_there(&world, id));
        assert_eq!(provider.count("cancel"), 1);
        assert_eq!(world.store.movements(id), [EntryKind::Reserve, EntryKind::Refund]);
        actors_end(&world).await;
    });
}

#[test]
fn a_result_that_is_stored_after_the_deletion_is_removed_again() {
    run(async {
        let world = World::start(&[&polling()]).await;
        *world.outputs.wait.lock().unwrap() = 3 * SECOND;
        let id = world.submit().await.id;
        world.pass(SECOND).await;
        assert_eq!(world.engine().delete(ACCOUNT, id).await.unwrap(), 0);
        actors_end(&world).await;
        assert_eq!((files(&world), is_there(&world, id)), (0, false));
        assert_eq!(world.store.movements(id), [EntryKind::Reserve, EntryKind::Refund]);
    });
}

#[test]
fn a_result_that_is_stored_after_the_cancel_is_removed_again() {
    run(async {
        let world = World::start(&[&polling()]).await;
        *world.outputs.wait.lock().unwrap() = 3 * SECOND;
        let id = world.submit().await.id;
        world.pass(SECOND).await;
        world.engine().cancel(ACCOUNT, id).await.unwrap();
        actors_end(&world).await;
        assert_eq!((files(&world), world.store.generation(id).status()), (0, Status::Canceled));
    });
}

#[test]
fn an_actor_that_dies_while_its_generation_is_deleted_leaves_no_files() {
    run(async {
        let world = World::start(&[&polling()]).await;
        *world.outputs.wait.lock().unwrap() = 3 * SECOND;
        let id = world.submit().await.id;
        world.pass(SECOND).await;
        world.engine().delete(ACCOUNT, id).await.unwrap();
        // Its next write is the result.
        world.store.fault(&[Fault::Panic]);
        world.pass(10 * SECOND).await;
        actors_end(&world).await;
        assert_eq!((files(&world), is_there(&world, id)), (0, false));
    });
}

#[test]
fn a_failure_leaves_nothing_of_a_result_that_was_stored_in_part() {
    run(async {
        let provider = FakeProvider::new(SandboxPolling, DeliveryMode::Polling);
        let mut output: Output = picture();
        let bytes = vec![0; 1_001].into();
        let large = OutputFile::Bytes { format: OutputFormat::Png, bytes };
        output.files.push(large);
        provider.on_submit(Answer::Now(job("j1")));
        provider.on_poll(Answer::Now(Ok(Progress::Done(output))));
        let world = World::start(&[&provider]).await;
        let id = world.submit().await.id;
        assert_eq!(world.ended(id).await.status(), Status::Failed);
        assert_eq!(files(&world), 0);
    });
}

#[test]
fn a_success_whose_answer_was_lost_keeps_its_files() {
    run(async {
        let world = World::start(&[&inline()]).await;
        world.store.fault(&[Fault::Pass, Fault::LoseAnswer]);
        let id = world.submit().await.id;
        assert_eq!(world.ended(id).await.status(), Status::Succeeded);
        assert_eq!(files(&world), 1);
    });
}

#[test]
fn a_deletion_that_was_stopped_between_its_steps_is_completed_by_repeating_it() {
    run(async {
        let world = World::start(&[&inline()]).await;
        let id = world.submit().await.id;
        world.ended(id).await;
        world.outputs.failures.store(1, std::sync::atomic::Ordering::Relaxed);
        let failed = world.engine().delete(ACCOUNT, id).await;
        assert!(matches!(failed, Err(DeleteError::Outputs(_))), "{failed:?}");
        assert_eq!((files(&world), is_there(&world, id)), (1, true));
        world.store.fault(&[Fault::Fail]);
        let failed = world.engine().delete(ACCOUNT, id).await;
        assert!(matches!(failed, Err(DeleteError::Store(_))), "{failed:?}");
        assert_eq!((files(&world), is_there(&world, id)), (0, true));
        assert_eq!(world.engine().delete(ACCOUNT, id).await.unwrap(), 0);
        assert!(!is_there(&world, id));
    });
}

#[test]
fn of_many_deletions_at_once_one_removes_everything() {
    run(async {
        let world = World::start(&[&inline()]).await;
        let id = world.submit().await.id;
        world.ended(id).await;
        let engine = world.engine();
        let all = (0..20).map(|_| engine.delete(ACCOUNT, id));
        let answers = futures_util::future::join_all(all).await;
        let removed: Vec<u64> = answers.into_iter().filter_map(Result::ok).collect();
        assert_eq!(removed, [1]);
    });
}
