//! Codes that are sent by mail and typed, before what cannot be undone.

use actors::id::TokenId;
use actors::mail::NewMail;
use actors::ports::people::TokenStore;
use actors::user::{OneTimeToken, Purpose, User};
use chrono::TimeDelta;
use subtle::ConstantTimeEq;

use super::{People, PeopleError};

/// How long a code can be typed.
const LASTS: TimeDelta = TimeDelta::minutes(15);
/// How often it can be typed wrong: with a million codes, that is one in 200,000.
const TRIES: u32 = 5;
/// How long to wait for the next mail of a kind.
pub(super) const PAUSE: TimeDelta = TimeDelta::minutes(1);

impl People {
    /// Sends somebody a code for this; `mail` says what with it.
    pub(super) async fn send_code(
        &self,
        user: &User,
        purpose: Purpose,
        mail: impl FnOnce(String) -> NewMail,
    ) -> Result<(), PeopleError> {
        let code = format!("{:06}", rand::random_range(0..1_000_000));
        let now = self.now();
        let token = OneTimeToken {
            user_id: user.id,
            id: TokenId(self.context.ids.next()),
            purpose,
            created_at: now,
            expires_at: now + LASTS,
        };
        let hash = self.code_hash(&token.purpose, user, &code);
        let mail = Some(mail(code));
        let sent = self.context.store.create_token(token, &hash, TRIES, mail, now - PAUSE).await?;
        if !sent {
            return Err(PeopleError::TooSoon);
        }
        self.posted();
        Ok(())
    }

    /// The token behind the code that somebody typed for this.
    pub(super) async fn check_code(
        &self,
        user: &User,
        purpose: &Purpose,
        typed: &str,
    ) -> Result<TokenId, PeopleError> {
        let found = self.context.store.try_code(user.id, purpose, self.now()).await?;
        let (id, stored) = found.ok_or(PeopleError::WrongCode)?;
        let typed: String = typed.chars().filter(char::is_ascii_digit).collect();
        let hash = self.code_hash(purpose, user, &typed);
        let same: bool = hash.as_bytes().ct_eq(stored.as_bytes()).into();
        if same { Ok(id) } else { Err(PeopleError::WrongCode) }
    }

    /// A code can be guessed from its hash, so the hash is keyed.
    fn code_hash(&self, purpose: &Purpose, user: &User, code: &str) -> String {
        let message = format!("{} {} {code}", purpose.as_str(), user.id);
        let mac = self.code_key.mac(message.as_bytes());
        mac.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
