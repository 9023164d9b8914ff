//! The id by which a request is found in the log: the client's own, or a generated one.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use poem::http::{HeaderMap, HeaderValue};

/// The id of the request being handled: printable ASCII, as a header carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("an id is printable ASCII")
    }

    pub(crate) fn into_header(self) -> HeaderValue {
        self.0
    }
}

/// Generates ids: the seed of the process and a number.
#[derive(Debug)]
pub(crate) struct RequestIds {
    seed: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            next: AtomicU64::new(0),
        }
    }

    /// Returns the id that the client sent, if it is valid, or the next one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> RequestId {
        let mut sent = headers.get_all("x-request-id").iter();
        match (sent.next(), sent.next()) {
            (Some(id), None) if is_id(id.as_bytes()) => RequestId(id.clone()),
            _ => self.next(),
        }
    }

    fn next(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = String::with_capacity(33);
        write!(id, "{:016x}-{number:x}", self.seed).expect("writing to a String cannot fail");
        RequestId(HeaderValue::try_from(id).expect("an id is printable ASCII"))
    }
}

/// Short enough for a log, and without characters that could forge a line of it.
fn is_id(bytes: &[u8]) -> bool {
    (1..=128).contains(&bytes.len()) && bytes.iter().all(|byte| (b' '..=b'~').contains(byte))
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    #[test]
    fn an_id_of_the_client_is_kept_when_it_is_one() {
        let ids = RequestIds::new(7);
        let of = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_bytes(bytes).unwrap());
            ids.of(&headers).as_str().to_owned()
        };

        assert_eq!(of(b"my id 1"), "my id 1");
        let drawn = "0000000000000007-";
        assert!(of(b"").starts_with(drawn));
        assert!(of("é".as_bytes()).starts_with(drawn));
        assert!(of(&[b'a'; 129]).starts_with(drawn));
        assert_eq!(of(&[b'a'; 128]).len(), 128);
    }
}
