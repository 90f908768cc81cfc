//! A line of the list of signed-in browsers.

use actors::id::SessionId;
use actors::user::Session;
use chrono::{DateTime, Utc};

/// Browsers by what tells them in their `User-Agent`; those that claim to be others come first.
const BROWSERS: [(&str, &str); 6] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];

const SYSTEMS: [(&str, &str); 6] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

#[derive(Debug)]
pub(super) struct BrowserRow {
    pub(super) id: SessionId,
    pub(super) name: String,
    pub(super) signed_in_at: DateTime<Utc>,
    pub(super) last_seen_at: DateTime<Utc>,
    pub(super) is_this: bool,
}

impl BrowserRow {
    pub(super) fn of(session: &Session, this: SessionId) -> Self {
        Self {
            id: session.id,
            name: name(session.user_agent.as_deref().unwrap_or_default()),
            signed_in_at: session.created_at,
            last_seen_at: session.last_seen_at,
            is_this: session.id == this,
        }
    }
}

/// What its owner would call a browser.
fn name(user_agent: &str) -> String {
    let told = |by: &[(&str, &'static str)]| {
        by.iter().find(|(sign, _)| user_agent.contains(sign)).map(|(_, name)| *name)
    };
    match (told(&BROWSERS), told(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "Unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_called_as_its_owner_would() {
        for (user_agent, called) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("", "Unknown browser"),
        ] {
            assert_eq!(name(user_agent), called);
        }
    }
}
