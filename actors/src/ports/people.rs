//! People, the browsers in which they are signed in, and the accounts they belong to.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::id::{SessionId, UserId};
use crate::member::Membership;
use crate::ports::StoreError;
use crate::user::{Session, User};

/// Signed-in browsers. A token is only known by its hash.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Writes a new one, in place of `replaces` if that is one of this person's.
    async fn create_session(
        &self,
        session: Session,
        token_hash: &str,
        replaces: Option<&str>,
    ) -> Result<(), StoreError>;

    /// The session that has not ended at that time, and who it is.
    async fn find_session(
        &self,
        token_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<(Session, User)>, StoreError>;

    /// Notes that it was used.
    async fn touch_session(
        &self,
        user_id: UserId,
        id: SessionId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Those of a person that have not ended, the last used one first.
    async fn list_sessions(
        &self,
        user_id: UserId,
        now: DateTime<Utc>,
    ) -> Result<Vec<Session>, StoreError>;

    /// Ends one. Answers whether it was there.
    async fn end_session(&self, user_id: UserId, id: SessionId) -> Result<bool, StoreError>;

    /// Ends all of a person but this one, and answers how many.
    async fn end_other_sessions(
        &self,
        user_id: UserId,
        keep: Option<SessionId>,
    ) -> Result<u64, StoreError>;

    /// Removes those that ended before that time, or were last used before the other one.
    async fn forget_sessions_any_user(
        &self,
        now: DateTime<Utc>,
        unused_since: DateTime<Utc>,
    ) -> Result<u64, StoreError>;
}

/// Which accounts people belong to.
#[async_trait]
pub trait MembershipStore: Send + Sync {
    /// The accounts of a person: the personal one first, then teams by name.
    async fn list_memberships(&self, user_id: UserId) -> Result<Vec<Membership>, StoreError>;
}
