//! A server with a fake engine, store and clock, and a client for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use actors::account::{Account, Plan};
use actors::api_key::ApiKey;
use actors::batch::{AcceptRefusal, Advance, AdvanceRefusal, DeleteRefusal};
use actors::engine::deletion::DeleteError;
use actors::engine::{CallbackRefusal, CallbackTarget, CancelError, Cancellation, SubmitError};
use actors::generation::{Generation, NewAttempt, NewGeneration};
use actors::id::{AccountId, GenerationId, NodeId};
use actors::idempotency::{Conclusion, Record, RecordKey};
use actors::ledger::LedgerEntry;
use actors::logged_request::LoggedRequest;
use actors::money::Credits;
use actors::offering::{Offering, Service};
use actors::operator::{AccountChange, Act};
use actors::ports::{
    AccountStore, CallbackUrls, GenerationListener, GenerationStore, Grant, GrantRefusal,
    IdempotencyStore, RequestLogStore, StoreError,
};
use actors::router::Router;
use actors::usage::{Usage, UsageWindow};
use actors::watchers::Watchers;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use prometheus_client::registry::Registry;
use providers::RawCallback;
use providers::clock::Clock;
use providers::name::ProviderName;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use super::super::{
    AppState, BodyLimits, Document, Generating, Idempotency, Readiness, StreamLimits, Streams, app,
};
use crate::address_guard::Policy;
use crate::auth::Auth;
use crate::auth::fakes::{FakeKeys, ManualClock, auth, bearer_of, config, plain, purpose_key, row};
use crate::callback_urls::SignedCallbackUrls;
use crate::catalogue_file::{Sources, load};
use crate::http::samples;
use crate::ids::SystemIds;
use crate::input_files::InputFiles;
use crate::metrics::{Metrics, RequestLogMetrics};
use crate::rate_limit::Standings;
use crate::request_log::{RequestLog, RequestLogParts};
use crate::secrets::Purpose;
use crate::storage_probe::StorageProbe;

type Submit = dyn Fn(NewGeneration) -> Result<Generation, SubmitError> + Send + Sync;
type Cancel = dyn Fn() -> Result<Cancellation, CancelError> + Send + Sync;
type Delete = dyn Fn(AccountId, GenerationId) -> Result<u64, DeleteError> + Send + Sync;
type CallBack = dyn Fn(&[u8]) -> Result<(), CallbackRefusal> + Send + Sync;

/// Says what a test tells it to say.
#[derive(Default)]
pub(super) struct FakeEngine {
    submit: Mutex<Option<Arc<Submit>>>,
    cancel: Mutex<Option<Arc<Cancel>>>,
    delete: Mutex<Option<Arc<Delete>>>,
    call_back: Mutex<Option<Arc<CallBack>>>,
}

impl FakeEngine {
    pub(super) fn submits(
        &self,
        submit: impl Fn(NewGeneration) -> Result<Generation, SubmitError> + Send + Sync + 'static,
    ) {
        *self.submit.lock().unwrap() = Some(Arc::new(submit));
    }

    pub(super) fn cancels(
        &self,
        cancel: impl Fn() -> Result<Cancellation, CancelError> + Send + Sync + 'static,
    ) {
        *self.cancel.lock().unwrap() = Some(Arc::new(cancel));
    }

    pub(super) fn deletes(
        &self,
        delete: impl Fn(AccountId, GenerationId) -> Result<u64, DeleteError> + Send + Sync + 'static,
    ) {
        *self.delete.lock().unwrap() = Some(Arc::new(delete));
    }

    /// Answers where the last body will be.
    pub(super) fn calls_back(
        &self,
        answer: impl Fn() -> Result<(), CallbackRefusal> + Send + Sync + 'static,
    ) -> Arc<Mutex<Vec<u8>>> {
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let body = Arc::clone(&seen);
        let call_back = move |bytes: &[u8]| {
            *body.lock().unwrap() = bytes.to_vec();
            answer()
        };
        *self.call_back.lock().unwrap() = Some(Arc::new(call_back));
        seen
    }
}

/// What a test has set; cloned out, so that a panic in it poisons nothing.
fn set<T: ?Sized>(slot: &Mutex<Option<Arc<T>>>) -> Arc<T> {
    slot.lock().unwrap().clone().expect("the test does not expect this call")
}

#[async_trait(?Send)]
impl Generating for FakeEngine {
    async fn submit(&self, new: NewGeneration) -> Result<Generation, SubmitError> {
        set(&self.submit)(new)
    }

    async fn cancel(&self, _: AccountId, _: GenerationId) -> Result<Cancellation, CancelError> {
        set(&self.cancel)()
    }

