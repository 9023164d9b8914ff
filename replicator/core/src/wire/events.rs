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
#[derive(Clone, Debug, Default)]
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

#[cfg(test)]
mod tests {
    use causeway_domain::envelope::Envelope;
    use causeway_domain::hlc::Hlc;
    use causeway_domain::ids::{Epoch, Origin, ReplicaId};
    use causeway_domain::stamp::Stamp;
    use causeway_domain::version_vector::VersionVector;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_arrive_as_they_were_sent() {
        let events = [event("plain"), event("two\nlines, and \u{1f30a}")];

        let decoded = decode(&encode(&events));

        assert_eq!(decoded.flawed, 0);
        let sent = events.iter().map(|event| (&*event.bytes, event.hash));
        let came = decoded
            .events
            .iter()
            .map(|event| (&*event.bytes, event.hash));
        assert!(sent.eq(came));
    }

    #[test]
    fn a_flawed_line_costs_only_itself() {
        let mut body = b"junk\n".to_vec();
        body.extend(encode(&[event("fine")]));
        body.extend(format!("{} {{}}\n", Hash::START).into_bytes());

        let decoded = decode(&body);

        assert_eq!((decoded.events.len(), decoded.flawed), (1, 2));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>, lines in "([0-9a-f]{60,66} .{0,40}\n){0,4}") {
            prop_assert!(decode(&body).events.is_empty());
            prop_assert!(decode(lines.as_bytes()).events.is_empty());
        }
    }

    fn event(text: &str) -> RawEvent {
        let origin = Origin {
            replica: ReplicaId::new(1).unwrap(),
            epoch: Epoch(7),
        };
        let event = serde_json::value::to_raw_value(&serde_json::json!({ "text": text }));
        let envelope = Envelope {
            stamp: Stamp {
                origin,
                seq: 1,
                hlc: Hlc::at_ms(5),
                past: VersionVector::default(),
            },
            level: 1,
            aggregate: "post".into(),
            id: "x".into(),
            group: None,
            kind: "Posted".into(),
            at: 0,
            event: event.unwrap().into(),
        };
        RawEvent::create(envelope, Hash::START)
    }
}
