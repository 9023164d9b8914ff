//! Events on the wire: one line each, `<64 hex digits of the chain> <the event's bytes>`.
//!
//! JSON text has no raw line feed, so the bytes need no escaping and travel as their origin made
//! them.

use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{MAX_EVENT_BYTES, RawEvent};

/// Most events of one batch.
pub const BATCH_EVENTS: usize = 1000;
/// A batch ends with the event that reaches this many bytes.
pub const BATCH_BYTES: usize = 1 << 20;
/// Most bytes of a batch on the wire, decompressed: the last event and the hashes come on top.
pub const MAX_BODY_BYTES: usize = BATCH_BYTES + MAX_EVENT_BYTES + BATCH_EVENTS * 66;

const HASH_LEN: usize = 64;

/// Writes events as lines.
pub fn encode<'a>(events: impl IntoIterator<Item = &'a RawEvent>) -> Vec<u8> {
    let mut lines = Vec::new();
    for event in events {
        lines.extend_from_slice(event.hash.to_string().as_bytes());
        lines.push(b' ');
        lines.extend_from_slice(event.bytes.as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// What was read from a body.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The events, in the order sent.
    pub events: Vec<RawEvent>,
    /// How many lines were no events. They are left out, so that one bad event stops nobody but its
    /// own origin (F27).
    pub flawed: usize,
}

/// Reads lines. The caller bounds the body by [`MAX_BODY_BYTES`].
pub fn decode(body: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    for line in body.split(|&byte| byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        match decode_line(line) {
            Some(event) => decoded.events.push(event),
            None => decoded.flawed += 1,
        }
    }
    decoded
}

fn decode_line(line: &[u8]) -> Option<RawEvent> {
    let (hash, rest) = line.split_at_checked(HASH_LEN)?;
    let hash: Hash = std::str::from_utf8(hash).ok()?.parse().ok()?;
    let bytes: Arc<str> = std::str::from_utf8(rest.strip_prefix(b" ")?).ok()?.into();
    RawEvent::parse(bytes, hash).ok()
}
