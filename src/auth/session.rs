//! Who is signed in, in which workspace, and that a form came from a page of ours.
//!
//! A browser holds a random token in a cookie that scripts cannot read and other sites cannot
//! send with a form; the store holds its SHA-256. What a form has to bring along is an HMAC of
//! the token, so it needs no place of its own.

mod cookie;
mod form;
mod origin;

use std::sync::Arc;
use std::time::Duration;

use actix_web::cookie::Cookie;
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, USER_AGENT};
use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use actors::account::{Account, AccountKind};
use actors::activity::{Actor, By};
use actors::id::{ActivityId, SessionId, UserId};
use actors::member::{Membership, PERSONAL};
use actors::permission::{Permission, Role, may};
use actors::ports::deliveries::NotificationStore;
use actors::ports::people::SessionStore;
use actors::ports::teams::MembershipStore;
use actors::ports::{IdSource, StoreError};
use actors::user::{Session, User};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use providers::clock::Clock;
use subtle::ConstantTimeEq;

pub use self::form::{CsrfForm, OpenForm};
pub use self::origin::local_path;
use crate::auth::session::cookie::CookieName;
use crate::error::page::PageError;
use crate::secrets::{PurposeKey, token_hash};

/// It is written down about once in this time that a session was used: each request would be a
/// write for each look.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);
/// So many unread notifications are counted; beyond that nobody wants the number.
pub const UNREAD_MAX: u32 = 100;
/// Characters of what a browser says of itself that are kept.
const USER_AGENT_MAX: usize = 200;

/// Knows signed-in browsers. One per process.
pub struct Sessions {
    pub sessions: Arc<dyn SessionStore>,
    pub memberships: Arc<dyn MembershipStore>,
    pub notifications: Arc<dyn NotificationStore>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    /// `Purpose::FormTokens`.
    pub form_key: PurposeKey,
    /// After how long without use one has ended.
    pub idle: Duration,
    /// After how long it has in any case.
    pub max: Duration,
    /// Whether the outside world reaches this server by HTTPS only.
    pub secure: bool,
}

impl Sessions {
    /// Signs somebody in, with a new token even if the browser has one: the cookie to set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(
        &self,
        user_id: UserId,
        request: &HttpRequest,
    ) -> Result<Cookie<'static>, StoreError> {
        let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let before = self.token(request).map(|token| token_hash(&token));
        let now = self.clock.now();
        let user_agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let session = Session {
            user_id,
            id: SessionId(self.ids.next()),
            user_agent: user_agent.map(|agent| agent.chars().take(USER_AGENT_MAX).collect()),
            created_at: now,
            last_seen_at: now,
            expires_at: now + self.max,
        };
        let id = ActivityId(self.ids.next_at(now));
        let by = By { actor: Actor::User(user_id), id, at: now };
        let before = before.as_deref();
        self.sessions.create_session(session, &token_hash(&token), before, by).await?;
        Ok(self.cookie_name().with(token, self.max))
    }

    /// Signs the browser out of which this is a request: the cookie that takes the token away.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end(&self, person: &SignedIn) -> Result<Cookie<'static>, StoreError> {
        self.sessions.end_session(person.user.id, person.session_id).await?;
        Ok(self.cookie_name().gone())
    }

    /// A cookie that takes the token away.
    pub fn no_cookie(&self) -> Cookie<'static> {
        self.cookie_name().gone()
    }

    /// Those of a person that can still be used, the last used one first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, user_id: UserId) -> Result<Vec<Session>, StoreError> {
        let now = self.clock.now();
        let mut sessions = self.sessions.list_sessions(user_id, now).await?;
        sessions.retain(|session| !self.is_idle(session, now));
        Ok(sessions)
    }

    /// Removes what can no longer be used, and answers how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        self.sessions.forget_sessions_any_user(now, now - self.idle).await
    }

    /// Who is signed in, if anybody is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, request: &HttpRequest) -> Result<Option<SignedIn>, StoreError> {
        let Some(token) = self.token(request) else { return Ok(None) };
        let now = self.clock.now();
        let found = self.sessions.find_session(&token_hash(&token), now).await?;
        let Some((session, user)) = found.filter(|(session, _)| !self.is_idle(session, now)) else {
            return Ok(None);
        };
        if now - session.last_seen_at >= SEEN_EVERY {
            self.sessions.touch_session(user.id, session.id, now).await?;
        }
        Ok(Some(SignedIn { user, session_id: session.id, csrf: self.csrf(&token) }))
    }

    fn is_idle(&self, session: &Session, now: DateTime<Utc>) -> bool {
        session.last_seen_at + self.idle <= now
    }

    fn token(&self, request: &HttpRequest) -> Option<String> {
        self.cookie_name().read(request)
    }

    fn csrf(&self, token: &str) -> CsrfToken {
        CsrfToken(URL_SAFE_NO_PAD.encode(self.form_key.mac(token.as_bytes())))
    }

    /// Whether a form, or a script, has shown what only our pages know.
    fn is_ours(&self, request: &HttpRequest, shown: &str) -> bool {
        let Some(token) = self.token(request) else { return false };
        self.csrf(&token).0.as_bytes().ct_eq(shown.as_bytes()).into()
    }

    fn cookie_name(&self) -> CookieName {
        CookieName { secure: self.secure }
    }
}

