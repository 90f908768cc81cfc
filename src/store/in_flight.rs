//! Generations in flight as the writer last wrote them, so that what comes next about one of
//! them need not be read; and whether whoever has tried a delivery is believed about it.
//!
//! Only shortcuts. Every UPDATE names the status and the epoch, or the number of tries, that it
//! expects; when the database holds something else, as after another process has taken over, the
//! batch fails, everything here is forgotten, and the units are decided again from what is read.

use std::collections::HashMap;

use actors::batch::Changes;
use actors::generation::Generation;
use actors::id::{AccountId, GenerationId};
use actors::webhook::WebhookDelivery;

/// Generations remembered; what is beyond it is read.
const REMEMBERED_MAX: usize = 16_384;
/// Bytes of a prompt that is remembered, so that all of them take some tens of megabytes.
const PROMPT_MAX: usize = 2_048;

/// What is remembered.
#[derive(Default)]
pub(crate) struct InFlight {
    generations: HashMap<(AccountId, GenerationId), Generation>,
    /// Whether the batch at hand has taken something from here, or believed somebody.
    relied_on: bool,
    /// Whether the last batch has failed, so that this one has to read.
    doubting: bool,
}

impl InFlight {
    /// The generation as last written. It is remembered again once it has been committed.
    pub(crate) fn take(&mut self, key: (AccountId, GenerationId)) -> Option<Generation> {
        let generation = self.generations.remove(&key);
        self.relied_on |= generation.is_some();
        generation
    }

    /// Whether deliveries are as whoever has tried them says.
    pub(crate) fn trust(&mut self) -> bool {
        self.relied_on |= !self.doubting;
        !self.doubting
    }

    /// Remembers what was committed and goes on; gives back the deliveries that may leave.
    pub(crate) fn remember(&mut self, mut changes: Changes) -> Vec<WebhookDelivery> {
        (self.relied_on, self.doubting) = (false, false);
        let inserted = std::mem::take(&mut changes.inserted);
        let updated = std::mem::take(&mut changes.updated).into_iter();
        for generation in inserted.into_iter().chain(updated.map(|(generation, _)| generation)) {
            let worth_it = !generation.status().is_terminal()
                && generation.input.prompt.len() <= PROMPT_MAX
                && self.generations.len() < REMEMBERED_MAX;
            if worth_it {
                self.generations.insert((generation.account_id, generation.id), generation);
            }
        }
        changes.into_sendable()
    }

    /// Forgets everything, and says whether the batch that failed had relied on it.
    pub(crate) fn forget(&mut self) -> bool {
        self.generations.clear();
        self.doubting = true;
        std::mem::take(&mut self.relied_on)
    }
}
