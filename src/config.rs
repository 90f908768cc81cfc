//! The settings: one struct per concern, read once at the start and passed down as values.
//!
//! `config/default.toml` is compiled in and is the reference of every key. A `--config` file,
//! the environment and the command line change it, in this order. Each key is named exactly
//! once below, with its type and range beside it; what is in a source and not read here is
//! unknown and refused. All problems are reported together, each with where it came from.

mod mail;
mod moderation;
mod outputs;
mod people;
mod providers;
mod proxies;
mod reader;
mod retention;
mod routing;

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actors::account::{Plan, PlanLimits, Plans};
use actors::webhook::DeliveryPolicy;
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;
use url::Url;

pub use self::mail::MailConfig;
pub use self::moderation::{ModerationConfig, OnFailure};
pub use self::outputs::{BucketConfig, OutputsConfig};
pub use self::people::PeopleConfig;
pub use self::providers::ProvidersConfig;
pub use self::proxies::TrustedProxies;
use self::reader::Reader;
pub use self::retention::RetentionConfig;
pub use self::routing::RoutingConfig;

/// Every setting with its default and what it is for.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// A day: longer than anything here should wait.
const DAY_MS: u64 = 24 * HOUR_MS;
const HOUR_MS: u64 = 60 * 60 * 1000;

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: ServerConfig,
    pub operator: OperatorConfig,
    pub storage: StorageConfig,
    pub outputs: OutputsConfig,
    pub writer: WriterConfig,
    pub auth: AuthConfig,
    pub people: PeopleConfig,
    pub mail: MailConfig,
    pub generation: GenerationConfig,
    pub webhooks: WebhooksConfig,
    pub input_files: InputFilesConfig,
    pub routing: RoutingConfig,
    /// Absent: nobody is asked.
    pub moderation: Option<ModerationConfig>,
    pub events: EventsConfig,
    pub sandbox: SandboxConfig,
    pub emulator: EmulatorConfig,
    pub providers: ProvidersConfig,
    pub catalogue: CatalogueConfig,
    pub limits: LimitsConfig,
    pub request_log: RequestLogConfig,
    pub retention: RetentionConfig,
    pub plans: Plans,
    pub secrets: SecretsConfig,
    pub log: LogConfig,
}

#[derive(Debug, Clone)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    /// As configured; [`ServerConfig::public_url`] has the one to use.
    pub configured_public_url: Option<Url>,
    pub workers: usize,
    pub body_limit_bytes: usize,
    pub body_timeout: Duration,
    pub head_timeout: Duration,
    pub keep_alive: Duration,
    pub shutdown_timeout: Duration,
    pub trusted_proxies: TrustedProxies,
    pub region: String,
}

#[derive(Debug, Clone)]
pub struct OperatorConfig {
    /// Absent: turned off.
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// Absolute.
    pub data_dir: PathBuf,
    pub database: Database,
    pub database_connections: u32,
}

/// Which database holds the state.
#[derive(Debug, Clone)]
pub enum Database {
    /// An absolute path.
    Sqlite(PathBuf),
    /// The whole URL, which usually holds a password.
    Postgres(SecretString),
}

#[derive(Debug, Clone)]
pub struct WriterConfig {
    pub batch_max: usize,
    pub queue_max: usize,
}

#[derive(Debug, Clone)]
pub struct AuthConfig {
    pub bcrypt_cost: u32,
    pub bcrypt_threads: usize,
    pub bcrypt_queue_max: usize,
    pub cache_max: usize,
    pub recheck: Duration,
    pub failures_per_minute: u32,
}

#[derive(Debug, Clone)]
pub struct GenerationConfig {
    pub image_attempt_timeout: Duration,
    pub image_timeout: Duration,
    pub video_attempt_timeout: Duration,
    pub video_timeout: Duration,
    pub submit_timeout: Duration,
    pub answer_timeout: Duration,
    pub attempts_max: u32,
    pub restarts_max: u32,
    pub poll_initial: Duration,
    pub poll_max: Duration,
    pub engine_threads: usize,
    pub store_output_bytes_max: u64,
}

