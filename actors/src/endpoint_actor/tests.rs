use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use providers::clock::Clock;
use providers::name::ProviderName::SandboxInline;
use providers::{DeliveryMode, JobRef};
use uuid::Uuid;

use crate::fakes::provider::{Answer, FakeProvider, done};
use crate::fakes::store::Fault;
use crate::fakes::{ACCOUNT, World, endpoint_url, limits, run};
use crate::generation::Event;
use crate::id::{DeliveryId, EndpointId, GenerationId};
use crate::webhook::{DeliveryStatus, EventName, WebhookDelivery};

const SECOND: Duration = Duration::from_secs(1);

fn provider() -> Arc<FakeProvider> {
    FakeProvider::new(SandboxInline, DeliveryMode::Inline)
}

/// A world in which nothing is announced but what a test writes.
async fn quiet() -> World {
    World::start(&[&provider()]).await
}

impl World {
    /// Writes deliveries of as many generations, all due, as a commit would.
    fn announce(&self, endpoint_id: EndpointId, count: u128) -> Vec<WebhookDelivery> {
        let now = self.clock.now();
        let new = |_| {
            let generation_id = GenerationId(crate::ports::IdSource::next(&*self.ids));
            delivery(endpoint_id, DeliveryId(self.next()), generation_id, now)
        };
        let new: Vec<WebhookDelivery> = (0..count).map(new).collect();
        self.store.rows().deliveries.extend(new.iter().map(|d| (d.id, d.clone())));
        new
    }

    fn next(&self) -> Uuid {
        crate::ports::IdSource::next(&*self.ids)
    }

    fn reply(&self, endpoint: u128, took: Duration, status: u16) {
        self.sender.always.lock().unwrap().insert(endpoint_url(endpoint), (took, status));
    }

    fn statuses(&self) -> HashMap<DeliveryStatus, usize> {
        let mut counts = HashMap::new();
        for delivery in self.store.rows().deliveries.values() {
            *counts.entry(delivery.status).or_default() += 1;
        }
        counts
    }

    fn endpoints_alive(&self) -> i64 {
        self.metrics.endpoint_actors.alive.get()
    }
}

fn delivery(
    endpoint_id: EndpointId,
    id: DeliveryId,
    generation_id: GenerationId,
    at: DateTime<Utc>,
) -> WebhookDelivery {
    WebhookDelivery {
        account_id: ACCOUNT,
        endpoint_id,
        id,
        event: EventName::GenerationCompleted,
        generation_id,
        data: serde_json::json!({ "generation_id": generation_id }),
        created_at: at,
        status: DeliveryStatus::Pending,
        tries: 0,
        next_try_at: at,
    }
}

#[test]
fn started_comes_before_the_end_and_both_at_once() {
    run(async {
        let provider = provider();
        provider.on_submit(Answer::Now(done()));
        let world = World::start(&[&provider]).await;
        world.add_endpoint(1);
        world.reply(1, SECOND / 5, 200);
        let id = world.submit().await.id;
        world.pass(SECOND).await;
        let posts = world.posts();
        let events: Vec<&str> = posts.iter().map(|post| post.event.as_str()).collect();
        assert_eq!(events, ["generation.started", "generation.completed"]);
        assert!(posts.iter().all(|post| post.generation == id.to_string()));
        assert_eq!(posts[1].at - posts[0].at, chrono::TimeDelta::milliseconds(200));
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 2)]));
    });
}

#[test]
fn a_delivery_is_tried_after_the_waits_of_the_policy_and_then_exhausted() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, Duration::ZERO, 500);
        world.announce(endpoint, 1);
        world.pass(30 * SECOND).await;
        let posts = world.posts();
        let waits: Vec<i64> =
            posts.windows(2).map(|pair| (pair[1].at - pair[0].at).num_milliseconds()).collect();
        // Timers are exact to the millisecond.
        assert_eq!(
            waits.iter().map(|ms| ms / 10 * 10).collect::<Vec<_>>(),
            [500, 1500, 3000, 5000]
        );
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Exhausted, 1)]));
        assert_eq!(posts.iter().map(|post| &post.delivery).collect::<HashSet<_>>().len(), 1);
    });
}

