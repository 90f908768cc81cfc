//! Settings of people who sign in.

use std::time::Duration;

use super::DAY_MS;
use super::reader::Reader;

#[derive(Debug, Clone)]
pub struct PeopleConfig {
    /// Whether anybody may make a user for himself.
    pub sign_up: bool,
    /// Whether teams can be deleted by their primary owner.
    pub team_deletion: bool,
    /// Whether people can delete themselves.
    pub user_deletion: bool,
    pub session_idle: Duration,
    pub session_max: Duration,
    /// Failed sign-ins in a minute, from one address.
    pub failures_per_minute: u32,
    /// Failed sign-ins in a minute, to one user.
    pub failures_per_minute_and_user: u32,
}

impl PeopleConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let people = Self {
            sign_up: reader.flag("people.sign_up"),
            team_deletion: reader.flag("people.team_deletion"),
            user_deletion: reader.flag("people.user_deletion"),
            session_idle: reader.millis("people.session_idle_ms", 60_000..=366 * DAY_MS),
            session_max: reader.millis("people.session_max_ms", 60_000..=366 * DAY_MS),
            failures_per_minute: reader.integer("people.failures_per_minute", 1..=1_000_000),
            failures_per_minute_and_user: reader
                .integer("people.failures_per_minute_and_user", 1..=1_000_000),
        };
        reader.not_above("people.session_idle_ms", "people.session_max_ms");
        people
    }
}