#[derive(Debug, Clone)]
pub struct WebhooksConfig {
    pub allow_private_targets: bool,
    pub timeout: Duration,
    /// When to try, and when to give up.
    pub policy: DeliveryPolicy,
    pub proxy_url: Option<Url>,
    pub in_flight_max_per_endpoint: usize,
    pub response_bytes_max: usize,
    pub endpoints_max: u32,
}

#[derive(Debug, Clone)]
pub struct InputFilesConfig {
    pub bytes_max: usize,
    /// Pixels.
    pub side_min: u32,
    /// Pixels.
    pub side_max: u32,
    pub timeout: Duration,
    pub in_flight_max: usize,
    pub in_flight_max_per_account: usize,
    pub decode_threads: usize,
    pub decode_memory_bytes_max: u64,
}

#[derive(Debug, Clone)]
pub struct EventsConfig {
    pub streams_max: usize,
    pub streams_max_per_account: usize,
    pub heartbeat: Duration,
}

#[derive(Debug, Clone)]
pub struct SandboxConfig {
    pub enabled: bool,
    /// Absolute.
    pub submissions_log: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct EmulatorConfig {
    pub enabled: bool,
    /// Absolute.
    pub settings: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct CatalogueConfig {
    /// Absolute.
    pub directory: Option<PathBuf>,
    /// Absolute.
    pub prices: Option<PathBuf>,
    pub allow_placeholder_prices: bool,
}

#[derive(Debug, Clone)]
pub struct LimitsConfig {
    pub keys_max: u32,
}

#[derive(Debug, Clone)]
pub struct RequestLogConfig {
    pub queue_max: usize,
    pub keep_max: Duration,
}

#[derive(Debug, Clone)]
pub struct SecretsConfig {
    /// 64 hexadecimal digits; absent: the file in the data directory.
    pub master_key: Option<SecretString>,
    /// The one before, which what is stored may still be sealed with.
    pub previous_master_key: Option<SecretString>,
}

#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Known to be a filter that the subscriber accepts.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// What the command line says; it wins over everything else.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub listen: Option<String>,
    pub data_dir: Option<String>,
    pub database_url: Option<String>,
}

/// Everything that is wrong with the settings, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<String>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for ConfigProblems {}

impl Config {
    /// Reads the settings from all their sources; the one place that looks at the environment.
    ///
    /// # Errors
    /// All problems of all sources together; a file that cannot be read is reported alone.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigProblems> {
        Self::load_from(file, std::env::vars_os(), overrides)
    }