#[test]
fn a_retry_that_succeeds_is_the_last_try() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        let replies = [(Duration::ZERO, 503), (10 * SECOND, 500)];
        world.sender.replies.lock().unwrap().insert(endpoint_url(1), replies.into());
        world.announce(endpoint, 1);
        world.pass(30 * SECOND).await;
        assert_eq!(world.posts().len(), 3);
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 1)]));
    });
}

#[test]
fn an_endpoint_that_exhausts_too_many_in_a_row_is_disabled_and_sent_nothing() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, Duration::ZERO, 500);
        world.announce(endpoint, 15);
        world.pass(60 * SECOND).await;
        assert!(!world.store.rows().endpoints[&endpoint].state.enabled);
        assert_eq!((world.posts().len(), world.endpoints_alive()), (15 * 5, 0));
        world.announce(endpoint, 3);
        world.pass(60 * SECOND).await;
        assert_eq!(world.posts().len(), 15 * 5);
        // Enabled again by an operator, it is sent what was queued.
        world.reply(1, Duration::ZERO, 200);
        world.store.rows().endpoints.get_mut(&endpoint).unwrap().state.enabled = true;
        world.pass(SECOND).await;
        assert_eq!(world.posts().len(), 15 * 5 + 3);
    });
}

#[test]
fn several_deliveries_of_an_endpoint_go_at_a_time_within_its_bound() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, SECOND, 200);
        world.announce(endpoint, 20);
        world.pass(7 * SECOND).await;
        let bound = limits().tries_per_endpoint as u64;
        assert_eq!(world.sender.in_flight_max.load(Ordering::Relaxed), bound);
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 20)]));
        assert_eq!(world.posts().len(), 20);
    });
}

#[test]
fn a_slow_endpoint_holds_up_no_other() {
    run(async {
        let world = quiet().await;
        let (slow, quick) = (world.add_endpoint(1), world.add_endpoint(2));
        world.reply(1, 10 * SECOND, 500);
        world.announce(slow, 50);
        world.announce(quick, 50);
        world.pass(SECOND).await;
        let to = |number| world.posts().iter().filter(|p| p.url == endpoint_url(number)).count();
        assert_eq!((to(1), to(2)), (limits().tries_per_endpoint, 50));
    });
}

#[test]
fn a_hint_that_was_lost_costs_one_look() {
    run(async {
        let provider = provider();
        provider.on_submit(Answer::Now(done()));
        let world = World::start(&[&provider]).await;
        *world.store.listener.lock().unwrap() = None;
        world.add_endpoint(1);
        world.submit().await;
        world.pass(SECOND).await;
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 2)]));
        assert_eq!(world.posts().len(), 2);
    });
}

#[test]
fn a_thousand_pending_deliveries_are_each_delivered_once() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, SECOND / 100, 200);
        let slow = std::iter::repeat_n(SECOND / 50, 100);
        world.store.slow_reads.lock().unwrap().extend(slow);
        world.announce(endpoint, 1000);
        world.pass(60 * SECOND).await;
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 1000)]));
        let posts = world.posts();
        let ids: HashSet<&str> = posts.iter().map(|post| post.delivery.as_str()).collect();
        assert_eq!((posts.len(), ids.len()), (1000, 1000));
    });
}

#[test]
fn what_is_delivered_while_the_store_is_read_is_not_sent_again() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, SECOND / 2, 200);
        world.announce(endpoint, 1);
        world.pass(SECOND / 4 * 3).await;
        // Read while the first is on its way, answered after it has arrived.
        world.store.slow_reads.lock().unwrap().extend([SECOND, SECOND, SECOND]);
        world.announce(endpoint, 1);
        world.pass(10 * SECOND).await;
        assert_eq!(world.posts().len(), 2);
    });
}

#[test]
fn a_hint_does_not_overtake_what_is_still_to_be_read() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, SECOND / 100, 200);
        let at = world.clock.now();
        let old = world.announce(endpoint, 600);
        // The end of a generation whose start is far behind in the store.
        world.pass(SECOND).await;
        let newest = old.last().unwrap().generation_id;
        let late = delivery(endpoint, DeliveryId(world.next()), newest, world.clock.now());
        world.store.rows().deliveries.insert(late.id, late.clone());
        crate::ports::DeliveryListener::committed(&world.engine(), vec![late.clone()]);
        assert!(at < late.created_at);
        world.pass(10 * SECOND).await;
        let posts = world.posts();
        let of: Vec<&str> = (posts.iter())
            .filter(|post| post.generation == newest.to_string())
            .map(|post| post.delivery.as_str())
            .collect();
        assert_eq!(of, [old.last().unwrap().id.to_string(), late.id.to_string()]);
    });
}

