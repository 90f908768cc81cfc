//! What the domain needs from outside, and nothing more.
//!
//! Each method of a store is one unit of work: all of it becomes durable, or none. Units
//! that are in flight together may share a commit; the caller sees none of that.

pub mod credits;
pub mod deliveries;
pub mod logs;
pub mod mails;
pub mod operator;
pub mod people;
pub mod retention;
pub mod routing;
pub mod tallies;
pub mod teams;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use providers::{OutputFile, OutputFormat};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use crate::account::{Account, Plan};
use crate::activity::By;
use crate::api_key::{ApiKey, Credential, KeyStatus, Rotated, Rotation};
use crate::batch::{
    AcceptRefusal, Advance, AdvanceRefusal, DeleteRefusal, DeliveryTried, EndpointFault, TryOutcome,
};
use crate::generation::{Generation, NewAttempt, NewGeneration};
use crate::id::{AccountId, ApiKeyId, DeliveryId, EndpointId, GenerationId, NodeId};
use crate::idempotency::{Conclusion, Record, RecordKey};
use crate::ledger::LedgerEntry;
use crate::logged_request::LoggedRequest;
use crate::money::Credits;
use crate::operator::{AccountChange, Act};
use crate::usage::{Usage, UsageWindow};
use crate::webhook::endpoint::EnableRefusal;
use crate::webhook::{EventName, TryResult, WebhookDelivery, WebhookEndpoint};

/// Makes ids.
pub trait IdSource: Send + Sync {
    /// A UUIDv7: later ones sort after earlier ones, so rows are appended, not scattered.
    fn next(&self) -> Uuid;
    /// A UUIDv7 that carries this time in its first 48 bits, as milliseconds: what is listed by
    /// id is then listed by that time.
    fn next_at(&self, at: DateTime<Utc>) -> Uuid;
    /// A number uniform in `0.0..1.0`, for spreading waits.
    fn spread(&self) -> f64;
}

/// The store could not do it. Absence and refusals are not errors, they are answers.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row that makes no sense; names it.
    #[error("corrupt row: {0}")]
    Corrupt(String),
    /// Too much is waiting to be written; nothing was.
    #[error("the store is overloaded")]
    Overloaded,
    /// The database failed. Whether the unit became durable is not known.
    #[error("the database failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Generations, with their attempts, credit and announcements.
#[async_trait]
pub trait GenerationStore: Send + Sync {
    /// Writes a new generation, its first attempt and its reservation. The attempt is on
    /// disk before the request can leave.
    async fn accept(
        &self,
        new: NewGeneration,
        first: NewAttempt,
    ) -> Result<Result<Generation, AcceptRefusal>, StoreError>;

    /// Takes facts in, settles the credit and writes webhook deliveries, together. May be
    /// repeated: a repetition finds the generation where the facts are illegal.
    async fn advance(
        &self,
        advance: Advance,
    ) -> Result<Result<Generation, AdvanceRefusal>, StoreError>;