    fn load_from(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigProblems> {
        let mut reader = Reader::new(file, environment, overrides)?;
        let storage = StorageConfig::read(&mut reader);
        let webhooks = WebhooksConfig::read(&mut reader);
        let config = Self {
            server: ServerConfig::read(&mut reader),
            operator: OperatorConfig::read(&mut reader),
            outputs: OutputsConfig::read(&mut reader, storage.data_dir.join("outputs")),
            storage,
            writer: WriterConfig::read(&mut reader),
            auth: AuthConfig::read(&mut reader),
            people: PeopleConfig::read(&mut reader),
            mail: MailConfig::read(&mut reader),
            generation: GenerationConfig::read(&mut reader),
            moderation: ModerationConfig::read(&mut reader, webhooks.allow_private_targets),
            webhooks,
            input_files: InputFilesConfig::read(&mut reader),
            routing: RoutingConfig::read(&mut reader),
            events: EventsConfig::read(&mut reader),
            sandbox: SandboxConfig {
                enabled: reader.flag("sandbox.enabled"),
                submissions_log: reader.path("sandbox.submissions_log"),
            },
            emulator: EmulatorConfig {
                enabled: reader.flag("emulator.enabled"),
                settings: reader.path("emulator.settings"),
            },
            providers: ProvidersConfig::read(&mut reader),
            catalogue: CatalogueConfig {
                directory: reader.path("catalogue.directory"),
                prices: reader.path("catalogue.prices"),
                allow_placeholder_prices: reader.flag("catalogue.allow_placeholder_prices"),
            },
            limits: LimitsConfig { keys_max: reader.integer("limits.keys_max", 1..=100_000) },
            request_log: RequestLogConfig {
                queue_max: reader.integer("request_log.queue_max", 1..=10_000_000),
                keep_max: reader.millis("request_log.keep_max_ms", 1000..=366 * DAY_MS),
            },
            retention: RetentionConfig::read(&mut reader),
            plans: Plans::new(|plan| plan_limits(&mut reader, plan)),
            secrets: SecretsConfig::read(&mut reader),
            log: LogConfig::read(&mut reader),
        };
        if config.server.listen.port() != 0
            && config.operator.listen.is_some_and(|listen| clash(listen, config.server.listen))
        {
            reader.problem("operator.listen", "must differ from `server.listen`");
        }
        reader.finish()?;
        Ok(config)
    }
}

impl ServerConfig {
    fn read(reader: &mut Reader) -> Self {
        let listen =
            reader.parsed("server.listen", |text| text.parse::<SocketAddr>().ok(), ADDRESS);
        if listen.is_none() {
            reader.problem("server.listen", "is needed");
        }
        let region =
            reader.parsed("server.region", region, "1 to 32 lower-case letters, digits or dashes");
        if region.is_none() {
            reader.problem("server.region", "is needed");
        }
        Self {
            listen: listen.unwrap_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)),
            configured_public_url: reader.parsed(
                "server.public_url",
                origin,
                "https://host or http://host:port, without path, user or query",
            ),
            workers: reader.threads("server.workers"),
            body_limit_bytes: reader.integer("server.body_limit_bytes", 1024..=16 << 20),
            body_timeout: reader.millis("server.body_timeout_ms", 100..=600_000),
            head_timeout: reader.millis("server.head_timeout_ms", 100..=60_000),
            keep_alive: reader.millis("server.keep_alive_ms", 0..=600_000),
            shutdown_timeout: reader.millis("server.shutdown_timeout_ms", 0..=600_000),
            trusted_proxies: TrustedProxies::new(reader.list(
                "server.trusted_proxies",
                proxies::network,
                "addresses or networks such as 10.0.0.0/8",
            )),
            region: region.unwrap_or_default(),
        }
    }

    /// The start of every link to this server, ending in a slash.
    ///
    /// `bound` is the address really listened on: `listen` may ask for port 0, which tests do.
    /// An address that stands for all of this machine's is no address to call, so the loopback
    /// takes its place; whoever is elsewhere has to set `server.public_url`.
    pub fn public_url(&self, bound: SocketAddr) -> Url {
        if let Some(url) = &self.configured_public_url {
            return url.clone();
        }
        let ip = match bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Url::parse(&format!("http://{}/", SocketAddr::new(ip, bound.port())))
            .expect("an address with a port makes a URL")
    }
}

impl OperatorConfig {
    fn read(reader: &mut Reader) -> Self {
        let listen = reader.parsed("operator.listen", |text| text.parse().ok(), ADDRESS);
        Self { listen }
    }
}

impl StorageConfig {
    fn read(reader: &mut Reader) -> Self {
        let data_dir = reader.path("storage.data_dir");
        if data_dir.is_none() {
            reader.problem("storage.data_dir", "is needed");
        }
        let data_dir = data_dir.unwrap_or_default();
        let url = reader.secret("storage.database_url");
        let database = match url.as_ref().map(|url| url.expose_secret()) {
            None => Some(Database::Sqlite(data_dir.join("babysea.db"))),
            Some(text) => Database::parse(text),
        };
        if database.is_none() {
            reader.problem(
                "storage.database_url",
                "must be postgres://user:password@host/database or sqlite:PATH",
            );
        }
        Self {
            database: database.unwrap_or(Database::Sqlite(PathBuf::new())),
            database_connections: reader.integer("storage.database_connections", 1..=1000),
            data_dir,
        }
    }
}

