//! How many files may be in memory at once, and how many of one account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use actors::id::AccountId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Accounts remembered before those are forgotten that wait for nothing.
const ACCOUNTS_MAX: usize = 1024;

/// Without a bound per account, one customer whose files come slowly would take all the room,
/// and nobody else could use an input file.
pub(super) struct Room {
    all: Arc<Semaphore>,
    per_account: usize,
    accounts: Mutex<HashMap<AccountId, Weak<Semaphore>>>,
}

/// The right to have one file in memory, until it is dropped.
pub(super) struct Place {
    _account: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(all: usize, per_account: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), per_account, accounts: Mutex::default() }
    }

    /// Waits for a place; first come, first served.
    pub(super) async fn take(&self, account_id: AccountId) -> Place {
        const OPEN: &str = "the semaphore is never closed";
        // The account's first: who waits for its own others holds nothing that others want.
        let account = self.account(account_id).acquire_owned().await.expect(OPEN);
        let all = Arc::clone(&self.all).acquire_owned().await.expect(OPEN);
        Place { _account: account, _all: all }
    }

    /// Alive as long as somebody waits for it or holds a place of it.
    fn account(&self, id: AccountId) -> Arc<Semaphore> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = accounts.get(&id).and_then(Weak::upgrade) {
            return known;
        }
        if accounts.len() >= ACCOUNTS_MAX {
            accounts.retain(|_, account| account.strong_count() > 0);
        }
        let new = Arc::new(Semaphore::new(self.per_account));
        accounts.insert(id, Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn account(number: u128) -> AccountId {
        AccountId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn an_account_that_takes_its_share_leaves_room_for_others() {
        let room = Room::new(3, 2);
        let first = room.take(account(1)).await;
        let _second = room.take(account(1)).await;
        assert!(room.take(account(1)).now_or_never().is_none(), "its share is taken");
        let _other = room.take(account(2)).now_or_never().expect("there is room for another");
        assert!(room.take(account(3)).now_or_never().is_none(), "all is taken");
        drop(first);
        assert!(room.take(account(3)).now_or_never().is_some());
        assert!(room.take(account(1)).now_or_never().is_some());
    }

    #[tokio::test]
    async fn accounts_that_wait_for_nothing_are_forgotten() {
        let room = Room::new(10, 1);
        let _kept = room.take(account(0)).await;
        for number in 1..5000 {
            drop(room.take(account(number)).await);
        }
        assert!(room.accounts.lock().unwrap().len() <= ACCOUNTS_MAX);
        assert!(room.take(account(0)).now_or_never().is_none(), "its place is remembered");
    }
}
