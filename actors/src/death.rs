//! How a supervisor learns that an actor has ended.
//!
//! actix's own supervision does not survive a panic: actor and supervisor are gone and the
//! mailbox is closed. A value that the actor owns is dropped however it ends, so that is
//! what tells.

use tokio::sync::mpsc::UnboundedSender;

/// Held by an actor; tells its supervisor when the actor is gone.
///
/// The channel is unbounded because it never holds more than one notice per live actor.
pub struct DeathNotice<Id: Copy> {
    id: Id,
    finished: bool,
    supervisor: UnboundedSender<Death<Id>>,
}

/// An actor has ended.
#[derive(Debug, Clone, Copy)]
pub struct Death<Id> {
    /// Whose.
    pub id: Id,
    /// Whether it ended because its work was done; otherwise it panicked.
    pub finished: bool,
}

impl<Id: Copy> DeathNotice<Id> {
    /// A notice for that actor.
    pub fn new(id: Id, supervisor: UnboundedSender<Death<Id>>) -> Self {
        Self { id, finished: false, supervisor }
    }

    /// The actor ends because its work is done.
    pub fn finish(&mut self) {
        self.finished = true;
    }
}

impl<Id: Copy> Drop for DeathNotice<Id> {
    fn drop(&mut self) {
        // No supervisor is left to care when the whole process stops.
        let _ = self.supervisor.send(Death { id: self.id, finished: self.finished });
    }
}
