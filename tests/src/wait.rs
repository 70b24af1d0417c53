//! Waiting for something to become true, with a limit and a message.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `condition` answers `Some`, looking every 10 ms.
///
/// # Errors
/// When `limit` passes first; the message says `what` was waited for.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: still not so after {limit:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
