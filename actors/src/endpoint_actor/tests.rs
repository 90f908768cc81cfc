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
use crate::fakes::{ACCOUNT, NO_ANSWER, World, endpoint_url, limits, run};
use crate::generation::Event;
use crate::id::{DeliveryId, EndpointId, GenerationId};
use crate::lanes::Lanes;
use crate::webhook::endpoint::DisableReason;
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
        generation_id: Some(generation_id),
        data: Arc::new(serde_json::json!({ "generation_id": generation_id })),
        ..WebhookDelivery::blank(at)
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
        world.announce(endpoint, 40);
        world.pass(20 * SECOND).await;
        let bound = limits().tries_per_endpoint as u64;
        assert_eq!(world.sender.in_flight_max.load(Ordering::Relaxed), bound);
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 40)]));
        assert_eq!(world.posts().len(), 40);
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
        assert_eq!((to(1), to(2)), (1, 50), "nothing is known of it, so it gets one at first");
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
        let newest = old.last().unwrap().generation_id.unwrap();
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
        let mut world = World::new(&[&provider()]);
        world.lanes = Lanes::new(4, 4);
        world.boot().await;
        // Eight endpoints fill both lanes.
        for number in 1..=8 {
            let busy = world.add_endpoint(number);
            world.reply(number, 10 * SECOND, 200);
            world.announce(busy, 4);
        }
        world.pass(2 * SECOND).await;
        let endpoint = world.add_endpoint(99);
        world.announce(endpoint, 4);
        world.pass(SECOND).await;
        world.store.rows().endpoints.get_mut(&endpoint).unwrap().state.enabled = false;
        world.pass(30 * SECOND).await;
        assert!(world.posts().iter().all(|post| post.url != endpoint_url(99)));
    });
}

#[test]
fn the_dead_wait_for_each_other_and_not_the_living_for_them() {
    nobody_waits_for(10 * SECOND, NO_ANSWER);
}

#[test]
fn the_slow_wait_for_each_other_and_not_the_quick_for_them() {
    nobody_waits_for(9 * SECOND, 200);
    nobody_waits_for(5 * SECOND, 504);
}

fn nobody_waits_for(took: Duration, status: u16) {
    run(async {
        let mut world = World::new(&[&provider()]);
        world.lanes = Lanes::new(8, 16);
        world.boot().await;
        // More than the quick lane holds.
        for number in 1..=20 {
            let slow = world.add_endpoint(number);
            world.reply(number, took, status);
            world.announce(slow, 10);
        }
        world.pass(12 * SECOND).await;
        for number in 101..=120 {
            let living = world.add_endpoint(number);
            world.announce(living, 10);
        }
        let before = world.clock.now();
        world.pass(3 * SECOND).await;
        let late = world.posts().into_iter().filter(|post| {
            let number: u128 = post.url.rsplit('/').next().unwrap().parse().unwrap();
            number > 100
        });
        let took: Vec<i64> = late.map(|post| (post.at - before).num_milliseconds()).collect();
        assert_eq!(took.len(), 200, "all have arrived");
        // They are found by the next look; from then on there is room.
        assert!(took.iter().all(|ms| *ms <= 600), "{:?}", took.iter().max());
    });
}

#[test]
fn an_endpoint_that_asks_for_a_pause_is_left_alone_for_so_long() {
    run(async {
        let world = quiet().await;
        let (busy, other) = (world.add_endpoint(1), world.add_endpoint(2));
        world.reply(1, Duration::ZERO, 429);
        world.sender.retry_after.lock().unwrap().insert(endpoint_url(1), 60 * SECOND);
        world.announce(busy, 20);
        world.pass(2 * SECOND).await;
        let first = world.posts().len();
        assert_eq!(first, 1);
        world.announce(other, 1);
        world.pass(55 * SECOND).await;
        assert_eq!(world.posts().len(), first + 1);
        world.reply(1, Duration::ZERO, 200);
        world.pass(10 * SECOND).await;
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 21)]));
    });
}

#[test]
fn what_is_to_be_tried_much_later_is_not_kept_in_memory() {
    run(async {
        let world = World::new_with(&[&provider()], |policy| policy.tail = vec![600 * SECOND]);
        let mut world = world;
        world.boot().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, Duration::ZERO, 500);
        world.announce(endpoint, 3);
        world.pass(30 * SECOND).await;
        assert_eq!((world.posts().len(), world.endpoints_alive()), (15, 0), "its actor is gone");
        world.reply(1, Duration::ZERO, 200);
        world.pass(500 * SECOND).await;
        assert_eq!(world.posts().len(), 15);
        world.pass(100 * SECOND).await;
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 3)]));
    });
}

