//! Counts failed authentications, by client address or whatever else tells who fails, over a
//! sliding minute.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use chrono::{DateTime, Utc};

use super::bounded::Bounded;

/// The minute, in the seconds that are counted apart.
const SECONDS: usize = 60;
/// Addresses that failed lately and are remembered, 2.5 MB of them. More at once is an attack
/// from everywhere, against which counting by address does nothing; the checksum in the keys
/// and the bound of the bcrypt queue still hold.
const ADDRESSES_MAX: usize = 10_000;

/// Who failed how often.
pub(super) struct Failures<K = IpAddr> {
    windows: Bounded<K, Window>,
    per_minute: u32,
}

/// What somebody who failed too often is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocked {
    /// Failures allowed in a minute.
    pub(super) limit: u32,
    /// Seconds until one more may fail.
    pub(super) retry_after: u32,
    /// The same as Unix time.
    pub(super) reset: i64,
}

impl<K: Hash + Eq + Copy> Failures<K> {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { windows: Bounded::new(ADDRESSES_MAX), per_minute }
    }

    /// Whether this one has used up its failures.
    pub(super) fn blocked(&self, who: K, now: DateTime<Utc>) -> Option<Blocked> {
        let second = now.timestamp();
        let limit = self.per_minute;
        let wait = self.windows.read(&who, |window| window.wait(second, limit))?;
        let retry_after = u32::try_from(wait?).unwrap_or(SECONDS as u32);
        Some(Blocked { limit, retry_after, reset: second + i64::from(retry_after) })
    }

    /// Notes a failure.
    pub(super) fn record(&self, who: K, now: DateTime<Utc>) {
        self.windows.change(who, |window| window.add(now.timestamp()));
    }
}

/// Who stands behind an address: IPv6 hands every customer at least 64 bits of addresses to
/// choose from, so only what is before them tells customers apart.
pub(super) fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Failures in each of the last sixty seconds.
struct Window {
    newest: i64,
    counts: [u32; SECONDS],
}

impl Default for Window {
    fn default() -> Self {
        Self { newest: 0, counts: [0; SECONDS] }
    }
}

impl Window {
    fn add(&mut self, second: i64) {
        // A clock that was set back goes on in the second that it had reached.
        let second = second.max(self.newest);
        let passed = second - self.newest;
        for step in 1..=passed.min(SECONDS as i64) {
            self.counts[place(self.newest + step)] = 0;
        }
        self.newest = second;
        let count = &mut self.counts[place(second)];
        *count = count.saturating_add(1);
    }

    /// Seconds until fewer than `limit` failures lie within a minute; `None` when that is so
    /// already.
    fn wait(&self, second: i64, limit: u32) -> Option<i64> {
        let second = second.max(self.newest);
        let oldest = second - SECONDS as i64 + 1;
        let counted = (oldest..=self.newest).map(|past| (past, self.counts[place(past)]));
        let mut sum: u32 = counted.clone().fold(0, |sum, (_, count)| sum.saturating_add(count));
        if sum < limit {
            return None;
        }
        for (past, count) in counted {
            sum = sum.saturating_sub(count);
            if sum < limit {
                return Some(past + SECONDS as i64 - second);
            }
        }
        Some(SECONDS as i64)
    }
}

fn place(second: i64) -> usize {
    second.rem_euclid(SECONDS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000 + second, 0).unwrap()
    }

    #[test]
    fn the_window_slides() {
        let failures = Failures::new(3);
        let address = IpAddr::from([192, 0, 2, 1]);
        for second in [0, 0, 30] {
            assert_eq!(failures.blocked(address, at(second)), None);
            failures.record(address, at(second));
        }
        let blocked = failures.blocked(address, at(40)).unwrap();
        assert_eq!(blocked, Blocked { limit: 3, retry_after: 20, reset: at(60).timestamp() });
        assert_eq!(failures.blocked(address, at(59)).unwrap().retry_after, 1);
        assert_eq!(failures.blocked(address, at(60)), None);
        failures.record(address, at(60));
        failures.record(address, at(60));
        assert_eq!(failures.blocked(address, at(61)).unwrap().retry_after, 29);
        assert_eq!(failures.blocked(address, at(500)), None);
    }

    #[test]
    fn a_customer_is_one_customer_by_any_of_its_addresses() {
        let failures = Failures::new(1);
        failures.record(client_of("2001:db8:0:1::1".parse().unwrap()), at(0));
        failures.record(client_of("::ffff:192.0.2.1".parse().unwrap()), at(0));
        for (address, blocked) in [
            ("2001:db8:0:1:ffff::9", true),
            ("2001:db8:0:2::1", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
        ] {
            let found = failures.blocked(client_of(address.parse().unwrap()), at(1));
            assert_eq!(found.is_some(), blocked, "{address}");
        }
    }

    #[test]
    fn a_clock_set_back_opens_nothing() {
        let failures = Failures::new(1);
        let address = IpAddr::from([192, 0, 2, 1]);
        failures.record(address, at(100));
        assert!(failures.blocked(address, at(10)).is_some());
    }
}