impl Database {
    fn parse(text: &str) -> Option<Self> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Url::parse(text).is_ok().then(|| Self::Postgres(SecretString::from(text)));
        }
        let path = text.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        // A database in memory is not kept, and each connection would see one of its own.
        if path.is_empty() || path.contains(":memory:") || path.contains('?') {
            return None;
        }
        std::path::absolute(path).ok().map(Self::Sqlite)
    }
}

impl WriterConfig {
    fn read(reader: &mut Reader) -> Self {
        let writer = Self {
            batch_max: reader.integer("writer.batch_max", 1..=4096),
            queue_max: reader.integer("writer.queue_max", 1..=1_000_000),
        };
        reader.not_above("writer.batch_max", "writer.queue_max");
        writer
    }
}

impl AuthConfig {
    fn read(reader: &mut Reader) -> Self {
        Self {
            bcrypt_cost: reader.integer("auth.bcrypt_cost", 4..=15),
            bcrypt_threads: reader.threads("auth.bcrypt_threads"),
            bcrypt_queue_max: reader.integer("auth.bcrypt_queue_max", 1..=65_536),
            cache_max: reader.integer("auth.cache_max", 1..=10_000_000),
            recheck: reader.millis("auth.recheck_ms", 10..=1000),
            failures_per_minute: reader.integer("auth.failures_per_minute", 1..=1_000_000),
        }
    }
}

impl GenerationConfig {
    fn read(reader: &mut Reader) -> Self {
        let generation = Self {
            image_attempt_timeout: reader.millis("generation.image_attempt_timeout_ms", 1..=DAY_MS),
            image_timeout: reader.millis("generation.image_timeout_ms", 1..=DAY_MS),
            video_attempt_timeout: reader.millis("generation.video_attempt_timeout_ms", 1..=DAY_MS),
            video_timeout: reader.millis("generation.video_timeout_ms", 1..=DAY_MS),
            submit_timeout: reader.millis("generation.submit_timeout_ms", 1..=DAY_MS),
            answer_timeout: reader.millis("generation.answer_timeout_ms", 1..=DAY_MS),
            attempts_max: reader.integer("generation.attempts_max", 1..=100),
            restarts_max: reader.integer("generation.restarts_max", 0..=100),
            poll_initial: reader.millis("generation.poll_initial_ms", 1..=DAY_MS),
            poll_max: reader.millis("generation.poll_max_ms", 1..=DAY_MS),
            engine_threads: reader.threads("generation.engine_threads"),
            store_output_bytes_max: reader
                .integer("generation.store_output_bytes_max", 1024..=16 << 30),
        };
        for (shorter, longer) in [
            ("generation.image_attempt_timeout_ms", "generation.image_timeout_ms"),
            ("generation.video_attempt_timeout_ms", "generation.video_timeout_ms"),
            ("generation.submit_timeout_ms", "generation.image_attempt_timeout_ms"),
            ("generation.submit_timeout_ms", "generation.video_attempt_timeout_ms"),
            ("generation.poll_initial_ms", "generation.poll_max_ms"),
        ] {
            reader.not_above(shorter, longer);
        }
        generation
    }
}

impl WebhooksConfig {
    fn read(reader: &mut Reader) -> Self {
        Self {
            allow_private_targets: reader.flag("webhooks.allow_private_targets"),
            timeout: reader.millis("webhooks.timeout_ms", 1..=60_000),
            policy: delivery_policy(reader),
            proxy_url: reader.parsed("webhooks.proxy_url", origin, "http://host:port"),
            in_flight_max_per_endpoint: reader
                .integer("webhooks.in_flight_max_per_endpoint", 1..=1000),
            response_bytes_max: reader.integer("webhooks.response_bytes_max", 1024..=1 << 20),
            endpoints_max: reader.integer("webhooks.endpoints_max", 1..=1000),
        }
    }
}