fn sessions(request: &HttpRequest) -> Result<web::Data<Sessions>, PageError> {
    let sessions = request.app_data::<web::Data<Sessions>>().cloned();
    sessions.ok_or_else(|| PageError::internal("the server was wired without Sessions"))
}

/// What a form has to bring along.
#[derive(Debug, Clone)]
struct CsrfToken(String);

/// A person who is signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub user: User,
    pub session_id: SessionId,
    csrf: CsrfToken,
}

impl SignedIn {
    /// The value of the hidden field `csrf`, and of the header `X-CSRF-Token`.
    pub fn csrf(&self) -> &str {
        &self.csrf.0
    }
}

impl FromRequest for SignedIn {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let found = sessions(&request)?.find(&request).await?;
            found.ok_or_else(|| not_signed_in(&request))
        }
        .boxed_local()
    }
}

/// A browser that opens a page is led to where one signs in; a script is told.
fn not_signed_in(request: &HttpRequest) -> PageError {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let opens_a_page = match text("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => text(ACCEPT.as_str()).is_none_or(|accept| {
            accept.is_empty() || accept.contains("text/html") || accept.contains("*/*")
        }),
    };
    if !opens_a_page {
        return PageError::NotSignedIn;
    }
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let next =
        request.uri().path_and_query().filter(|_| reads).map(|path| path.as_str().to_owned());
    PageError::SignIn { next }
}

/// A signed-in person in the workspace that the path names by `{slug}`.
#[derive(Debug, Clone)]
pub struct Workspace {
    pub person: SignedIn,
    pub account: Account,
    pub slug: String,
    pub role: Role,
    /// Every workspace of this person, for the switcher.
    pub memberships: Vec<Membership>,
    /// Notifications that nobody has read, up to [`UNREAD_MAX`].
    pub unread: u64,
}

impl Workspace {
    /// Whether this person may do this here.
    pub fn may(&self, permission: Permission) -> bool {
        let has_members = self.account.kind == AccountKind::Team;
        (has_members || !permission.is_of_teams()) && may(self.role, permission)
    }

    /// That this person may do this here.
    ///
    /// # Errors
    /// [`PageError::Forbidden`].
    pub fn require(&self, permission: Permission) -> Result<(), PageError> {
        if self.may(permission) { Ok(()) } else { Err(PageError::Forbidden) }
    }

    /// The value of the hidden field `csrf`.
    pub fn csrf(&self) -> &str {
        self.person.csrf()
    }

    async fn find(request: &HttpRequest, slug: &str) -> Result<Self, PageError> {
        let sessions = sessions(request)?;
        let person = sessions.find(request).await?.ok_or_else(|| not_signed_in(request))?;
        let memberships = sessions.memberships.list_memberships(person.user.id).await?;
        let here = memberships.iter().find(|membership| membership.slug == slug);
        let Membership { account, slug, role } = here.cloned().ok_or(PageError::NotFound)?;
        let unread = sessions.notifications.count_unread(account.id, UNREAD_MAX).await?;
        Ok(Self { person, account, slug, role, memberships, unread })
    }
}

impl FromRequest for Workspace {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let slug = request.match_info().get("slug").unwrap_or_default();
            Self::find(&request, slug).await
        }
        .boxed_local()
    }
}

/// Whoever is signed in, in the personal account.
#[derive(Debug, Clone)]
pub struct Personal(pub Workspace);

impl FromRequest for Personal {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move { Workspace::find(&request, PERSONAL).await.map(Self) }.boxed_local()
    }
}

/// A signed-in person who runs this server; for everybody else there is nothing there.
#[derive(Debug, Clone)]
pub struct Operator {
    pub person: SignedIn,
    /// Every workspace of this person, for the switcher.
    pub memberships: Vec<Membership>,
}

impl FromRequest for Operator {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (person, sessions) = (SignedIn::from_request(request, payload), sessions(request));
        async move {
            let person = person.await?;
            if !person.user.operator {
                return Err(PageError::NotFound);
            }
            let memberships = sessions?.memberships.list_memberships(person.user.id).await?;
            Ok(Self { person, memberships })
        }
        .boxed_local()
    }
}

#[cfg(test)]
mod tests;
