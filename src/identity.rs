//! Accounts, keys and endpoints: what an operator does from the command line and in the
//! dashboard.
//!
//! Each function checks what was typed, makes the secret if there is one, and hands one unit of
//! work to the store. A secret in the clear is in the answer and nowhere else.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::account::{Account, AccountKind, Plan, WELCOME_CREDIT_THOUSANDTHS};
use actors::activity::{Actor, By};
use actors::api_key::{ApiKey, PlainKey, Preset, Rotated, Rotation, Scope};
use actors::id::{AccountId, ActivityId, ApiKeyId, EndpointId, UserId};
use actors::ledger::LedgerEntry;
use actors::money::Credits;
use actors::operator::{AccountChange, Act};
use actors::ports::{
    AccountStore, EndpointRefusal, EndpointStore, Grant, GrantRefusal, IdSource, KeyRefusal,
    KeyStore, StoreError,
};
use actors::spending::Spending;
use actors::webhook::endpoint::EndpointState;
use actors::webhook::{EventName, WebhookEndpoint};
use chrono::{DateTime, Utc};
use providers::clock::Clock;
use secrecy::SecretString;

use crate::address_guard::{Policy, UrlProblem, check_resolved, check_url};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::ids::SystemIds;
use crate::store::Store;

/// Characters of a name (`spec/contract.md` 4.3).
const NAME_MAX: usize = 100;
/// Characters of an address, by its standard.
const EMAIL_MAX: usize = 254;
/// Characters of a grant's key; enough for the id of any payment system.
const GRANT_KEY_MAX: usize = 200;
/// Characters of a grant's description.
const DESCRIPTION_MAX: usize = 500;
/// Addresses in an allowlist (`spec/contract.md` 4.7).
const ALLOWED_IPS_MAX: usize = 50;
/// Hours for which a rotated key may go on (`spec/contract.md` 4.5).
pub const GRACE_HOURS_MAX: u32 = 168;

/// What the functions here work with.
#[derive(Clone)]
pub struct Context {
    /// Where it is kept.
    pub store: Store,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
    /// The settings that matter here.
    pub rules: Rules,
    /// Who does it, for the account's log.
    pub actor: Actor,
}

/// The settings that matter here.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Where this server is, and so the keys that are made here.
    pub region: String,
    /// Work factor of key hashes.
    pub bcrypt_cost: u32,
    /// Most usable keys of an account.
    pub keys_max: u32,
    /// Most endpoints of an account.
    pub endpoints_max: u32,
    /// Where endpoints may be.
    pub endpoint_policy: Policy,
    /// Whether this server looks their names up, and not a proxy.
    pub looks_up_endpoints: bool,
}

impl Context {
    /// With the system's time and ids.
    pub fn new(store: Store, config: &Config) -> Self {
        let rules = Rules {
            region: config.server.region.clone(),
            bcrypt_cost: config.auth.bcrypt_cost,
            keys_max: config.limits.keys_max,
            endpoints_max: config.webhooks.endpoints_max,
            endpoint_policy: Policy::WEBHOOK.or_private(config.webhooks.allow_private_targets),
            looks_up_endpoints: config.webhooks.proxy_url.is_none(),
        };
        Self {
            store,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            rules,
            actor: Actor::System,
        }
    }

    /// The same for what a person does.
    pub fn of(&self, user_id: UserId) -> Self {
        Self { actor: Actor::User(user_id), ..self.clone() }
    }

    /// The signature of one unit of work.
    pub fn by(&self) -> By {
        self.by_at(self.clock.now())
    }

    /// The signature of a unit of work that happens then.
    pub fn by_at(&self, at: DateTime<Utc>) -> By {
        By { actor: self.actor, id: ActivityId(self.ids.next_at(at)), at }
    }
}

