//! The system's ids and spreads, the only place that makes them.

use actors::ports::IdSource;
use chrono::{DateTime, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// Ids from the time of day and the system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is the source that all others stand for")]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn next_at(&self, at: DateTime<Utc>) -> Uuid {
        let seconds = u64::try_from(at.timestamp()).unwrap_or_default();
        Uuid::new_v7(Timestamp::from_unix(ContextV7::new(), seconds, at.timestamp_subsec_nanos()))
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
    fn an_id_at_a_time_carries_its_milliseconds() {
        let at = DateTime::from_timestamp_micros(1_780_388_110_802_345).unwrap();
        let ids: std::collections::HashSet<Uuid> =
            (0..1000).map(|_| SystemIds.next_at(at)).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert_eq!((id.as_u128() >> 80, id.get_version_num()), (1_780_388_110_802, 7));
        }
    }

    #[test]
    fn spreads_stay_below_one() {
        assert!((0..1000).map(|_| SystemIds.spread()).all(|spread| (0.0..1.0).contains(&spread)));
    }
}