impl InputFilesConfig {
    fn read(reader: &mut Reader) -> Self {
        let input_files = Self {
            bytes_max: reader.integer("input_files.bytes_max", 1024..=1 << 30),
            side_min: reader.integer("input_files.side_min", 1..=65_535),
            side_max: reader.integer("input_files.side_max", 1..=65_535),
            timeout: reader.millis("input_files.timeout_ms", 100..=600_000),
            in_flight_max: reader.integer("input_files.in_flight_max", 1..=10_000),
            in_flight_max_per_account: reader
                .integer("input_files.in_flight_max_per_account", 1..=10_000),
            decode_threads: reader.threads("input_files.decode_threads"),
            decode_memory_bytes_max: reader
                .integer("input_files.decode_memory_bytes_max", 1 << 20..=1 << 40),
        };
        for (smaller, larger) in [
            ("input_files.side_min", "input_files.side_max"),
            ("input_files.in_flight_max_per_account", "input_files.in_flight_max"),
        ] {
            reader.not_above(smaller, larger);
        }
        input_files
    }
}

impl EventsConfig {
    fn read(reader: &mut Reader) -> Self {
        Self {
            streams_max: reader.integer("events.streams_max", 1..=1_000_000),
            streams_max_per_account: reader.integer("events.streams_max_per_account", 1..=100_000),
            heartbeat: reader.millis("events.heartbeat_ms", 10..=600_000),
        }
    }
}

fn delivery_policy(reader: &mut Reader) -> DeliveryPolicy {
    let policy = DeliveryPolicy {
        waits: reader.waits("webhooks.waits_ms", 1..=20, 3_600_000),
        tail: reader.waits("webhooks.tail_waits_ms", 0..=20, 7 * DAY_MS),
        disable_after: reader.integer("webhooks.disable_after", 1..=1000),
        failing_max: reader.millis("webhooks.disable_after_failing_ms", 1..=365 * DAY_MS),
        cooldown: reader.millis("webhooks.cooldown_ms", 0..=DAY_MS),
        cooldown_max: reader.millis("webhooks.cooldown_max_ms", 0..=7 * DAY_MS),
    };
    reader.not_above("webhooks.cooldown_ms", "webhooks.cooldown_max_ms");
    policy
}

fn plan_limits(reader: &mut Reader, plan: Plan) -> PlanLimits {
    let mut limit =
        |key: &str| reader.integer(&format!("plan_{}.{key}", plan.as_str()), 1..=1_000_000_000);
    PlanLimits {
        generations_per_minute: limit("generations_per_minute"),
        requests_per_minute: limit("requests_per_minute"),
        images_in_flight_max: limit("images_in_flight_max"),
        videos_in_flight_max: limit("videos_in_flight_max"),
    }
}

impl SecretsConfig {
    fn read(reader: &mut Reader) -> Self {
        let mut key = |name: &str| {
            let key = reader.secret(name);
            let well_formed = |key: &SecretString| {
                let text = key.expose_secret();
                text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            };
            if key.as_ref().is_some_and(|key| !well_formed(key)) {
                reader.problem(name, "must be 64 hexadecimal digits");
            }
            key
        };
        let master_key = key("secrets.master_key");
        let previous_master_key = key("secrets.previous_master_key");
        if previous_master_key.is_some() && master_key.is_none() {
            reader.problem("secrets.previous_master_key", "needs `secrets.master_key`");
        }
        Self { master_key, previous_master_key }
    }
}

impl LogConfig {
    fn read(reader: &mut Reader) -> Self {
        let filter = reader.parsed(
            "log.filter",
            |text| EnvFilter::try_new(text).ok().map(|_| text.to_owned()),
            "a level, or levels by module such as warn,babysea=debug",
        );
        let format = reader.parsed(
            "log.format",
            |text| match text {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            },
            "text or json",
        );
        Self {
            filter: filter.unwrap_or_else(|| "info".to_owned()),
            format: format.unwrap_or(LogFormat::Text),
        }
    }
}

const ADDRESS: &str = "an IP address and a port such as 127.0.0.1:8080";

/// Whether two listeners cannot both be had.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (any || one.ip() == other.ip())
}

/// Scheme, host and port and nothing else: the API's paths are fixed, so a path before them
/// would promise links that do not work.
fn origin(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (bare && matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn region(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (text.len() <= 32 && text.bytes().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
