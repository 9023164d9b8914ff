//! The bytes of an event: made once, at its origin, and never again.
//!
//! An event is stored, sent and hashed as these bytes. Replicas read only the envelope's frame;
//! the `event` inside is opaque to all but the aggregates, so a type that a replica does not know
//! is kept and passed on as it came (F27, F28). The field names here are frozen.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chain::Hash;
use crate::names::GroupName;
use crate::stamp::Stamp;

/// The api level that introduced the newest event type this version writes or knows.
pub const LEVEL: u32 = 1;

/// Most bytes of one event that a replica takes from a peer.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// Most bytes of a name in the frame: of the aggregate, its type, the event's type. Indexes hold
/// no longer ones.
pub const MAX_FRAME_NAME_BYTES: usize = 512;

/// The frame of every event, of every version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Who accepted it, when in the order, knowing what.
    pub stamp: Stamp,
    /// The api level that introduced this event type.
    pub level: u32,
    /// The type of aggregate: `group`, `post`, …
    pub aggregate: String,
    /// Which of them.
    pub id: String,
    /// The group whose readers it concerns, where it concerns one.
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
    /// The group it concerns, when its name is one this version accepts.
    pub fn group_name(&self) -> Option<GroupName> {
        GroupName::parse(self.group.as_deref()?).ok()
    }
}

/// Why bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEvent {
    /// Longer than [`MAX_EVENT_BYTES`].
    #[error("event of {0} bytes is longer than {MAX_EVENT_BYTES}")]
    TooLong(usize),
    /// Not JSON, or not this frame.
    #[error("event is not an envelope")]
    Frame(#[from] serde_json::Error),
    /// A part of its frame fits no column.
    #[error("event has a frame that cannot be stored: `{0}`")]
    Unstorable(&'static str),
    /// Its number is 0, beyond the range of numbers, or not just above its own past.
    #[error("event `{0}` contradicts its own past")]
    Past(String),
}

/// An event as it is stored and sent: its bytes and the chain up to it. A clone shares both.
#[derive(Clone, Debug)]
pub struct RawEvent {
    /// What the origin made, verbatim.
    pub bytes: Arc<str>,
    /// The frame, read from the bytes.
    pub envelope: Arc<Envelope>,
    /// The chain of its origin up to and with this event.
    pub hash: Hash,
}

impl RawEvent {
    /// Reads the frame of bytes that came from a peer or from the store. Never trusts them: every
    /// number fits its column afterwards.
    pub fn parse(bytes: Arc<str>, hash: Hash) -> Result<Self, NotAnEvent> {
        if bytes.len() > MAX_EVENT_BYTES {
            return Err(NotAnEvent::TooLong(bytes.len()));
        }
        let envelope: Envelope = serde_json::from_str(&bytes)?;
        if let Some(part) = unstorable(&envelope) {
            return Err(NotAnEvent::Unstorable(part));
        }
        let stamp = &envelope.stamp;
        let is_sound = stamp.past.is_next(stamp.dot())
            && stamp
                .vector()
                .iter()
                .all(|(_, seq)| i64::try_from(seq).is_ok());
        if !is_sound {
            return Err(NotAnEvent::Past(stamp.dot().to_string()));
        }
        Ok(Self {
            bytes,
            envelope: envelope.into(),
            hash,
        })
    }

    /// Serialises an event at its origin: the only place where event bytes are made.
    pub fn create(envelope: impl Into<Arc<Envelope>>, former: Hash) -> Self {
        let envelope = envelope.into();
        let bytes: Arc<str> = serde_json::to_string(&envelope)
            .expect("an envelope has only string keys and plain numbers")
            .into();
        let hash = former.then(bytes.as_bytes());
        Self {
            bytes,
            envelope,
            hash,
        }
    }
}

/// Names the part of a frame that fits no column. One such event would fail every batch it is in.
fn unstorable(envelope: &Envelope) -> Option<&'static str> {
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
    .map(|(_, part)| part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a peer of any version may send, and what the next one must still read. Frozen.
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
    fn an_event_of_a_later_version_is_kept_as_it_came() {
        let later = EVENT.replace(r#""level":1"#, r#""level":9,"more":[1]"#);

        let parsed = parse(&later).unwrap();

        assert_eq!(&*parsed.bytes, later);
        assert_eq!(parsed.envelope.level, 9);
    }

    #[test]
    fn an_event_that_contradicts_its_own_past_is_refused() {
        for (sound, odd) in [
            (r#""seq":2"#, r#""seq":3"#),
            (r#""seq":2"#, r#""seq":0"#),
            (r#"aa":1}"#, r#"aa":9223372036854775808}"#),
            (
                r#""past":{"#,
                r#""past":{"1.00000000":18446744073709551615,"#,
            ),
        ] {
            let event = EVENT.replace(sound, odd);
            let refused = parse(&event);
            assert!(matches!(refused, Err(NotAnEvent::Past(_))), "{event}");
        }
    }

    #[test]
    fn an_event_that_is_too_long_is_refused_unread() {
        let long = "x".repeat(MAX_EVENT_BYTES + 1);

        assert!(matches!(parse(&long), Err(NotAnEvent::TooLong(_))));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}", at in 0..EVENT.len(), byte in "[ -~]") {
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