#[test]
fn a_probed_endpoint_is_sent_one_event_until_it_has_taken_it() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, SECOND, 200);
        let replies = [(SECOND, 500), (SECOND, 500)];
        world.sender.replies.lock().unwrap().insert(endpoint_url(1), replies.into());
        world.store.rows().endpoints.get_mut(&endpoint).unwrap().state.probing = true;
        let all = world.announce(endpoint, 30);
        world.pass(4 * SECOND).await;
        let posts = world.posts();
        assert_eq!(world.sender.in_flight_max.load(Ordering::Relaxed), 1);
        assert!(posts.len() <= 3 && posts.iter().all(|p| p.delivery == all[0].id.to_string()));
        world.pass(60 * SECOND).await;
        assert_eq!(world.statuses(), HashMap::from([(DeliveryStatus::Delivered, 30)]));
        assert!(world.sender.in_flight_max.load(Ordering::Relaxed) > 1);
    });
}

#[test]
fn a_probe_that_fails_disables_the_endpoint_again_and_nothing_else_is_sent() {
    run(async {
        let world = quiet().await;
        let (endpoint, other) = (world.add_endpoint(1), world.add_endpoint(2));
        world.reply(1, Duration::ZERO, 500);
        world.store.rows().endpoints.get_mut(&endpoint).unwrap().state.probing = true;
        world.announce(endpoint, 30);
        world.pass(60 * SECOND).await;
        let state = world.store.rows().endpoints[&endpoint].state.clone();
        assert_eq!(state.disabled.unwrap().reason, DisableReason::ProbeFailed);
        assert_eq!(world.statuses()[&DeliveryStatus::Queued], 29, "all but the probe");
        let to = |url: String| world.posts().into_iter().filter(move |post| post.url == url);
        assert_eq!(to(endpoint_url(1)).count(), 5);
        // The owner is told, in the dashboard and at the other endpoint.
        let told: Vec<String> = to(endpoint_url(2)).map(|post| post.event).collect();
        assert_eq!(told, ["webhook.disabled"]);
        assert_eq!(world.store.rows().notifications.len(), 1);
        assert!(world.store.rows().endpoints[&other].state.enabled);
    });
}

#[test]
fn what_was_queued_goes_one_after_another_and_other_events_go_beside_it() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, SECOND, 200);
        let queued = world.announce(endpoint, 6);
        for delivery in world.store.rows().deliveries.values_mut() {
            delivery.in_order = true;
        }
        world.pass(SECOND / 2).await;
        world.announce(endpoint, 1);
        world.pass(20 * SECOND).await;
        let posts = world.posts();
        let sent: Vec<&str> = posts.iter().map(|post| post.delivery.as_str()).collect();
        let wanted: Vec<String> = queued.iter().map(|delivery| delivery.id.to_string()).collect();
        let ordered: Vec<&str> =
            sent.iter().copied().filter(|id| wanted.iter().any(|one| one == id)).collect();
        assert_eq!(ordered, wanted);
        assert_eq!(world.sender.in_flight_max.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn what_was_queued_waits_for_a_try_that_failed() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        let queued = world.announce(endpoint, 5);
        for delivery in world.store.rows().deliveries.values_mut() {
            delivery.in_order = true;
        }
        let replies = [200, 500, 500, 200].map(|status| (Duration::ZERO, status));
        world.sender.replies.lock().unwrap().insert(endpoint_url(1), replies.into());
        world.pass(10 * SECOND).await;
        let sent: Vec<String> = world.posts().into_iter().map(|post| post.delivery).collect();
        let wanted = [0, 1, 1, 1, 2, 3, 4].map(|index: usize| queued[index].id.to_string());
        assert_eq!(sent, wanted);
    });
}

#[test]
fn what_was_queued_waits_for_a_try_that_asks_for_a_pause() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        let queued = world.announce(endpoint, 3);
        for delivery in world.store.rows().deliveries.values_mut() {
            delivery.in_order = true;
        }
        let replies = [(Duration::ZERO, 429)];
        world.sender.replies.lock().unwrap().insert(endpoint_url(1), replies.into());
        world.sender.retry_after.lock().unwrap().insert(endpoint_url(1), 5 * SECOND);
        world.pass(10 * SECOND).await;
        let sent: Vec<String> = world.posts().into_iter().map(|post| post.delivery).collect();
        let wanted = [0, 0, 1, 2].map(|index: usize| queued[index].id.to_string());
        assert_eq!(sent, wanted);
    });
}

#[test]
fn an_endpoint_whose_actors_keep_dying_is_disabled_with_a_reason() {
    run(async {
        let world = quiet().await;
        let (endpoint, other) = (world.add_endpoint(1), world.add_endpoint(2));
        // One more than the limit, each when the first try is recorded.
        world.store.fault(&[Fault::Panic; 3]);
        world.announce(endpoint, 1);
        world.pass(20 * SECOND).await;
        let state = world.store.rows().endpoints[&endpoint].state.clone();
        assert_eq!(state.disabled.unwrap().reason, DisableReason::Quarantined);
        assert!(world.store.rows().endpoints[&other].state.enabled);
        assert_eq!(world.metrics.endpoint_actors.panicked.get(), 3);
        let to_it = world.posts().iter().filter(|post| post.url == endpoint_url(1)).count();
        assert_eq!((to_it, world.store.rows().notifications.len()), (3, 1));
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
        assert_eq!((world.posts().len(), world.endpoints_alive()), (1, 0));
        assert_eq!(world.statuses()[&DeliveryStatus::Delivered], 1);
    });
}

