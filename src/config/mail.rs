//! Settings of mail.

use lettre::message::Mailbox;
use secrecy::SecretString;

use super::reader::Reader;

#[derive(Debug, Clone)]
pub struct MailConfig {
    /// Absent: mail is printed to the log. It usually holds a password.
    pub smtp_url: Option<SecretString>,
    /// Who it is from; known to be an address if there is a server.
    pub from: String,
}

impl MailConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let smtp_url = reader.secret("mail.smtp_url");
        let from = reader.parsed(
            "mail.from",
            |text| text.parse::<Mailbox>().ok().map(|_| text.to_owned()),
            "an address, or a name and an address in angle brackets",
        );
        if smtp_url.is_some() && from.is_none() {
            reader.problem("mail.from", "is needed with `mail.smtp_url`");
        }
        Self { smtp_url, from: from.unwrap_or_default() }
    }
}