    /// Reads one.
    async fn find(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<Option<Generation>, StoreError>;

    /// A page of an account's generations, newest first. Ids carry the time of acceptance
    /// ([`IdSource::next_at`]), so this is the order of the primary key.
    async fn list(
        &self,
        account_id: AccountId,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Generation>, StoreError>;

    /// How many generations an account has.
    async fn count(&self, account_id: AccountId) -> Result<u64, StoreError>;

    /// Deletes a generation that has ended, once. Its attempts, its ledger entries and its
    /// webhook deliveries stay.
    async fn delete(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<Result<(), DeleteRefusal>, StoreError>;

    /// Takes over every generation in flight, at start: each gets `owner` and a higher epoch.
    /// Answers how many.
    async fn adopt_any_account(&self, owner: NodeId) -> Result<u64, StoreError>;

    /// Generations of `owner` in flight and due before `due_before`, in the order in which
    /// they are due, after the last one of the page before.
    async fn list_due_any_account(
        &self,
        owner: NodeId,
        due_before: DateTime<Utc>,
        after: Option<(DateTime<Utc>, GenerationId)>,
        limit: u32,
    ) -> Result<Vec<Generation>, StoreError>;
}

/// What is remembered under idempotency keys. A record is made by [`GenerationStore::accept`].
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// Reads one.
    async fn find_record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError>;

    /// Notes what a request was answered, or forgets its key. May be repeated.
    async fn conclude(&self, conclusion: Conclusion) -> Result<(), StoreError>;

    /// Removes what has expired, oldest first, and answers how many.
    async fn forget_expired_any_account(
        &self,
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError>;
}

/// Accounts and their credit, as an operator handles them. Rare units, each a transaction.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Writes a new account, whose balance is zero, and its first grant if there is one.
    /// Answers it as it stands then.
    async fn create_account(
        &self,
        account: Account,
        grant: Option<Grant>,
        act: Act,
    ) -> Result<Account, StoreError>;

    /// Writes the very first account with its grant and its key, together, unless there is an
    /// account already. Answers whether it did. Of several processes that do this at once,
    /// one does it.
    async fn create_first_account(
        &self,
        account: Account,
        grant: Grant,
        key: ApiKey,
    ) -> Result<bool, StoreError>;

    /// Whether there is any account.
    async fn has_accounts(&self) -> Result<bool, StoreError>;

    /// Reads one.
    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;

    /// A page of all accounts, oldest first, after the last one of the page before.
    async fn list_accounts(
        &self,
        after: Option<AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError>;

    /// Grants credit once per key, over all accounts. A repetition with the same account and
    /// amount answers the entry that exists.
    async fn grant(
        &self,
        account_id: AccountId,
        grant: Grant,
        act: Act,
    ) -> Result<Result<LedgerEntry, GrantRefusal>, StoreError>;

    /// Changes an account. Answers whether it exists; what is as it was is not written again.
    async fn change_account(
        &self,
        id: AccountId,
        change: AccountChange,
        act: Act,
    ) -> Result<bool, StoreError>;

    /// A page of the account's entries, first to last, after the number `after_seq`. Entries
    /// are only ever appended, so pages read one after another are a history without gaps.
    async fn list_entries(
        &self,
        account_id: AccountId,
        after_seq: i64,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StoreError>;
}

/// Credit to be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// How much.
    pub amount: Credits,
    /// Makes it happen once.
    pub key: String,
    /// For people.
    pub description: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Why credit was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantRefusal {
    /// No such account.
    #[error("no such account")]
    UnknownAccount,
    /// The key was used for another account or amount.
    #[error("the key was already used for another account or amount")]
    KeyConflict,
    /// The balance would exceed its maximum.
    #[error("the balance would exceed 9999999.999")]
    TooLarge,
}

/// API keys.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Writes a new key, up to `keys_max` of the account that are not revoked or expired.
    async fn create_key(
        &self,
        key: ApiKey,
        keys_max: u32,
        by: By,
    ) -> Result<Result<(), KeyRefusal>, StoreError>;

    /// Every key with this prefix: several may share one.
    async fn list_keys_by_prefix_any_account(
        &self,
        prefix: &str,
    ) -> Result<Vec<Credential>, StoreError>;

    /// Reads one.
    async fn find_key_any_account(&self, id: ApiKeyId) -> Result<Option<Credential>, StoreError>;

    /// Every key of an account, newest first.
    async fn list_keys(&self, account_id: AccountId) -> Result<Vec<ApiKey>, StoreError>;

    /// Replaces an active key ([`ApiKey::rotate`]) and writes both.
    async fn rotate_key(
        &self,
        account_id: AccountId,
        id: ApiKeyId,
        rotation: Rotation,
        by: By,
    ) -> Result<Result<Rotated, KeyRefusal>, StoreError>;

    /// Disables a key for good. Answers whether it existed; repeating it changes nothing.
    async fn revoke_key(
        &self,
        account_id: AccountId,
        id: ApiKeyId,
        by: By,
    ) -> Result<bool, StoreError>;

    /// Sets what a key may spend in a month, or lifts that. What it was charged in this month
    /// counts already. Answers whether it existed.
    async fn limit_key(
        &self,
        account_id: AccountId,
        id: ApiKeyId,
        limit: Option<Credits>,
    ) -> Result<bool, StoreError>;

    /// Removes a key. Answers whether it existed.
    async fn delete_key(
        &self,
        account_id: AccountId,
        id: ApiKeyId,
        by: By,
    ) -> Result<bool, StoreError>;

    /// Notes when keys were last used; an older time than the noted one changes nothing.
    async fn touch_keys(&self, used: Vec<(ApiKeyId, DateTime<Utc>)>) -> Result<(), StoreError>;
}

/// Why a key was not made or replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// No such account.
    #[error("no such account")]
    UnknownAccount,
    /// No such key.
    #[error("no such key")]
    UnknownKey,
    /// Only active keys can be rotated.
    #[error("only an active key can be rotated, this one is {}", .0.as_str())]
    NotActive(KeyStatus),
    /// The account has as many keys as it may.
    #[error("the account already has {0} keys")]
    TooMany(u32),
}

/// The log of authenticated requests, and what it adds up to.
#[async_trait]
pub trait RequestLogStore: Send + Sync {
    /// Writes requests, and counts them into their days, together. A request whose key has been
    /// deleted is only counted. May be repeated with the same requests: they are counted once.
    async fn log_requests(&self, requests: Vec<LoggedRequest>) -> Result<(), StoreError>;

    /// Removes up to `limit` requests that are older than their account's plan keeps them, and
    /// answers how many. Their days stay counted.
    async fn forget_requests_any_account(
        &self,
        plan: Plan,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// What an account has used since the window's first day.
    async fn usage(&self, account_id: AccountId, window: UsageWindow) -> Result<Usage, StoreError>;
}

/// Webhook endpoints, as an operator handles them.
#[async_trait]
pub trait EndpointStore: Send + Sync {
    /// Writes a new endpoint, up to `endpoints_max` of the account.
    async fn create_endpoint(
        &self,
        endpoint: WebhookEndpoint,
        endpoints_max: u32,
        by: By,
    ) -> Result<Result<(), EndpointRefusal>, StoreError>;

    /// Every endpoint of an account, newest first.
    async fn list_endpoints(
        &self,
        account_id: AccountId,
    ) -> Result<Vec<WebhookEndpoint>, StoreError>;

    /// Enables one again ([`EndpointState::enable`](crate::webhook::endpoint::EndpointState)), at
    /// once when `force` is set. The oldest of what is queued becomes the probe.
    async fn enable_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
        enabling: Enabling,
        by: By,
    ) -> Result<Result<(), EndpointRefusal>, StoreError>;

    /// Disables one for its owner; what is pending is queued. Answers whether it existed.
    async fn disable_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
        by: By,
    ) -> Result<bool, StoreError>;

    /// Changes what one is told. Answers whether it existed.
    async fn edit_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
        events: &[EventName],
        by: By,
    ) -> Result<bool, StoreError>;

