//! Work that takes a thread some milliseconds: done aside, while the few threads of the runtime go on
//! with what people wait for.

use std::borrow::Cow;

use causeway_replicator_core::wire::events::{self, Decoded};

/// Bytes that are read in well under a millisecond.
const AT_ONCE_BYTES: usize = 32 * 1024;

/// Does it on another thread, and waits for it.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let doing = tokio::task::spawn_blocking(work);
    doing.await.expect("what is done aside does not panic")
}

/// Reads events like [`events::decode`]: many aside, few at once.
pub(crate) async fn decode(body: Cow<'_, [u8]>) -> Decoded {
    if body.len() <= AT_ONCE_BYTES {
        return events::decode(&body);
    }
    let body = body.into_owned();
    run(move || events::decode(&body)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::event;

    #[tokio::test]
    async fn many_are_read_as_few_are() {
        for count in [1, 1_000] {
            let sent: Vec<_> = (0..count).map(|_| event(1, 1, &[])).collect();
            let body = events::encode(&sent);

            let came = decode(Cow::Borrowed(&body)).await;

            assert_eq!(events::encode(&came.events), body);
        }
    }
}
