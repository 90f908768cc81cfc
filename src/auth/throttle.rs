//! How often somebody may sign in with a wrong password.
//!
//! Counted for each address, and for each user from wherever the tries come. What is beyond is
//! refused before any work, right or wrong, and whether there is such a user or not: so the
//! refusal tells nothing. Whoever is signed in already notices nothing of it.

use std::net::IpAddr;

use actors::user::Email;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::failures::{Failures, client_of};

/// Counts wrong passwords. One per process.
pub struct Throttle {
    by_address: Failures,
    /// By SHA-256 of the address for mail.
    by_user: Failures<[u8; 32]>,
}

impl Throttle {
    /// So many in a minute from one address, and so many for one user.
    pub fn new(per_address: u32, per_user: u32) -> Self {
        Self { by_address: Failures::new(per_address), by_user: Failures::new(per_user) }
    }

    /// Seconds until the next try, when there were too many.
    pub fn blocked(&self, client: IpAddr, email: &Email, now: DateTime<Utc>) -> Option<u32> {
        let by_address = self.by_address.blocked(client_of(client), now);
        let by_user = self.by_user.blocked(user(email), now);
        by_address.into_iter().chain(by_user).map(|blocked| blocked.retry_after).max()
    }

    /// Notes a wrong password.
    pub fn failed(&self, client: IpAddr, email: &Email, now: DateTime<Utc>) {
        self.by_address.record(client_of(client), now);
        self.by_user.record(user(email), now);
    }
}

fn user(email: &Email) -> [u8; 32] {
    Sha256::digest(email.as_str().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_for_the_address_and_for_the_user() {
        let at = |second: i64| DateTime::from_timestamp(1_780_000_000 + second, 0).unwrap();
        let throttle = Throttle::new(3, 2);
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let [ada, bob] = ["ada@b.c", "bob@b.c"].map(|email| Email::parse(email).unwrap());
        throttle.failed(one, &ada, at(0));
        assert_eq!(throttle.blocked(one, &ada, at(0)), None);
        throttle.failed(other, &ada, at(0));
        assert_eq!(throttle.blocked(one, &ada, at(1)), Some(59), "from two addresses");
        assert_eq!(throttle.blocked(one, &bob, at(1)), None);
        throttle.failed(one, &bob, at(1));
        throttle.failed(one, &Email::parse("c@b.c").unwrap(), at(1));
        assert_eq!(throttle.blocked(one, &Email::parse("d@b.c").unwrap(), at(1)), Some(59));
        assert_eq!(throttle.blocked(other, &bob, at(1)), None);
        assert_eq!(throttle.blocked(one, &ada, at(61)), None);
    }
}
