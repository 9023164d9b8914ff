//! Receives the body of a request, bounded in bytes and in time.
//!
//! A body is received even when the request is refused: a client that is still sending when the
//! connection closes would see a reset connection instead of the response.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use poem::Body;
use tokio::time::{Instant, timeout_at};

use crate::problem::Problem;

/// Limits of a body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The longest body that is accepted.
    pub body_bytes: usize,
    /// How much of a longer one is read and dropped before it is refused, so that the client can read
    /// the response.
    pub discard_bytes: usize,
    /// How long the whole body may take.
    pub timeout: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            body_bytes: 64 * 1024,
            discard_bytes: 1024 * 1024,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Reads a whole body.
///
/// # Errors
///
/// Too long, too slow, or interrupted.
pub(crate) async fn receive(body: Body, limits: &BodyLimits) -> Result<Bytes, Problem> {
    if body.is_empty() {
        return Ok(Bytes::new());
    }
    let deadline = Instant::now() + limits.timeout;
    let mut chunks = Box::pin(body.into_bytes_stream());
    let mut received = Received::default();
    let mut length = 0_usize;
    loop {
        let Ok(next) = timeout_at(deadline, chunks.next()).await else {
            return Err(too_slow(limits.timeout));
        };
        match next {
            None => break,
            Some(Err(_)) => return Err(interrupted()),
            Some(Ok(chunk)) => {
                length += chunk.len();
                if length <= limits.body_bytes {
                    received.push(chunk);
                }
            }
        }
        if length > limits.discard_bytes {
            break;
        }
    }
    if length > limits.body_bytes {
        return Err(Problem::TooLarge {
            limit_bytes: limits.body_bytes,
        });
    }
    Ok(received.0)
}

/// The part of a body received so far. Most bodies are a single chunk, which is not copied.
#[derive(Default)]
struct Received(Bytes);

impl Received {
    fn push(&mut self, chunk: Bytes) {
        if self.0.is_empty() {
            self.0 = chunk;
            return;
        }
        let mut all = BytesMut::from(std::mem::take(&mut self.0));
        all.extend_from_slice(&chunk);
        self.0 = all.freeze();
    }
}

/// Reads and drops a body, within the same bounds.
pub(crate) async fn discard(body: Body, limits: &BodyLimits) {
    let keep_nothing = BodyLimits {
        body_bytes: 0,
        ..*limits
    };
    // The response is already decided.
    drop(receive(body, &keep_nothing).await);
}

fn too_slow(timeout: Duration) -> Problem {
    Problem::Malformed {
        why: format!(
            "The body did not arrive within {} s. Send it at once.",
            timeout.as_secs()
        ),
    }
}

fn interrupted() -> Problem {
    Problem::Malformed {
        why: "The body broke off. Send it again, whole.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BodyLimits = BodyLimits {
        body_bytes: 10,
        discard_bytes: 20,
        timeout: Duration::from_millis(50),
    };

    #[tokio::test]
    async fn a_body_is_taken_up_to_the_limit() {
        let ten = receive(Body::from("0123456789"), &LIMITS).await.unwrap();
        let eleven = receive(Body::from("0123456789a"), &LIMITS).await;

        assert_eq!(ten, b"0123456789"[..]);
        assert_eq!(eleven.unwrap_err().code(), "too_large");
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_put_together() {
        let chunks = ["", "one ", "two", " ", "3"].map(Ok::<_, std::io::Error>);
        let body = Body::from_bytes_stream(futures_util::stream::iter(chunks));

        assert_eq!(receive(body, &LIMITS).await.unwrap(), b"one two 3"[..]);
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_for_ever() {
        let chunk = || Ok::<_, std::io::Error>("0123456789");
        let endless = Body::from_bytes_stream(futures_util::stream::repeat_with(chunk));

        let refused = receive(endless, &LIMITS).await.unwrap_err();

        assert_eq!(refused.code(), "too_large");
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_given_up() {
        let silent = futures_util::stream::pending::<std::io::Result<&'static str>>();

        let refused = receive(Body::from_bytes_stream(silent), &LIMITS)
            .await
            .unwrap_err();

        assert_eq!(refused.code(), "malformed");
    }
}