/// Why something was not done. Nothing changed, unless it is [`IdentityError::Store`].
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A field cannot be taken.
    #[error("{field} {problem}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// Why not.
        problem: String,
    },
    /// The URL of an endpoint cannot be taken.
    #[error("this URL cannot receive webhooks")]
    Url(#[from] UrlProblem),
    /// The key was not made or replaced.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// The endpoint was not made.
    #[error(transparent)]
    Endpoint(#[from] EndpointRefusal),
    /// The credit was not granted.
    #[error(transparent)]
    Grant(#[from] GrantRefusal),
    /// The key could not be hashed.
    #[error("cannot hash the key")]
    Hash(#[from] bcrypt::BcryptError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Display name.
    pub name: String,
    /// Personal or team.
    pub kind: AccountKind,
    /// Which limits apply.
    pub plan: Plan,
    /// Contact address.
    pub email: Option<String>,
    /// What it starts with; absent: the welcome credit.
    pub credits: Option<Credits>,
}

/// Makes an account. What it starts with is its first ledger entry.
///
/// # Errors
/// [`IdentityError`].
pub async fn create_account(context: &Context, new: NewAccount) -> Result<Account, IdentityError> {
    let account = account(context, &new)?;
    let grant = match new.credits {
        None => Some(welcome(&account)),
        Some(Credits::ZERO) => None,
        Some(amount) => Some(Grant {
            amount,
            key: format!("opening:{}", account.id),
            description: "Opening credits".to_owned(),
            at: account.created_at,
        }),
    };
    let act = Act { by: context.by_at(account.created_at), reason: String::new() };
    Ok(context.store.create_account(account, grant, act).await?)
}

/// Makes what a first start needs, on a database without accounts: a personal account with the
/// welcome credit and a Full Access key. `None` when there is an account already; of several
/// processes that start together, one gets the key.
///
/// The plan is the largest: whoever runs the server is not to meet limits that are for the
/// customers of others.
///
/// # Errors
/// [`IdentityError`].
pub async fn bootstrap(context: &Context) -> Result<Option<CreatedKey>, IdentityError> {
    // Asked first, since the answer is nearly always yes and hashing a key takes time.
    if context.store.has_accounts().await? {
        return Ok(None);
    }
    let new = NewAccount {
        name: "Personal".to_owned(),
        kind: AccountKind::Personal,
        plan: Plan::Enterprise,
        email: None,
        credits: None,
    };
    let account = account(context, &new)?;
    let new = NewKey::full_access(account.id, "Default");
    let created = key(context, new).await?;
    let grant = welcome(&account);
    let first = context.store.create_first_account(account, grant, created.key.clone()).await?;
    Ok(first.then_some(created))
}

fn account(context: &Context, new: &NewAccount) -> Result<Account, IdentityError> {
    let email = new.email.as_deref().map(|email| {
        let email = line("the email address", email, EMAIL_MAX)?;
        let (local, domain) = email.split_once('@').unwrap_or_default();
        let plausible = !local.is_empty() && !domain.is_empty() && !email.contains(' ');
        if plausible { Ok(email) } else { Err(invalid("the email address", "has no name@domain")) }
    });
    Ok(Account {
        id: AccountId(context.ids.next()),
        name: line("the name", &new.name, NAME_MAX)?,
        kind: new.kind,
        plan: new.plan,
        email: email.transpose()?,
        failover_on_moderation: false,
        suspended_at: None,
        balance: Credits::ZERO,
        created_at: context.clock.now(),
    })
}

fn welcome(account: &Account) -> Grant {
    Grant {
        amount: Credits::from_thousandths(WELCOME_CREDIT_THOUSANDTHS)
            .expect("the welcome credit is an amount"),
        key: format!("welcome:{}", account.id),
        description: "Welcome credits".to_owned(),
        at: account.created_at,
    }
}

/// Credit to be granted.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// To whom.
    pub account_id: AccountId,
    /// How much.
    pub amount: Credits,
    /// Makes it happen once, over all accounts.
    pub key: String,
    /// For those who read the ledger.
    pub description: String,
    /// For those who run the server.
    pub reason: String,
}

/// Grants credit, once per key over all accounts.
///
/// # Errors
/// [`IdentityError`].
pub async fn add_credit(context: &Context, new: NewGrant) -> Result<LedgerEntry, IdentityError> {
    if new.amount == Credits::ZERO {
        return Err(invalid("the amount", "must be more than 0"));
    }
    let act = act(context, &new.reason)?;
    let grant = Grant {
        amount: new.amount,
        key: line("the key", &new.key, GRANT_KEY_MAX)?,
        description: line("the description", &new.description, DESCRIPTION_MAX)?,
        at: act.by.at,
    };
    Ok(context.store.grant(new.account_id, grant, act).await??)
}

/// Changes an account. Answers whether there is one.
///
/// # Errors
/// [`IdentityError`].
pub async fn change_account(
    context: &Context,
    id: AccountId,
    change: AccountChange,
    reason: &str,
) -> Result<bool, IdentityError> {
    Ok(context.store.change_account(id, change, act(context, reason)?).await?)
}

/// Signs what somebody does who runs the server. A person has to say why; who is at the command
/// line is asked by nobody.
///
/// # Errors
/// [`IdentityError::Invalid`].
pub fn act(context: &Context, reason: &str) -> Result<Act, IdentityError> {
    let reason = match context.actor {
        Actor::System if reason.trim().is_empty() => String::new(),
        _ => line("the reason", reason, DESCRIPTION_MAX)?,
    };
    Ok(Act { by: context.by(), reason })
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose.
    pub account_id: AccountId,
    /// Display name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// From where it may be used; empty means from anywhere.
    pub allowed_ips: Vec<IpAddr>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it may spend in a calendar month.
    pub monthly_limit: Option<Credits>,
}

impl NewKey {
    /// One that may do everything, from anywhere, for ever.
    pub fn full_access(account_id: AccountId, name: &str) -> Self {
        Self {
            account_id,
            name: name.to_owned(),
            scopes: Preset::FullAccess.scopes().to_vec(),
            allowed_ips: Vec::new(),
            expires_at: None,
            monthly_limit: None,
        }
    }
}

/// A key, with the text that is shown this once.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    /// As it is stored.
    pub key: ApiKey,
    /// In the clear.
    pub plain: PlainKey,
}

/// Makes a key.
///
/// # Errors
/// [`IdentityError`].
pub async fn create_key(context: &Context, new: NewKey) -> Result<CreatedKey, IdentityError> {
    let created = key(context, new).await?;
    let by = context.by_at(created.key.created_at);
    context.store.create_key(created.key.clone(), context.rules.keys_max, by).await??;
    Ok(created)
}

async fn key(context: &Context, new: NewKey) -> Result<CreatedKey, IdentityError> {
    let created_at = context.clock.now();
    if new.expires_at.is_some_and(|end| end <= created_at) {
        return Err(invalid("the expiry date", "must be in the future"));
    }
    if new.scopes.is_empty() {
        return Err(invalid("the scopes", "must not be empty"));
    }
    let name = line("the name", &new.name, NAME_MAX)?;
    let mut allowed_ips: Vec<IpAddr> = new.allowed_ips.iter().map(IpAddr::to_canonical).collect();
    allowed_ips.sort_unstable();
    allowed_ips.dedup();
    if allowed_ips.len() > ALLOWED_IPS_MAX {
        let problem = format!("must not name more than {ALLOWED_IPS_MAX} addresses");
        return Err(invalid("the IP allowlist", problem));
    }
    let secret = Secret::new(context.rules.bcrypt_cost).await?;
    let key = ApiKey {
        account_id: new.account_id,
        id: ApiKeyId(context.ids.next()),
        name,
        prefix: secret.plain.prefix().to_owned(),
        hash: secret.hash,
        scopes: new.scopes,
        allowed_ips,
        region: Some(context.rules.region.clone()),
        created_at,
        expires_at: new.expires_at,
        rotated_at: None,
        revoked_at: None,
        last_used_at: None,
        spending: Spending { limit: new.monthly_limit, ..Spending::default() },
    };
    Ok(CreatedKey { key, plain: secret.plain })
}

/// What a rotation came to.
#[derive(Debug, Clone)]
pub struct RotatedKey {
    /// The key that goes on for the grace period, and the new one.
    pub keys: Rotated,
    /// The new one in the clear.
    pub plain: PlainKey,
}

/// Replaces an active key; both work for `grace_hours`.
///
/// # Errors
/// [`IdentityError`].
pub async fn rotate_key(
    context: &Context,
    account_id: AccountId,
    id: ApiKeyId,
    grace_hours: u32,
) -> Result<RotatedKey, IdentityError> {
    if !(1..=GRACE_HOURS_MAX).contains(&grace_hours) {
        let problem = format!("must be 1 to {GRACE_HOURS_MAX} hours");
        return Err(invalid("the grace period", problem));
    }
    let secret = Secret::new(context.rules.bcrypt_cost).await?;
    let at = context.clock.now();
    let rotation = Rotation {
        id: ApiKeyId(context.ids.next()),
        prefix: secret.plain.prefix().to_owned(),
        hash: secret.hash,
        region: context.rules.region.clone(),
        at,
        grace_until: at + Duration::from_secs(u64::from(grace_hours) * 60 * 60),
    };
    let keys = context.store.rotate_key(account_id, id, rotation, context.by_at(at)).await??;
    Ok(RotatedKey { keys, plain: secret.plain })
}

/// A new key in the clear and its hash.
struct Secret {
    plain: PlainKey,
    hash: String,
}

impl Secret {
    /// Hashing takes tens of milliseconds by design, so not on a thread that others wait for.
    async fn new(cost: u32) -> Result<Self, IdentityError> {
        let hashing = tokio::task::spawn_blocking(move || {
            let plain = PlainKey::from_draws(draws());
            let hash = bcrypt::non_truncating_hash(plain.expose(), cost)?;
            Ok(Self { plain, hash })
        });
        hashing.await.expect("drawing and hashing do not panic and are not aborted")
    }
}

/// Uniform draws out of `0..62`, from the system's generator for secrets.
fn draws() -> [u8; 32] {
    std::array::from_fn(|_| rand::random_range(0..62))
}

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    /// Whose.
    pub account_id: AccountId,
    /// Where to send.
    pub url: String,
    /// What it wants to be told.
    pub events: Vec<EventName>,
}