    /// Replaces the secret; the one before signs too until then, if there is such a time.
    /// Answers whether the endpoint existed.
    async fn rotate_endpoint_secret(
        &self,
        account_id: AccountId,
        id: EndpointId,
        secret: SecretString,
        previous_until: Option<DateTime<Utc>>,
        by: By,
    ) -> Result<bool, StoreError>;

    /// Removes one with its deliveries. Answers whether it existed.
    async fn delete_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
        by: By,
    ) -> Result<bool, StoreError>;

    /// Whose endpoint it is: for an operator who has only its id.
    async fn find_endpoint_owner_any_account(
        &self,
        id: EndpointId,
    ) -> Result<Option<AccountId>, StoreError>;
}

/// That an endpoint is to be enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enabling {
    /// When.
    pub at: DateTime<Utc>,
    /// Whether to do it before the cooldown is over.
    pub force: bool,
    /// The id of the probe, if there is something to send.
    pub probe: DeliveryId,
}

/// Why an endpoint was not made or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointRefusal {
    /// No such account.
    #[error("no such account")]
    UnknownAccount,
    /// The account has as many endpoints as it may.
    #[error("the account already has {0} webhook endpoints")]
    TooMany(u32),
    /// No such endpoint in that account.
    #[error("no such webhook endpoint")]
    UnknownEndpoint,
    /// No such delivery at that endpoint.
    #[error("no such delivery")]
    UnknownDelivery,
    /// It is disabled and takes nothing.
    #[error("the endpoint is disabled: enable it first")]
    Disabled,
    /// It is not to be enabled yet.
    #[error(transparent)]
    NotYet(#[from] EnableRefusal),
}

/// Webhook deliveries that wait to be sent.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// Enabled endpoints with a delivery that is due, in the order of their ids, after the last
    /// one of the page before.
    async fn list_due_endpoints_any_account(
        &self,
        now: DateTime<Utc>,
        after: Option<(AccountId, EndpointId)>,
        limit: u32,
    ) -> Result<Vec<(AccountId, EndpointId)>, StoreError>;

    /// Reads an endpoint.
    async fn find_endpoint(
        &self,
        account_id: AccountId,
        id: EndpointId,
    ) -> Result<Option<WebhookEndpoint>, StoreError>;

    /// Pending deliveries of an endpoint that are due before that time, in the order in which
    /// they are, after the last one of the page before.
    async fn list_pending(
        &self,
        account_id: AccountId,
        endpoint_id: EndpointId,
        due_before: DateTime<Utc>,
        after: Option<(DateTime<Utc>, DeliveryId)>,
        limit: u32,
    ) -> Result<Vec<WebhookDelivery>, StoreError>;

    /// Writes the results of tries, and disables the endpoint when one was one too many. For
    /// each, in order, what came of it; `None` when delivery or endpoint are gone.
    async fn record_tries(
        &self,
        account_id: AccountId,
        tried: Vec<DeliveryTried>,
    ) -> Result<Vec<Option<TryOutcome>>, StoreError>;

    /// Disables an endpoint for another reason than its answers, and tells its owner. Answers
    /// whether it was enabled.
    async fn disable(
        &self,
        account_id: AccountId,
        fault: EndpointFault,
    ) -> Result<bool, StoreError>;
}

