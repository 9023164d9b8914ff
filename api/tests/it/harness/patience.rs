//! Waiting for facts, with a deadline.

use std::time::{Duration, Instant};

/// How long a fact may take that should be there at once or within seconds. Generous, because the
/// machine may be busy with other tests; nothing here measures speed.
pub const PATIENCE: Duration = Duration::from_secs(40);

const PAUSE: Duration = Duration::from_millis(50);

/// Asks again and again until the answer is a fact, and returns it.
///
/// # Panics
///
/// With the last thing that was wrong, when [`PATIENCE`] is over.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(fact) => return fact,
            Err(wrong) if Instant::now() > end => panic!("{what} did not come true: {wrong}"),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Asks again and again for the given time and fails when the answer is ever wrong: for what must
/// not happen.
pub async fn always(span: Duration, what: &str, mut ask: impl AsyncFnMut() -> Result<(), String>) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        if let Err(wrong) = ask().await {
            panic!("{what} did not stay true: {wrong}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Lets wall time pass where time itself is what the test is about.
pub async fn passes(span: Duration) {
    tokio::time::sleep(span).await;
}

/// Waits for many things that go on at the same time; the answers stand in the order given.
pub async fn all_at_once<T>(things: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::future::join_all(things).await
}
