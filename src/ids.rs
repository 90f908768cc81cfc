//! The system's ids and spreads, the only place that makes them.

use actors::ports::IdSource;
use uuid::Uuid;

/// Ids from the time of day and the system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is the source that all others stand for")]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn spread(&self) -> f64 {
        rand::random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<Uuid> = (0..10_000).map(|_| SystemIds.next()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn spreads_stay_below_one() {
        assert!((0..1000).map(|_| SystemIds.spread()).all(|spread| (0.0..1.0).contains(&spread)));
    }
}