#[test]
fn a_generation_that_only_started_is_announced_as_started() {
    run(async {
        let mut world = World::new(&[&provider()]);
        world.add_endpoint(1);
        let job = JobRef("j1".to_owned());
        let at = world.clock.now();
        world.leave(vec![Event::Accepted { attempt: 1, job, cost: None, at }]).await;
        world.boot().await;
        world.pass(SECOND / 10).await;
        assert_eq!(world.posts()[0].event, "generation.started");
    });
}

#[test]
fn what_is_known_is_not_read_again_and_again() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, 10 * SECOND, NO_ANSWER);
        // More than half of what is held of an endpoint that does not answer.
        world.announce(endpoint, 20);
        world.pass(60 * SECOND).await;
        // The janitor hints twice a second that something is due.
        assert!(*world.store.pages_read.lock().unwrap() <= 50);
    });
}

#[test]
fn what_was_queued_while_it_waited_for_its_next_try_is_tried_once_more_at_most() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, Duration::ZERO, 500);
        let id = world.announce(endpoint, 1)[0].id;
        world.pass(SECOND).await;
        // Its owner has disabled and enabled the endpoint.
        world.store.rows().deliveries.get_mut(&id).unwrap().status = DeliveryStatus::Queued;
        let before = world.posts().len();
        world.pass(30 * SECOND).await;
        assert_eq!(world.posts().len(), before + 1);
        assert_eq!(world.store.rows().deliveries[&id].status, DeliveryStatus::Queued);
    });
}

#[test]
fn an_event_does_not_overtake_one_whose_hint_was_lost() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.announce(endpoint, 1);
        world.pass(SECOND).await;
        let generation_id = GenerationId(world.next());
        let now = world.clock.now();
        let [started, ended] =
            [(); 2].map(|()| delivery(endpoint, DeliveryId(world.next()), generation_id, now));
        for new in [&started, &ended] {
            world.store.rows().deliveries.insert(new.id, new.clone());
        }
        world.metrics.hints_lost.inc();
        crate::ports::DeliveryListener::committed(&world.engine(), vec![ended.clone()]);
        world.pass(SECOND / 10).await;
        let posts = world.posts();
        let sent: Vec<&str> = posts[1..].iter().map(|post| post.delivery.as_str()).collect();
        assert_eq!(sent, [started.id.to_string(), ended.id.to_string()]);
    });
}

#[test]
fn an_event_does_not_overtake_one_of_the_queue_about_the_same_generation() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.reply(1, SECOND / 10, 200);
        // Windows open with success.
        world.announce(endpoint, 8);
        world.pass(3 * SECOND).await;
        let queued: Vec<DeliveryId> = (world.announce(endpoint, 3).iter())
            .map(|delivery| {
                let mut rows = world.store.rows();
                rows.deliveries.get_mut(&delivery.id).unwrap().in_order = true;
                delivery.id
            })
            .collect();
        let last = world.store.rows().deliveries[&queued[2]].generation_id.unwrap();
        let ended = delivery(endpoint, DeliveryId(world.next()), last, world.clock.now());
        world.store.rows().deliveries.insert(ended.id, ended.clone());
        world.pass(3 * SECOND).await;
        let posts = world.posts();
        let sent: Vec<&str> = posts[8..].iter().map(|post| post.delivery.as_str()).collect();
        let ids: Vec<String> = queued.iter().chain([&ended.id]).map(ToString::to_string).collect();
        assert_eq!(sent, ids);
    });
}

#[test]
fn an_endpoint_that_cannot_be_understood_is_disabled() {
    run(async {
        let world = quiet().await;
        let endpoint = world.add_endpoint(1);
        world.store.corrupt.lock().unwrap().insert(endpoint);
        world.announce(endpoint, 1);
        world.pass(10 * SECOND).await;
        let state = world.store.rows().endpoints[&endpoint].state.clone();
        assert_eq!(state.disabled.unwrap().reason, DisableReason::Quarantined);
        assert_eq!((world.posts().len(), world.endpoints_alive()), (0, 0));
    });
}

#[test]
fn a_stop_does_not_wait_for_tries_that_wait_for_room() {
    run(async {
        let mut world = World::new(&[&provider()]);
        world.lanes = Lanes::new(1, 1);
        world.boot().await;
        for number in 1..=3 {
            let endpoint = world.add_endpoint(number);
            world.reply(number, 4 * SECOND, NO_ANSWER);
            world.announce(endpoint, 1);
        }
        // One has moved aside, one has its place, one waits.
        world.pass(SECOND).await;
        let before = world.clock.now();
        world.stop().await;
        let took = world.clock.now() - before;
        assert!(took.num_milliseconds() <= 4000, "{took}");
        assert_eq!((world.posts().len(), world.endpoints_alive()), (2, 0));
    });
}
