use std::sync::Mutex;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use chrono::TimeDelta;
use providers::DeliveryMode;
use providers::name::ProviderName::SandboxInline;

use super::*;
use crate::fakes::provider::{Answer, FakeProvider, done};
use crate::fakes::{ACCOUNT, World, run};
use crate::id::GenerationId;

/// Answers with what the world's store holds, page by page.
struct Kept<'a> {
    world: &'a World,
    /// The first answers of `forget_deliveries_any_account`.
    deliveries: Mutex<Vec<u64>>,
    /// What `expire_queued_any_account` was asked for, with the age.
    queued: Mutex<Vec<(Plan, TimeDelta)>>,
}

impl Kept<'_> {
    fn page(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        after: Option<GenerationKey>,
        with_files: bool,
    ) -> Vec<GenerationKey> {
        let rows = self.world.store.rows();
        let ended = rows.generations.values().filter(|generation| {
            generation.completed_at().is_some_and(|at| at < before)
                && (!with_files || !generation.kept_files().is_empty())
        });
        let keys = ended.map(|generation| (generation.account_id, generation.id));
        let mut keys: Vec<_> = keys.filter(|key| after.is_none_or(|after| *key > after)).collect();
        keys.sort();
        keys.retain(|_| plan == rows.standings[&ACCOUNT].plan);
        keys
    }
}

#[async_trait]
impl RetentionStore for Kept<'_> {
    async fn list_files_before_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        after: Option<GenerationKey>,
        _limit: u32,
    ) -> Result<Vec<GenerationKey>, StoreError> {
        Ok(self.page(plan, before, after, true))
    }

    async fn list_ended_before_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        after: Option<GenerationKey>,
        _limit: u32,
    ) -> Result<Vec<GenerationKey>, StoreError> {
        Ok(self.page(plan, before, after, false))
    }

    async fn list_keepers_any_account(
        &self,
        _keys: &[GenerationKey],
    ) -> Result<Vec<GenerationKey>, StoreError> {
        Ok(Vec::new())
    }

    async fn forget_deliveries_any_account(
        &self,
        _plan: Plan,
        _before: DateTime<Utc>,
        _limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(self.deliveries.lock().unwrap().pop().unwrap_or(0))
    }

    async fn expire_queued_any_account(
        &self,
        plan: Plan,
        queued_before: DateTime<Utc>,
        now: DateTime<Utc>,
        _limit: u32,
    ) -> Result<u64, StoreError> {
        self.queued.lock().unwrap().push((plan, now - queued_before));
        Ok(0)
    }

    async fn forget_notifications_any_account(
        &self,
        _plan: Plan,
        _before: DateTime<Utc>,
        _limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn forget_attempts_any_account(
        &self,
        _plan: Plan,
        _before: DateTime<Utc>,
        _limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(0)
    }
}

async fn clear(world: &World) -> Result<Cleared, DeleteError> {
    let retention = Retention {
        files_max: TimeDelta::minutes(1),
        records_max: TimeDelta::minutes(3),
        queued_max: TimeDelta::days(7),
    };
    let kept = Kept { world, deliveries: Mutex::default(), queued: Mutex::default() };
    world.engine().clear(&kept, &retention).await
}

fn files(world: &World) -> usize {
    world.outputs.files.lock().unwrap().len()
}

async fn world_with(generations: usize) -> (World, Vec<GenerationId>) {
    let provider = FakeProvider::new(SandboxInline, DeliveryMode::Inline);
    for _ in 0..generations {
        provider.on_submit(Answer::Now(done()));
    }
    let world = World::start(&[&provider]).await;
    let mut ids = Vec::new();
    for _ in 0..generations {
        let id = world.submit().await.id;
        world.ended(id).await;
        ids.push(id);
    }
    (world, ids)
}

#[test]
fn files_go_first_then_the_record_and_never_the_ledger() {
    run(async {
        let (world, ids) = world_with(3).await;
        assert_eq!(clear(&world).await.unwrap(), Cleared::default(), "nothing is old enough");
        world.pass(Duration::from_secs(61)).await;
        let cleared = clear(&world).await.unwrap();
        assert_eq!((cleared.files, cleared.generations, files(&world)), (3, 0, 0));
        let generation = world.store.generation(ids[0]);
        assert!(generation.kept_files().is_empty() && generation.status().is_terminal());
        assert_eq!(clear(&world).await.unwrap(), Cleared::default(), "once is enough");
        world.pass(Duration::from_secs(121)).await;
        assert_eq!(clear(&world).await.unwrap().generations, 3);
        assert!(world.store.rows().generations.is_empty());
        world.settled();
        assert_eq!(world.store.movements(ids[0]).len(), 2);
    });
}

#[test]
fn what_cannot_be_removed_stays_on_record_until_it_can() {
    run(async {
        let (world, ids) = world_with(3).await;
        world.pass(Duration::from_secs(61)).await;
        world.outputs.failures.store(1, Ordering::Relaxed);
        assert_eq!(clear(&world).await.unwrap().files, 2, "one odd file holds up no other");
        let kept = |id: &&GenerationId| !world.store.generation(**id).kept_files().is_empty();
        assert_eq!((ids.iter().filter(kept).count(), files(&world)), (1, 1));
        assert_eq!(clear(&world).await.unwrap().files, 1);
        assert_eq!((ids.iter().filter(kept).count(), files(&world)), (0, 0));
    });
}

#[test]
fn a_store_that_is_gone_is_not_asked_for_ever() {
    run(async {
        let (world, _) = world_with(30).await;
        world.pass(Duration::from_secs(61)).await;
        world.outputs.failures.store(1_000, Ordering::Relaxed);
        assert!(matches!(clear(&world).await, Err(DeleteError::Outputs(_))));
        let asked = 1_000 - world.outputs.failures.load(Ordering::Relaxed);
        assert!(asked <= 30 && files(&world) == 30, "{asked}");
    });
}

#[test]
fn full_pages_are_followed_by_the_next() {
    run(async {
        let (world, _) = world_with(0).await;
        let deliveries = Mutex::new(vec![7, 500, 500]);
        let kept = Kept { world: &world, deliveries, queued: Mutex::default() };
        let retention = Retention {
            files_max: TimeDelta::MAX,
            records_max: TimeDelta::MAX,
            queued_max: TimeDelta::days(14),
        };
        assert_eq!(world.engine().clear(&kept, &retention).await.unwrap().deliveries, 1007);
        let queued = kept.queued.into_inner().unwrap().into_iter();
        let days: Vec<_> = queued.map(|(plan, age)| (plan, age.num_days())).collect();
        let [free, starter, pro, scale, enterprise] = Plan::ALL;
        let longer = [(pro, 14), (scale, 14), (enterprise, 14)];
        assert_eq!(days, [&[(free, 3), (starter, 7)], &longer[..]].concat());
    });
}
