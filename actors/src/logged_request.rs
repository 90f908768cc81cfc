//! What is kept of an authenticated request, and what a day of them comes to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::api_key::{ApiKey, KeyStatus};
use crate::id::{AccountId, ApiKeyId};

/// One authenticated request (`spec/contract.md` 4.8): neither bodies, nor the key, nor the
/// address itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Its id, in the order of time.
    pub id: Uuid,
    /// With which key, and so for which account.
    pub key: Arc<ApiKey>,
    /// The status of the key at that time.
    pub key_status: KeyStatus,
    /// The HTTP method.
    pub method: String,
    /// The route, without what differs from call to call.
    pub endpoint: String,
    /// Parameters of the query that the API knows.
    pub query: Option<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// `BSE####`, when it is an error.
    pub code: Option<&'static str>,
    /// Whether a stored answer was sent again.
    pub replayed: bool,
    /// A keyed hash of the client's address.
    pub ip_hash: String,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// When it came.
    pub at: DateTime<Utc>,
    /// How long the answer took.
    pub took: Duration,
}

/// How a request ended, by the first digit of its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusClass {
    /// 2xx.
    Success,
    /// 3xx: the client has it already.
    Redirect,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
}

impl StatusClass {
    /// Every class.
    pub const ALL: [Self; 4] =
        [Self::Success, Self::Redirect, Self::ClientError, Self::ServerError];

    /// The class of a status.
    pub fn of(status: u16) -> Self {
        match status {
            ..300 => Self::Success,
            300..400 => Self::Redirect,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }

    /// The text on pages, in addresses and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Redirect => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
        }
    }

    /// Reads that text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// A request as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    /// Its id, in the order of time.
    pub id: Uuid,
    /// With which key.
    pub key_id: ApiKeyId,
    /// What the key was called.
    pub key_name: String,
    /// How the key begins.
    pub key_prefix: String,
    /// The status of the key at that time.
    pub key_status: KeyStatus,
    /// The HTTP method.
    pub method: String,
    /// The route.
    pub endpoint: String,
    /// Parameters of the query.
    pub query: Option<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// `BSE####`, when it is an error.
    pub code: Option<String>,
    /// Whether a stored answer was sent again.
    pub replayed: bool,
    /// A keyed hash of the client's address.
    pub ip_hash: String,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// When it came.
    pub at: DateTime<Utc>,
}

/// What is counted together: requests of an account at an endpoint, on a day of UTC, that ended
/// with the same code or with none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayKey {
    /// The tenant.
    pub account_id: AccountId,
    /// The day, in UTC.
    pub day: NaiveDate,
    /// The route.
    pub endpoint: String,
    /// `BSE####`, or absent.
    pub code: Option<&'static str>,
}

/// Requests by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Below 400: 2xx, and 304, which confirms what the client has.
    pub successes: u64,
    /// 4xx.
    pub client_errors: u64,
    /// 5xx.
    pub server_errors: u64,
}

impl RequestCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.successes + self.client_errors + self.server_errors
    }

    /// Counts one that ended with this status.
    pub fn count(&mut self, status: u16) {
        match status {
            ..400 => self.successes += 1,
            400..500 => self.client_errors += 1,
            500.. => self.server_errors += 1,
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.successes += other.successes;
        self.client_errors += other.client_errors;
        self.server_errors += other.server_errors;
    }
}

/// What requests add to their days, in one order everywhere.
pub fn by_day(requests: &[LoggedRequest]) -> BTreeMap<DayKey, RequestCounts> {
    let mut days = BTreeMap::<DayKey, RequestCounts>::new();
    for request in requests {
        let key = DayKey {
            account_id: request.key.account_id,
            day: request.at.date_naive(),
            endpoint: request.endpoint.clone(),
            code: request.code,
        };
        days.entry(key).or_default().count(request.status);
    }
    days
}
