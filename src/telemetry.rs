//! What is written to standard error, and the names that tie its lines to requests.

use std::io::stderr;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging for the whole process; called once, before anything logs.
///
/// # Errors
/// The filter is not one, or logging was started before.
pub fn start(log: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match log.format {
        // Escape codes are for terminals; a file or a journal shows them as rubbish.
        LogFormat::Text => {
            let terminal = std::io::IsTerminal::is_terminal(&stderr());
            subscriber.with_ansi(terminal).try_init()
        }
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(anyhow::Error::from_boxed)
}

/// A fresh name for one request: in its answer, its log lines and its row.
///
/// 36 to the power of 8 makes a repetition within a day's log unlikely; nothing relies on there
/// being none.
pub fn request_id() -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut number = rand::random_range(0..36_u64.pow(8));
    let mut id = String::from("req_");
    for _ in 0..8 {
        id.push(char::from(DIGITS[(number % 36) as usize]));
        number /= 36;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_look_as_the_contract_shows_them() {
        let id = request_id();
        let tail = id.strip_prefix("req_").unwrap();
        assert_eq!(tail.len(), 8);
        assert!(tail.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        assert_ne!(id, request_id());
    }
}