/// Makes a webhook endpoint. Its secret is in the answer, and shown this once.
///
/// # Errors
/// [`IdentityError`].
pub async fn create_endpoint(
    context: &Context,
    new: NewEndpoint,
) -> Result<WebhookEndpoint, IdentityError> {
    let url = check_url(&new.url, context.rules.endpoint_policy)?;
    if context.rules.looks_up_endpoints {
        check_resolved(&url, context.rules.endpoint_policy).await?;
    }
    let events = subscribable(&new.events)?;
    let endpoint = WebhookEndpoint {
        state: EndpointState::new(new.account_id, EndpointId(context.ids.next()), events),
        url,
        secret: endpoint_secret(),
        previous: None,
        created_at: context.clock.now(),
    };
    let by = context.by_at(endpoint.created_at);
    context.store.create_endpoint(endpoint.clone(), context.rules.endpoints_max, by).await??;
    Ok(endpoint)
}

/// Each event once, in the order of the contract.
pub(crate) fn subscribable(events: &[EventName]) -> Result<Vec<EventName>, IdentityError> {
    let wanted: Vec<EventName> =
        EventName::ALL.into_iter().filter(|event| events.contains(event)).collect();
    if wanted.is_empty() {
        return Err(invalid("the events", "must not be empty"));
    }
    if let Some(event) = wanted.iter().find(|event| !event.is_subscribable()) {
        return Err(invalid("the events", format!("must not contain {}", event.as_str())));
    }
    Ok(wanted)
}

