//! What people look through: requests, activity and generations of an account, a page at a time.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::activity::Activity;
use crate::generation::{Generation, Status};
use crate::id::{AccountId, ApiKeyId, GenerationId, first_at};
use crate::logged_request::{RequestLine, StatusClass};
use crate::ports::StoreError;
use crate::ports::deliveries::LoggedDelivery;

/// Where to look. Ids begin with their time, so a time range is a range of ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// The [`Page::next`] of the page before.
    pub after: Option<Uuid>,
    /// The oldest first instead of the newest.
    pub oldest_first: bool,
    /// Only from this time on.
    pub from: Option<DateTime<Utc>>,
    /// Only before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only what has this in one of its texts, or as its id.
    pub text: Option<String>,
}

impl Window {
    /// Every id of the window is between these.
    pub fn bounds(&self) -> (Uuid, Uuid) {
        let from = self.from.map_or(Uuid::nil(), first_at);
        let until = self.until.map_or(Uuid::max(), first_at);
        match self.after {
            None => (from, until),
            Some(after) if self.oldest_first => (from.max(after), until),
            Some(after) => (from, until.min(after)),
        }
    }
}

/// A page, in the order of ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What was found; there may be nothing although there are more pages, since one call looks at
    /// a bounded number of rows.
    pub rows: Vec<T>,
    /// Where the next page begins, when there is one.
    pub next: Option<Uuid>,
}

/// Which requests are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only with this key.
    pub key: Option<ApiKeyId>,
    /// Only those that ended like this.
    pub class: Option<StatusClass>,
}

/// Which generations are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GenerationFilter {
    /// Only in this state.
    pub status: Option<Status>,
    /// Only of this model.
    pub model: Option<String>,
    /// Only those that this key asked for.
    pub key: Option<ApiKeyId>,
}

/// Looking through what happened in an account.
#[async_trait]
pub trait LogStore: Send + Sync {
    /// A page of the log of requests.
    async fn search_requests(
        &self,
        account_id: AccountId,
        window: &Window,
        filter: &RequestFilter,
        limit: u32,
    ) -> Result<Page<RequestLine>, StoreError>;

    /// A page of what people did; `category` is one of [`Activity::category`].
    async fn search_activities(
        &self,
        account_id: AccountId,
        window: &Window,
        category: Option<&str>,
        limit: u32,
    ) -> Result<Page<Activity>, StoreError>;

    /// A page of the generations.
    async fn search_generations(
        &self,
        account_id: AccountId,
        window: &Window,
        filter: &GenerationFilter,
        limit: u32,
    ) -> Result<Page<Generation>, StoreError>;

    /// The newest generations and how each stands: what is another when a list of them is.
    async fn newest_generations(
        &self,
        account_id: AccountId,
        limit: u32,
    ) -> Result<Vec<(GenerationId, String)>, StoreError>;

    /// What endpoints were sent about one generation, oldest first, up to `limit`.
    async fn generation_deliveries(
        &self,
        account_id: AccountId,
        id: GenerationId,
        limit: u32,
    ) -> Result<Vec<LoggedDelivery>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_where_the_one_before_it_ended() {
        let id = Uuid::from_u128;
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        let newest = Window { after: Some(id(7)), ..Window::default() };
        assert_eq!(newest.bounds(), (Uuid::nil(), id(7)));
        let oldest = Window { oldest_first: true, ..newest };
        assert_eq!(oldest.bounds(), (id(7), Uuid::max()));
        let day = Window { from: at(100), until: at(200), ..Window::default() };
        assert_eq!(day.bounds(), (id(100_000 << 80), id(200_000 << 80)));
        let beyond = Window { after: Some(Uuid::max()), ..day };
        assert_eq!(beyond.bounds().1, id(200_000 << 80), "a page never leaves its time");
    }
}
