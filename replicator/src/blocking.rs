//! Work that takes some milliseconds of a thread: done on the blocking pool, while the few threads of
//! the runtime go on with what people wait for.

use std::borrow::Cow;

use causeway_replicator_core::wire::events::{self, Decoded};

/// A body of so many bytes is decoded in well under a millisecond.
const SMALL_BYTES: usize = 32 * 1024;

/// Runs it on the blocking pool, and waits for it.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let doing = tokio::task::spawn_blocking(work);
    doing.await.expect("blocking work does not panic")
}

/// Reads events like [`events::decode`]: many on the blocking pool, few at once.
pub(crate) async fn decode(body: Cow<'_, [u8]>) -> Decoded {
    if body.len() <= SMALL_BYTES {
        return events::decode(&body);
    }
    let body = body.into_owned();
    run(move || events::decode(&body)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_are_read_as_few_are() {
        for count in [1, 10_000] {
            let body = b"no event\n".repeat(count);

            let decoded = decode(Cow::Borrowed(&body)).await;

            assert_eq!((decoded.events.len(), decoded.flawed), (0, count));
        }
    }
}