#[test]
fn an_endpoint_disabled_while_sending_is_sent_nothing_after_half_a_second() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, SECOND / 5, 200);
        world.announce(endpoint, 1000);
        world.pass(2 * SECOND).await;
        world.store.rows().endpoints.get_mut(&endpoint).unwrap().state.enabled = false;
        let off = world.clock.now();
        world.pass(20 * SECOND).await;
        let last = world.posts().last().unwrap().at;
        assert!(last - off <= chrono::TimeDelta::milliseconds(500), "{}", last - off);
        assert_eq!(world.endpoints_alive(), 0);
        assert!(world.statuses()[&DeliveryStatus::Pending] > 900);
    });
}

#[test]
fn an_endpoint_disabled_while_its_deliveries_wait_for_room_is_sent_nothing() {
    run(async {
        let world = quiet().await;
        // 16 endpoints of 4 at a time fill the room of 64.
        for number in 1..=16 {
            let busy = world.add_endpoint(number);
            world.reply(number, 10 * SECOND, 200);
            world.announce(busy, 4);
        }
        world.pass(SECOND).await;
        let endpoint = world.add_endpoint(99);
        world.announce(endpoint, 4);
        world.pass(SECOND).await;
        world.store.rows().endpoints.get_mut(&endpoint).unwrap().state.enabled = false;
        world.pass(30 * SECOND).await;
        assert!(world.posts().iter().all(|post| post.url != endpoint_url(99)));
    });
}

#[test]
fn an_endpoint_deleted_while_sending_ends_its_actor() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, SECOND, 200);
        world.announce(endpoint, 10);
        world.pass(SECOND).await;
        world.store.rows().endpoints.clear();
        world.store.rows().deliveries.clear();
        world.pass(5 * SECOND).await;
        assert_eq!(world.endpoints_alive(), 0);
        assert!(world.posts().len() <= 8);
    });
}

#[test]
fn a_try_that_could_not_be_recorded_is_recorded_later_and_not_made_again() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.store.fault(&[Fault::Fail, Fault::LoseAnswer, Fault::Fail]);
        world.announce(endpoint, 1);
        world.pass(10 * SECOND).await;
        assert_eq!(world.posts().len(), 1);
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 1)]));
    });
}

#[test]
fn an_actor_with_nothing_to_send_ends() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.announce(endpoint, 3);
        world.pass(SECOND).await;
        assert_eq!(world.endpoints_alive(), 1);
        world.pass(11 * SECOND).await;
        let counts = &world.metrics.endpoint_actors;
        assert_eq!((counts.alive.get(), counts.started.get(), counts.finished.get()), (0, 1, 1));
    });
}

#[test]
fn an_actor_under_steady_traffic_stays() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        for _ in 0..10 {
            world.announce(endpoint, 1);
            world.pass(4 * SECOND).await;
        }
        assert_eq!(world.metrics.endpoint_actors.started.get(), 1);
    });
}

#[test]
fn an_actor_that_dies_is_replaced_at_the_next_look() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.store.fault(&[Fault::Panic]);
        world.announce(endpoint, 2);
        world.pass(5 * SECOND).await;
        let counts = &world.metrics.endpoint_actors;
        assert_eq!((counts.panicked.get(), counts.started.get()), (1, 2));
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 2)]));
    });
}

#[test]
fn a_stop_waits_for_tries_on_their_way_and_begins_none() {
    run(async {
        let mut world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, 2 * SECOND, 200);
        world.announce(endpoint, 10);
        world.pass(SECOND).await;
        world.stop().await;
        assert_eq!((world.posts().len(), world.endpoints_alive()), (4, 0));
        assert_eq!(world.statuses()[&DeliveryStatus::Delivered], 4);
    });
}

#[test]
fn a_generation_that_only_started_is_announced_as_started() {
    run(async {
        let mut world = World::new(&[&provider()]);
        world.add_endpoint(1);
        let job = JobRef("j1".to_owned());
        let at = world.clock.now();
        world.leave(vec![Event::Accepted { attempt: 1, job, at }]).await;
        world.boot().await;
        world.pass(SECOND / 10).await;
        assert_eq!(world.posts()[0].event, "generation.started");
    });
}
