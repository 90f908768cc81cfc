//! Whether another success would change nothing about the endpoint.
//!
//! Then it can be written down without looking at the endpoint. Known from what was read, as long
//! as the store knew of every failure then and there was none since.

use crate::webhook::endpoint::EndpointState;

#[derive(Debug, Default)]
pub(super) struct Calm {
    calm: bool,
    /// Failures so far.
    failures: u64,
    /// How many of them are written down.
    recorded: u64,
}

/// What was known when the endpoint was going to be read: the number of failures, if the store
/// knew of all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before(Option<u64>);

impl Calm {
    pub(super) fn is_calm(&self) -> bool {
        self.calm
    }

    /// A try has failed.
    pub(super) fn fail(&mut self) {
        self.calm = false;
        self.failures += 1;
    }

    /// That is written down.
    pub(super) fn record_failure(&mut self) {
        self.recorded += 1;
    }

    /// The endpoint is going to be read.
    pub(super) fn before(&self) -> Before {
        Before((self.failures == self.recorded).then_some(self.failures))
    }

    /// It was read.
    pub(super) fn see(&mut self, endpoint: &EndpointState, before: Before) {
        self.calm = endpoint.is_calm() && before.0 == Some(self.failures);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::{AccountId, EndpointId};

    #[test]
    fn an_endpoint_is_calm_when_it_was_seen_so_after_every_failure() {
        let endpoint =
            EndpointState::new(AccountId(Uuid::nil()), EndpointId(Uuid::nil()), Vec::new());
        let mut calm = Calm::default();
        assert!(!calm.is_calm());
        let before = calm.before();
        calm.see(&endpoint, before);
        assert!(calm.is_calm());
        let before = calm.before();
        calm.fail();
        calm.see(&endpoint, before);
        assert!(!calm.is_calm(), "it was read before the failure");
        let before = calm.before();
        calm.record_failure();
        calm.see(&endpoint, before);
        assert!(!calm.is_calm(), "it may have been read before it was written down");
        let failing = EndpointState { exhausted_in_a_row: 1, ..endpoint.clone() };
        let before = calm.before();
        calm.see(&failing, before);
        assert!(!calm.is_calm());
        calm.see(&endpoint, before);
        assert!(calm.is_calm());
    }
}
