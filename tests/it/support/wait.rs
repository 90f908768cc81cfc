//! Waiting for what happens in another process: ask until it is so, with a limit.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// No story waits longer for anything; only one that fails comes near it.
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

/// Asks for a count until it is enough. How long many things take is up to the machine, so that
/// each of them may take as long as [`LIMIT`].
///
/// # Panics
/// When the count does not grow for [`LIMIT`].
pub async fn until_count(what: &str, enough: i64, mut ask: impl AsyncFnMut() -> i64) {
    let (mut most, mut end) = (0, Instant::now() + LIMIT);
    loop {
        let count = ask().await;
        if count >= enough {
            return;
        }
        if count > most {
            (most, end) = (count, Instant::now() + LIMIT);
        }
        assert!(Instant::now() < end, "waited in vain until {what}: {count} of {enough}");
        sleep(Duration::from_millis(20)).await;
    }
}
