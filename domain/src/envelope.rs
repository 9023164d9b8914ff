//! The bytes of an event, serialised once, at its origin.
//!
//! An event is stored, sent and hashed as these bytes. Replicas read only the envelope; the `event`
//! inside is opaque to all but the aggregates, so an event of an unknown type is stored and relayed
//! verbatim (F27, F28). The field names here are frozen.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chain::Hash;
use crate::names::GroupName;
use crate::stamp::Stamp;

/// The API level of the newest event type that this version writes or knows.
pub const LEVEL: u32 = 1;

/// Maximum size of one event from a peer, in bytes.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// Maximum length, in bytes, of the aggregate's id, its type and the event's type: Postgres limits
/// the size of an index entry.
pub const MAX_FRAME_NAME_BYTES: usize = 512;

/// The envelope of every event, in every version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Its dot, causal past and clock reading.
    pub stamp: Stamp,
    /// The API level that introduced this event type.
    pub level: u32,
    /// The type of aggregate: `group`, `post`, …
    pub aggregate: String,
    /// The id of the aggregate.
    pub id: String,
    /// The group whose readers it concerns, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The event's type, in the past tense.
    #[serde(rename = "type")]
    pub kind: String,
    /// The origin's wall time, milliseconds since 1970: for display, never for order.
    pub at: i64,
    /// The event itself.
    pub event: Arc<RawValue>,
}

impl Envelope {
    /// The group it concerns, if this version accepts the name.
    pub fn group_name(&self) -> Option<GroupName> {
        GroupName::stored(self.group.as_deref()?).ok()
    }
}

/// Why bytes are not a valid event.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEvent {
    /// Longer than [`MAX_EVENT_BYTES`].
    #[error("event of {0} bytes is longer than {MAX_EVENT_BYTES}")]
    TooLong(usize),
    /// Not JSON, or not an envelope.
    #[error("event is not an envelope")]
    Frame(#[from] serde_json::Error),
    /// A field of the envelope does not fit its column.
    #[error("event has an envelope that cannot be stored: `{0}`")]
    Unstorable(&'static str),
    /// The seq is 0, out of range, or not the successor of the causal past.
    #[error("event `{0}` contradicts its own past")]
    Past(String),
}

/// An event as it is stored and sent, with its chain hash. A clone shares the bytes.
#[derive(Clone, Debug)]
pub struct RawEvent {
    /// The bytes serialised at the origin, verbatim.
    pub bytes: Arc<str>,
    /// The envelope, parsed from the bytes.
    pub envelope: Arc<Envelope>,
    /// The chain hash of its origin up to and including this event.
    pub hash: Hash,
}

impl RawEvent {
    /// Parses and validates the bytes of an event from a peer or the store. Every number of the
    /// result fits its column.
    pub fn parse(bytes: Arc<str>, hash: Hash) -> Result<Self, NotAnEvent> {
        if bytes.len() > MAX_EVENT_BYTES {
            return Err(NotAnEvent::TooLong(bytes.len()));
        }
        let envelope: Envelope = serde_json::from_str(&bytes)?;
        if let Some(field) = unstorable_field(&envelope) {
            return Err(NotAnEvent::Unstorable(field));
        }
        let stamp = &envelope.stamp;
        let is_consistent = stamp.past.is_next(stamp.dot())
            && stamp
                .vector()
                .iter()
                .all(|(_, seq)| i64::try_from(seq).is_ok());
        if !is_consistent {
            return Err(NotAnEvent::Past(stamp.dot().to_string()));
        }
        Ok(Self {
            bytes,
            envelope: envelope.into(),
            hash,
        })
    }

    /// Serialises an event at its origin. No other code creates event bytes.
    pub fn create(envelope: impl Into<Arc<Envelope>>, previous: Hash) -> Self {
        let envelope = envelope.into();
        let bytes: Arc<str> = serde_json::to_string(&envelope)
            .expect("an envelope has only string keys and finite numbers")
            .into();
        let hash = previous.then(bytes.as_bytes());
        Self {
            bytes,
            envelope,
            hash,
        }
    }
}

/// The name of a field that does not fit its column. Such an event would fail its whole batch.
fn unstorable_field(envelope: &Envelope) -> Option<&'static str> {
    let is_name = |text: &str| text.len() <= MAX_FRAME_NAME_BYTES && !text.contains('\0');
    if i32::try_from(envelope.level).is_err() {
        return Some("level");
    }
    [
        (&envelope.aggregate, "aggregate"),
        (&envelope.id, "id"),
        (&envelope.kind, "type"),
    ]
    .into_iter()
    .find(|(text, _)| !is_name(text))
    .map(|(_, field)| field)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An event of the first version, which every later version must read. Frozen.
    const EVENT: &str = r#"{"stamp":{"origin":"2.9f3c07aa","seq":2,"hlc":65536,"past":{"2.9f3c07aa":1}},"level":1,"aggregate":"post","id":"m1","group":"lobby","type":"Posted","at":5,"event":{"text":"hi"}}"#;

    #[test]
    fn an_event_has_the_form_that_every_version_writes() {
        let parsed = parse(EVENT).unwrap();

        let again = RawEvent::create((*parsed.envelope).clone(), Hash::START);

        assert_eq!(&*again.bytes, EVENT);
        assert_eq!(again.hash, Hash::START.then(EVENT.as_bytes()));
        assert_eq!(again.envelope.group_name().unwrap().as_str(), "lobby");
    }

    #[test]
    fn an_event_of_a_later_version_is_kept_verbatim() {
        let later = EVENT.replace(r#""level":1"#, r#""level":9,"more":[1]"#);

        let parsed = parse(&later).unwrap();

        assert_eq!(&*parsed.bytes, later);
        assert_eq!(parsed.envelope.level, 9);
    }

    #[test]
    fn an_event_that_contradicts_its_own_past_is_refused() {
        for (valid, invalid) in [
            (r#""seq":2"#, r#""seq":3"#),
            (r#""seq":2"#, r#""seq":0"#),
            (r#"aa":1}"#, r#"aa":9223372036854775808}"#),
            (
                r#""past":{"#,
                r#""past":{"1.00000000":18446744073709551615,"#,
            ),
        ] {
            let event = EVENT.replace(valid, invalid);
            let refused = parse(&event);
            assert!(matches!(refused, Err(NotAnEvent::Past(_))), "{event}");
        }
    }

    #[test]
    fn an_event_that_is_too_long_is_refused_before_parsing() {
        let long = "x".repeat(MAX_EVENT_BYTES + 1);

        assert!(matches!(parse(&long), Err(NotAnEvent::TooLong(_))));
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in ".{0,200}", at in 0..EVENT.len(), byte in "[ -~]") {
            prop_assert!(parse(&text).is_err());
            let mut flipped = EVENT.to_owned();
            flipped.replace_range(at..=at, &byte);
            if let Ok(event) = parse(&flipped) {
                prop_assert_eq!(&*event.bytes, &flipped);
            }
        }
    }

    fn parse(text: &str) -> Result<RawEvent, NotAnEvent> {
        RawEvent::parse(text.into(), Hash::START)
    }
}