    async fn delete(&self, account_id: AccountId, id: GenerationId) -> Result<u64, DeleteError> {
        set(&self.delete)(account_id, id)
    }

    async fn call_back(
        &self,
        target: CallbackTarget,
        callback: RawCallback<'_>,
    ) -> Result<(), CallbackRefusal> {
        assert_eq!(target.generation_id, samples::GENERATION);
        assert!(callback.headers.iter().any(|(name, _)| name == "host"));
        set(&self.call_back)(callback.body)
    }
}

/// Holds one generation.
struct FakeGenerations(Arc<Mutex<Option<Generation>>>);

#[async_trait]
impl GenerationStore for FakeGenerations {
    async fn find(
        &self,
        account_id: AccountId,
        id: GenerationId,
    ) -> Result<Option<Generation>, StoreError> {
        let found = self.0.lock().unwrap().clone();
        Ok(found.filter(|found| found.account_id == account_id && found.id == id))
    }

    async fn list(
        &self,
        account_id: AccountId,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<Generation>, StoreError> {
        let found = self.0.lock().unwrap().clone().into_iter();
        let owned = found.filter(|found| found.account_id == account_id);
        Ok(owned.skip(offset as usize).take(limit as usize).collect())
    }

    async fn count(&self, account_id: AccountId) -> Result<u64, StoreError> {
        Ok(self.list(account_id, 0, u32::MAX).await?.len() as u64)
    }

    async fn delete(
        &self,
        _: AccountId,
        _: GenerationId,
    ) -> Result<Result<(), DeleteRefusal>, StoreError> {
        unreachable!("the engine deletes")
    }

    async fn accept(
        &self,
        _: NewGeneration,
        _: NewAttempt,
    ) -> Result<Result<Generation, AcceptRefusal>, StoreError> {
        unreachable!("the engine accepts")
    }

    async fn advance(&self, _: Advance) -> Result<Result<Generation, AdvanceRefusal>, StoreError> {
        unreachable!("the engine advances")
    }

    async fn adopt_any_account(&self, _: NodeId) -> Result<u64, StoreError> {
        unreachable!("the engine adopts")
    }

    async fn list_due_any_account(
        &self,
        _: NodeId,
        _: DateTime<Utc>,
        _: Option<(DateTime<Utc>, GenerationId)>,
        _: u32,
    ) -> Result<Vec<Generation>, StoreError> {
        unreachable!("the engine looks for work")
    }
}

/// Whoever asks is the first.
struct NothingRemembered;

#[async_trait]
impl IdempotencyStore for NothingRemembered {
    async fn find_record(&self, _: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }

    async fn conclude(&self, _: Conclusion) -> Result<(), StoreError> {
        Ok(())
    }

    async fn forget_expired_any_account(
        &self,
        _: DateTime<Utc>,
        _: u32,
    ) -> Result<u64, StoreError> {
        unreachable!("nobody cleans up here")
    }
}

/// Has one account, whose balance a test may set; `None` when it cannot be read.
pub(super) struct FakeAccounts(Mutex<Option<Credits>>);

impl Default for FakeAccounts {
    fn default() -> Self {
        Self(Mutex::new(Some(samples::account().balance)))
    }
}

impl FakeAccounts {
    pub(super) fn set_balance(&self, balance: Option<&str>) {
        *self.0.lock().unwrap() = balance.map(|text| Credits::parse(text).unwrap());
    }
}

#[async_trait]
impl AccountStore for FakeAccounts {
    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let balance = self.0.lock().unwrap().ok_or(StoreError::Overloaded)?;
        let account = Account { balance, ..samples::account() };
        Ok(Some(account).filter(|account| account.id == id))
    }

    async fn create_account(
        &self,
        _: Account,
        _: Option<Grant>,
        _: Act,
    ) -> Result<Account, StoreError> {
        unreachable!("the API makes no accounts")
    }

    async fn create_first_account(
        &self,
        _: Account,
        _: Grant,
        _: ApiKey,
    ) -> Result<bool, StoreError> {
        unreachable!("the API makes no accounts")
    }

    async fn has_accounts(&self) -> Result<bool, StoreError> {
        unreachable!("the API does not count accounts")
    }

    async fn list_accounts(
        &self,
        _: Option<AccountId>,
        _: u32,
    ) -> Result<Vec<Account>, StoreError> {
        unreachable!("the API lists no accounts")
    }

    async fn grant(
        &self,
        _: AccountId,
        _: Grant,
        _: Act,
    ) -> Result<Result<LedgerEntry, GrantRefusal>, StoreError> {
        unreachable!("the API grants nothing")
    }

    async fn change_account(
        &self,
        _: AccountId,
        _: AccountChange,
        _: Act,
    ) -> Result<bool, StoreError> {
        unreachable!("the API changes no accounts")
    }