/// `whsec_` and 32 characters (`spec/contract.md` 8.4), which in base64 stand for the 24 bytes
/// that Standard Webhooks asks for at least.
pub(crate) fn endpoint_secret() -> SecretString {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let random = draws().map(|draw| char::from(ALPHABET[usize::from(draw)]));
    SecretString::from("whsec_".chars().chain(random).collect::<String>())
}

/// A line of text, trimmed: not empty, not too long, nothing that moves a terminal's cursor.
fn line(field: &'static str, text: &str, max: usize) -> Result<String, IdentityError> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(invalid(field, "must not be empty")),
        length if length > max => {
            Err(invalid(field, format!("must not be longer than {max} characters")))
        }
        _ if text.chars().any(char::is_control) => {
            Err(invalid(field, "must not contain control characters"))
        }
        _ => Ok(text.to_owned()),
    }
}

pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> IdentityError {
    IdentityError::Invalid { field, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_line_is_trimmed_and_bounded() {
        assert_eq!(line("the name", "  Ops team ", NAME_MAX).unwrap(), "Ops team");
        for bad in ["", "   ", "two\nlines", "\u{1b}[31mred", &"x".repeat(101)] {
            assert!(line("the name", bad, NAME_MAX).is_err(), "{bad:?}");
        }
        assert!(line("the name", &"ü".repeat(100), NAME_MAX).is_ok(), "characters, not bytes");
    }

    #[test]
    fn secrets_have_the_documented_form_and_differ() {
        let secret = endpoint_secret();
        let random = secret.expose_secret().strip_prefix("whsec_").unwrap();
        assert_eq!(random.len(), 32);
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(secret.expose_secret(), endpoint_secret().expose_secret());
    }

    #[tokio::test]
    async fn a_new_key_verifies_against_its_hash() {
        let secret = Secret::new(4).await.unwrap();
        assert!(bcrypt::non_truncating_verify(secret.plain.expose(), &secret.hash).unwrap());
    }
}