/// What is waiting, for metrics and readiness.
#[async_trait]
pub trait BacklogStore: Send + Sync {
    /// Counts and oldest times of everything that is in flight or due. What an endpoint has
    /// asked us to wait with is not due.
    async fn backlog(&self, now: DateTime<Utc>) -> Result<Backlog, StoreError>;
}

/// What is waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Generations that no provider has taken.
    pub pending: u64,
    /// Generations that a provider has taken.
    pub processing: u64,
    /// When the generation that is due first is due.
    pub generation_due_at: Option<DateTime<Utc>>,
    /// When the delivery of an enabled endpoint that is due first is due.
    pub delivery_due_at: Option<DateTime<Utc>>,
}

/// Is told of deliveries that have just become durable, so that they leave at once. A hint:
/// the rows are the fact, and are found by asking too.
pub trait DeliveryListener: Send + Sync {
    /// Called after the commit, in its order; must not block.
    fn committed(&self, deliveries: Vec<WebhookDelivery>);
}

/// Is told of generations that have just changed or are gone, so that who watches one looks at
/// once. A hint: the rows are the fact, and are looked at without hints too.
pub trait GenerationListener: Send + Sync {
    /// Called after the commit and before those who wrote are answered; must not block. The
    /// ids are only made when they are asked for.
    fn changed(&self, ids: &mut dyn Iterator<Item = (AccountId, GenerationId)>);
}

/// Where outputs are kept.
#[async_trait]
pub trait OutputStore: Send + Sync {
    /// Takes over a provider's file: fetches it if it is elsewhere, checks what it is, brings it
    /// into `format` and stores it durably under `key`, replacing what is there. Answers its length.
    /// May be repeated.
    async fn take_over(
        &self,
        key: &str,
        file: &OutputFile,
        format: OutputFormat,
    ) -> Result<u64, TakeOverError>;

    /// The folder of a generation's outputs, always the same for the same id, so that storing
    /// twice leaves nothing behind.
    fn folder(&self, account_id: AccountId, id: GenerationId) -> String;
    /// Removes everything in a folder; repeating it removes what is left. Answers how many
    /// files it has removed.
    async fn remove(&self, folder: &str) -> Result<u64, StoreError>;
}

/// Why a provider's file was not taken over. The texts are shown to the owner of a generation.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// It is not a file that we take, or nobody has it any more: asking again cannot help.
    #[error("{0}")]
    Refused(String),
    /// It could not be fetched now.
    #[error("{0}")]
    Unavailable(String),
    /// Our store does not take it, a moment later either.
    #[error("{0}")]
    Unstorable(String),
    /// It could not be stored now.
    #[error("the output could not be stored")]
    Store(#[from] StoreError),
}

/// Sends a webhook to a customer.
#[async_trait]
pub trait WebhookSender: Send + Sync {
    /// One try. Never an error: whatever happens is a reply.
    async fn post(&self, url: &Url, headers: Vec<(&'static str, String)>, body: Bytes) -> Reply;
}

/// What came of one HTTP try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// Why there was none, or why it was not taken.
    pub error: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// The beginning of the answer's body.
    pub excerpt: Option<String>,
    /// How long the endpoint asks us to wait.
    pub retry_after: Option<Duration>,
}

/// Gives the URL under which a provider may call us about an attempt; `None` when this
/// provider cannot reach us.
pub trait CallbackUrls: Send + Sync {
    /// The URL, with an unguessable token of its own for every attempt.
    fn url(&self, generation: &Generation, attempt: u32) -> Option<Url>;
}

impl Reply {
    /// As the result of a try that ended then.
    pub fn into_result(self, at: DateTime<Utc>) -> TryResult {
        let Self { status, error, took, excerpt, retry_after } = self;
        TryResult { status, error, at, took, excerpt, retry_after }
    }
}
