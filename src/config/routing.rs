//! By what providers are judged, and how `fastest` orders them.

use std::time::Duration;

use actors::router::RouterRules;
use actors::routing::breaker::BreakerRules;
use actors::routing::evidence::Memory;
use actors::routing::ranking::RankingRules;

use super::DAY_MS;
use super::reader::Reader;

#[derive(Debug, Clone, Copy)]
pub struct RoutingConfig {
    pub rules: RouterRules,
    /// How often what is known is written down.
    pub snapshot: Duration,
}

impl RoutingConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let breaker = BreakerRules {
            window: reader.millis("provider_health.window_ms", 1000..=DAY_MS),
            attempts_min: reader.integer("provider_health.attempts_min", 1..=1_000_000),
            failures_percent: reader.integer("provider_health.failures_percent", 1..=100),
            open: reader.millis("provider_health.open_ms", 1..=DAY_MS),
            open_max: reader.millis("provider_health.open_max_ms", 1..=DAY_MS),
            pause: reader.millis("provider_health.pause_ms", 0..=DAY_MS),
            pause_max: reader.millis("provider_health.pause_max_ms", 0..=DAY_MS),
            probe_percent: reader.integer("provider_health.probe_percent", 1..=50),
            probes: reader.integer("provider_health.probes", 1..=1000),
        };
        reader.not_above("provider_health.open_ms", "provider_health.open_max_ms");
        reader.not_above("provider_health.pause_ms", "provider_health.pause_max_ms");
        let percent = |percent: u32| f64::from(percent) / 100.0;
        let ranking = RankingRules {
            enabled: reader.flag("routing.enabled"),
            memory: Memory {
                half_life: reader.millis("routing.half_life_ms", 1000..=365 * DAY_MS),
                attempts_max: reader.integer("routing.attempts_max", 10..=1_000_000),
            },
            attempts_min: reader.integer("routing.attempts_min", 1..=1_000_000),
            latency_weight: percent(reader.integer("routing.latency_percent", 0..=1000)),
            cost_weight: percent(reader.integer("routing.cost_percent", 0..=1000)),
            explore_percent: reader.integer("routing.explore_percent", 0..=50),
            explore_below: reader.integer("routing.explore_below", 0..=1_000_000),
        };
        reader.not_above("routing.attempts_min", "routing.attempts_max");
        reader.not_above("routing.explore_below", "routing.attempts_max");
        let snapshot = reader.millis("routing.snapshot_ms", 1000..=DAY_MS);
        Self { rules: RouterRules { breaker, ranking }, snapshot }
    }
}