    async fn list_entries(
        &self,
        _: AccountId,
        _: i64,
        _: u32,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        unreachable!("the API lists no entries")
    }
}

/// Keeps what is logged, and has one day's usage.
#[derive(Default)]
struct FakeRequests(Mutex<Vec<LoggedRequest>>);

#[async_trait]
impl RequestLogStore for FakeRequests {
    async fn log_requests(&self, requests: Vec<LoggedRequest>) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend(requests);
        Ok(())
    }

    async fn forget_requests_any_account(
        &self,
        _: Plan,
        _: DateTime<Utc>,
        _: u32,
    ) -> Result<u64, StoreError> {
        unreachable!("the API forgets nothing")
    }

    async fn usage(&self, _: AccountId, window: UsageWindow) -> Result<Usage, StoreError> {
        assert_eq!(window.from.to_string(), "2026-05-27", "seven days up to the clock's");
        Ok(samples::usage())
    }
}

struct FakeReadiness(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Readiness for FakeReadiness {
    async fn problems(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub(super) struct Server {
    pub(super) accounts: Arc<FakeAccounts>,
    pub(super) offering: Arc<Offering>,
    pub(super) engine: Arc<FakeEngine>,
    pub(super) keys: Arc<FakeKeys>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) problems: Arc<Mutex<Vec<String>>>,
    pub(super) router: Arc<Router>,
    /// The one generation that there is: at first it has succeeded.
    pub(super) generation: Arc<Mutex<Option<Generation>>>,
    pub(super) watchers: Watchers,
    /// The header of a key with every scope.
    pub(super) bearer: String,
    requests: Arc<FakeRequests>,
    log: RequestLog,
    auth: Arc<Auth>,
    callbacks: Arc<SignedCallbackUrls>,
    outputs: Arc<InMemory>,
    address: SocketAddr,
    handle: ServerHandle,
}

impl Server {
    /// With the sandbox behind every provider's name.
    pub(super) async fn start() -> Self {
        let services = ProviderName::ALL.map(|name| (name, Service::Simulated));
        Self::start_with(services.into()).await
    }

    pub(super) async fn start_with(services: BTreeMap<ProviderName, Service>) -> Self {
        let (keys, clock) = (Arc::<FakeKeys>::default(), ManualClock::new());
        let mut key = row(&plain(1));
        key.account_id = samples::ACCOUNT;
        keys.rows.lock().unwrap().push(key);
        let auth = Arc::new(auth(&keys, &clock, &config()));
        let shared = Arc::clone(&auth);
        let (engine, problems) = (Arc::<FakeEngine>::default(), Arc::<Mutex<_>>::default());
        let outputs = Arc::new(InMemory::new());
        let generation = Arc::new(Mutex::new(Some(samples::succeeded())));
        let watchers = Watchers::default();
        let base = Url::parse("https://files.example.net").unwrap();
        let token_key = purpose_key(Purpose::CallbackTokens);
        let callbacks = Arc::new(SignedCallbackUrls::new(base.clone(), Some(base), token_key));
        let requests = Arc::<FakeRequests>::default();
        let (request_log, write_log) = RequestLog::new(RequestLogParts {
            store: Arc::clone(&requests) as _,
            ids: Arc::new(SystemIds),
            ip_key: purpose_key(Purpose::IpHash),
            queue_max: 100,
            metrics: RequestLogMetrics::default(),
        });
        actix_web::rt::spawn(write_log);
        let log = request_log.clone();
        let accounts = Arc::<FakeAccounts>::default();
        let sources = Sources { sandbox: true, ..Sources::default() };
        let catalogue = Arc::new(load(sources).unwrap());
        let offering = Arc::new(Offering::new(Arc::clone(&catalogue), services, false));
        let router = Arc::new(Router::new(&catalogue, config().routing.rules));
        let state = Arc::new(AppState {
            document: Document::of(&offering),
            engine: Arc::clone(&engine) as Arc<dyn Generating>,
            generations: Arc::new(FakeGenerations(Arc::clone(&generation))),
            idempotency: Idempotency {
                store: Arc::new(NothingRemembered),
                answer_within: TimeDelta::seconds(20),
            },
            accounts: Arc::clone(&accounts) as Arc<dyn AccountStore>,
            requests: Arc::clone(&requests) as _,
            request_log,
            offering: Arc::clone(&offering),
            catalogue,
            clock: Arc::clone(&clock) as _,
            ids: Arc::new(SystemIds),
            callbacks: Arc::clone(&callbacks),
            files: samples::file_urls(),
            outputs: Arc::clone(&outputs) as Arc<dyn ObjectStore>,
            router: Arc::clone(&router),
            configured_providers: [ProviderName::SandboxInline, ProviderName::SandboxPolling]
                .into(),
            storage_probe: StorageProbe::new(Arc::clone(&outputs) as _, uuid::Uuid::nil()),
            readiness: Arc::new(FakeReadiness(Arc::clone(&problems))),
            metrics: Metrics::register(&mut Registry::default()),
            body: BodyLimits { bytes_max: 102_400, timeout: Duration::from_millis(300) },
            input_files: InputFiles::new(&config().input_files, Policy::FILE).unwrap(),
            moderation: crate::moderation::Moderation::new(None).unwrap(),
            watchers: watchers.clone(),
            streams: Streams::new(StreamLimits {
                streams_max: 3,
                streams_max_per_account: 2,
                heartbeat: Duration::from_millis(20),
            }),
        });
        let server = HttpServer::new(move || app(Arc::clone(&state), Arc::clone(&auth)))
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let bearer = bearer_of(&plain(1));
        Self {
            accounts,
            offering,
            engine,
            keys,
            clock,
            problems,
            router,
            generation,
            watchers,
            bearer,
            requests,
            log,
            auth: shared,
            callbacks,
            outputs,
            address,
            handle,
        }
    }

    /// How its account stands.
    pub(super) fn standings(&self) -> Standings {
        self.auth.limits().standings(samples::ACCOUNT, Plan::Enterprise, self.clock.now())
    }

    /// Everything that was logged; nothing is afterwards.
    pub(super) async fn logged(&self) -> Vec<LoggedRequest> {
        self.log.finish().await;
        std::mem::take(&mut self.requests.0.lock().unwrap())
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, Some(&self.bearer), b"").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, Some(&self.bearer), body.to_string().as_bytes()).await
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Reply {
        let authorization = authorization.map(|value| ("Authorization", value));
        self.exchange(method, path, authorization.as_slice(), body).await
    }

    pub(super) async fn get_range(&self, path: &str, range: &str) -> Reply {
        self.exchange("GET", path, &[("Range", range)], b"").await
    }

    pub(super) async fn preflight(&self, path: &str) -> Reply {
        let asks = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST")];
        self.exchange("OPTIONS", path, &asks, b"").await
    }

    /// What happens next to the one generation; `None` is its deletion. Whoever watches is told.
    pub(super) fn becomes(&self, generation: Option<Generation>) {
        *self.generation.lock().unwrap() = generation;
        self.watchers.changed(&mut [(samples::ACCOUNT, samples::GENERATION)].into_iter());
    }

    /// Asks for something that goes on, and leaves the connection open.
    pub(super) async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Open {
        let mut request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n", self.bearer);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("Connection: close\r\n\r\n");
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        Open { stream, text: String::new() }
    }

    /// Sends text as it is, and reads until the server closes.
    pub(super) async fn raw(&self, request: &str) -> (u16, String) {
        let answer = self.stream(request.as_bytes()).await;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.get(9..12).and_then(|status| status.parse().ok());
        (status.unwrap_or_default(), text)
    }

    /// The path of a callback for `samples::processing`.
    pub(super) fn callback_path(&self) -> String {
        self.callbacks.url(&samples::processing(), 1).unwrap().path().to_owned()
    }

    pub(super) async fn store_file(&self, key: &str, bytes: &'static [u8]) {
        self.outputs.put(&Path::parse(key).unwrap(), bytes.into()).await.unwrap();
    }

    /// One request on a connection of its own: a client library would tidy up what we want to
    /// send, such as `..` in a path.
    pub(super) async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        Reply::read(&self.stream(&[request.as_bytes(), body].concat()).await)
    }

    async fn stream(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(10), read).await.expect("no answer");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// An answer that goes on.
pub(super) struct Open {
    stream: TcpStream,
    pub(super) text: String,
}

impl Open {
    /// Reads until this has come, and gives everything so far.
    pub(super) async fn until(&mut self, text: &str) -> &str {
        while !self.text.contains(text) {
            assert!(self.read().await, "it ended without {text:?}: {}", self.text);
        }
        &self.text
    }

    /// Reads to the end.
    pub(super) async fn end(mut self) -> String {
        while self.read().await {}
        self.text
    }

    async fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer);
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        let read = read.unwrap_or_else(|_| panic!("nothing comes after {}", self.text)).unwrap();
        self.text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        read > 0
    }
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) json: Value,
    pub(super) bytes: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Reply {
    fn read(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("no whole head");
        let head = std::str::from_utf8(&answer[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let bytes = answer[end + 4..].to_vec();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self { status, json, bytes, headers }
    }

    /// The value of a header, empty when it is absent.
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value)
    }
}
