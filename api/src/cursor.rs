//! Cursors and marks: what a reader was delivered, to resume from, and what a writer wrote, to wait
//! for. Opaque to clients, valid on every replica, and signed, because a forged clock reading would
//! advance the clock of every replica.
//!
//! The content is `domain::cursor`; this module encodes and signs it. What a cursor of another group
//! or with an unknown key means is decided by the callers.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

pub use causeway_domain::cursor::{Cursor, Delivery};

use crate::keys::{ClusterKeys, KeyId, Purpose, SigningKeys, Verification};

/// Longest text that is decoded: two vectors of several hundred origins each.
pub const MAX_CURSOR_TEXT: usize = 16 * 1024;

const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;

/// Why a text is not a valid cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not a cursor.
    #[error("is not a cursor: send one back as it was received")]
    Junk,
    /// Modified or invented.
    #[error("is not a cursor of this cluster: send one back as it was received")]
    BadSignature,
    /// Signed with a key that this replica does not have, or no longer has: start again.
    #[error("was signed with a key that is no longer in use: start again without a cursor")]
    UnknownKey,
}

/// Encodes and decodes cursors.
#[derive(Clone)]
pub struct Cursors {
    keys: SigningKeys,
}

impl Cursors {
    /// Returns the cursors of a cluster.
    pub fn new(keys: &ClusterKeys) -> Self {
        Self {
            keys: keys.for_purpose(Purpose::Cursors),
        }
    }

    /// Returns the text of a cursor: version, content, key id, signature.
    pub fn encode(&self, cursor: &Cursor) -> String {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(VERSION);
        cursor.write(&mut bytes);
        let (key, signature) = self.keys.sign(&bytes);
        bytes.extend(key);
        bytes.extend(&signature[..MAC_BYTES]);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes the text of a cursor.
    pub fn decode(&self, text: &str) -> Result<Cursor, CursorError> {
        if text.len() > MAX_CURSOR_TEXT {
            return Err(CursorError::Junk);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CursorError::Junk)?;
        let (content, key, signature) = split(&bytes).ok_or(CursorError::Junk)?;
        // Before the key is checked, so that junk is not mistaken for a cursor of a former key.
        let cursor = content
            .strip_prefix(&[VERSION])
            .and_then(Cursor::parse)
            .ok_or(CursorError::Junk)?;
        match self.keys.verify(key, content, signature) {
            Verification::Genuine => Ok(cursor),
            Verification::Forged => Err(CursorError::BadSignature),
            Verification::UnknownKey => Err(CursorError::UnknownKey),
        }
    }
}

fn split(bytes: &[u8]) -> Option<(&[u8], KeyId, &[u8])> {
    let (rest, signature) = bytes.split_last_chunk::<MAC_BYTES>()?;
    let (content, key) = rest.split_last_chunk()?;
    Some((content, *key, signature))
}

#[cfg(test)]
mod tests {
    use causeway_domain::hlc::Hlc;
    use causeway_domain::ids::{Epoch, Origin, ReplicaId};
    use causeway_domain::names::GroupName;
    use causeway_domain::version_vector::VersionVector;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_went(cursor in any_cursor()) {
            let text = cursors(1).encode(&cursor);

            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            prop_assert_eq!(cursors(1).decode(&text), Ok(cursor));
        }

        #[test]
        fn a_changed_cursor_is_refused(cursor in any_cursor(), place: usize, bit in 0..8) {
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(cursors(1).encode(&cursor)).unwrap();
            let place = place % bytes.len();
            bytes[place] ^= 1_u8 << bit;

            let changed = BASE64_URL_SAFE_NO_PAD.encode(bytes);

            prop_assert!(cursors(1).decode(&changed).is_err());
        }

        #[test]
        fn junk_is_refused(bytes: Vec<u8>, text in ".{0,64}") {
            let encoded = BASE64_URL_SAFE_NO_PAD.encode(bytes);

            prop_assert!(cursors(1).decode(&encoded).is_err());
            prop_assert!(cursors(1).decode(&text).is_err());
        }
    }

    #[test]
    fn a_refusal_says_whether_it_is_worth_starting_again() {
        let cursor = Cursor {
            group: None,
            level: 1,
            delivery: Delivery {
                highest: Hlc::at_ms(1),
                ..Delivery::default()
            },
        };
        let text = cursors(1).encode(&cursor);
        let mut changed = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
        changed[5] ^= 1;
        let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);

        assert_eq!(cursors(1).decode("junk"), Err(CursorError::Junk));
        assert_eq!(cursors(1).decode(""), Err(CursorError::Junk));
        let endless = "A".repeat(MAX_CURSOR_TEXT + 1);
        assert_eq!(cursors(1).decode(&endless), Err(CursorError::Junk));
        assert_eq!(cursors(1).decode(&changed), Err(CursorError::BadSignature));
        assert_eq!(cursors(2).decode(&text), Err(CursorError::UnknownKey));
    }

    #[test]
    fn every_version_reads_and_writes_the_same_text() {
        let origin = |replica| Origin {
            replica: ReplicaId::new(replica).unwrap(),
            epoch: Epoch(0x9f3c_07aa),
        };
        let cursor = Cursor {
            group: Some(GroupName::parse("lobby").unwrap()),
            level: 1,
            delivery: Delivery {
                delivered: [(origin(1), 300), (origin(2), 5)].into_iter().collect(),
                acknowledged: Some([(origin(1), 7)].into_iter().collect()),
                highest: Hlc::at_ms(1_700_000_000_000),
            },
        };
        let frozen = "AQVsb2JieQGLz-VoAAAAAQIAAZ88B6qsAgACnzwHqgUBAAGfPAeqB7UansPbvuHCzXH-\
                      9e_JdBklGqUJ";

        assert_eq!(cursors(1).encode(&cursor), frozen);
        assert_eq!(cursors(1).decode(frozen), Ok(cursor));
    }

    fn cursors(key: u8) -> Cursors {
        Cursors::new(&ClusterKeys::new(&[key; 32], None))
    }

    fn any_cursor() -> impl Strategy<Value = Cursor> {
        let group = proptest::option::of("[a-z0-9][a-zé0-9._-]{0,31}");
        let origin = (1..=u16::MAX, any::<u32>()).prop_map(|(replica, epoch)| Origin {
            replica: ReplicaId::new(replica).unwrap(),
            epoch: Epoch(epoch),
        });
        let held = proptest::collection::vec((origin, 1..=u64::MAX), 0..20);
        let held = held.prop_map(|held| held.into_iter().collect::<VersionVector>());
        let acknowledged = proptest::option::of(held.clone());
        let rest = (0..=Hlc::MAX.get(), any::<u32>());
        let all = (group, held, acknowledged, rest);
        all.prop_map(|(group, delivered, acknowledged, (hlc, level))| Cursor {
            group: group.map(|name| GroupName::parse(&name).unwrap()),
            level,
            delivery: Delivery {
                delivered,
                acknowledged,
                highest: Hlc::new(hlc).unwrap(),
            },
        })
    }
}
