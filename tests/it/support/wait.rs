//! Waiting for what happens in another process: ask until it is so, with a limit.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// No story waits longer; only one that fails comes near it.
pub const LIMIT: Duration = Duration::from_secs(45);

/// Asks until there is an answer.
///
/// # Panics
/// When there is none in [`LIMIT`].
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
