//! Cursors and marks: what a reader was given, to resume from, and what a writer wrote, to wait
//! for. Opaque to clients, valid on every replica, and signed: a reader who could forge a clock
//! reading could drag every clock (F15).
//!
//! Whoever decodes one decides what a cursor of another group or an unknown key means; here is
//! only what it says.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::names::GroupName;
use causeway_domain::version_vector::VersionVector;

use crate::keys::{ClusterKeys, KeyId, Purpose, SigningKeys, Verdict};

/// Longest text that is looked at: several hundred origins.
pub const MAX_CURSOR_TEXT: usize = 8 * 1024;

const VERSION: u8 = 1;
const MAC_BYTES: usize = 16;

/// What a reader has been given, or a writer has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The group that a stream resumes in; none in a mark, which only says what to wait for.
    pub group: Option<GroupName>,
    /// What is covered.
    pub vector: VersionVector,
    /// How much of it was known where the reader was told last, when that was not all: whoever was
    /// told things by a replica that lacked some of it may have been told what that overrules.
    pub weighed: Option<VersionVector>,
    /// The highest clock reading among it.
    pub hlc: Hlc,
    /// The api level of the replica that made it.
    pub level: u32,
}

/// Why a text is no cursor of this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// No cursor at all.
    #[error("is not a cursor: send one back as it was given")]
    Junk,
    /// Changed, or made up.
    #[error("is not a cursor of this cluster: send one back as it was given")]
    BadSignature,
    /// Signed with a key that this replica does not have (any more): start again.
    #[error("was signed with a key that is no longer in use: start again without a cursor")]
    UnknownKey,
}

/// Makes and reads cursors.
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

    /// Returns the text of a cursor: version, what it says, the key's id, the signature.
    pub fn encode(&self, cursor: &Cursor) -> String {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(VERSION);
        write(cursor, &mut bytes);
        let (key, signature) = self.keys.sign(&bytes);
        bytes.extend(key);
        bytes.extend(&signature[..MAC_BYTES]);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the text of a cursor.
    pub fn decode(&self, text: &str) -> Result<Cursor, CursorError> {
        if text.len() > MAX_CURSOR_TEXT {
            return Err(CursorError::Junk);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CursorError::Junk)?;
        let (said, key, signature) = split(&bytes).ok_or(CursorError::Junk)?;
        // Before the key is looked at, so that junk is not taken for a cursor of a former key.
        let cursor = said
            .strip_prefix(&[VERSION])
            .and_then(read)
            .ok_or(CursorError::Junk)?;
        match self.keys.verify(key, said, signature) {
            Verdict::Genuine => Ok(cursor),
            Verdict::Forged => Err(CursorError::BadSignature),
            Verdict::UnknownKey => Err(CursorError::UnknownKey),
        }
    }
}

fn split(bytes: &[u8]) -> Option<(&[u8], KeyId, &[u8])> {
    let (rest, signature) = bytes.split_last_chunk::<MAC_BYTES>()?;
    let (said, key) = rest.split_last_chunk()?;
    Some((said, *key, signature))
}

fn write(cursor: &Cursor, bytes: &mut Vec<u8>) {
    let group = cursor.group.as_ref().map_or("", GroupName::as_str);
    bytes.push(u8::try_from(group.len()).expect("a name has at most 32 characters of 4 bytes"));
    bytes.extend(group.as_bytes());
    bytes.extend(cursor.hlc.get().to_be_bytes());
    put_number(u64::from(cursor.level), bytes);
    put_vector(&cursor.vector, bytes);
    if let Some(weighed) = &cursor.weighed {
        put_vector(weighed, bytes);
    }
}

fn put_vector(vector: &VersionVector, bytes: &mut Vec<u8>) {
    put_number(vector.len() as u64, bytes);
    for (origin, seq) in vector.iter() {
        bytes.extend(origin.replica.get().to_be_bytes());
        bytes.extend(origin.epoch.0.to_be_bytes());
        put_number(seq, bytes);
    }
}

fn read(mut bytes: &[u8]) -> Option<Cursor> {
    let bytes = &mut bytes;
    let group_length = usize::from(take::<1>(bytes)?[0]);
    let (group, rest) = bytes.split_at_checked(group_length)?;
    *bytes = rest;
    let group = match str::from_utf8(group).ok()? {
        "" => None,
        name => Some(GroupName::parse(name).ok()?),
    };
    let hlc = Hlc::new(u64::from_be_bytes(take(bytes)?))?;
    let level = u32::try_from(take_number(bytes)?).ok()?;
    let vector = take_vector(bytes)?;
    let weighed = if bytes.is_empty() {
        None
    } else {
        Some(take_vector(bytes)?)
    };
    bytes.is_empty().then_some(Cursor {
        group,
        vector,
        weighed,
        hlc,
        level,
    })
}

fn take_vector(bytes: &mut &[u8]) -> Option<VersionVector> {
    let count = take_number(bytes)?;
    let mut held = Vec::new();
    for _ in 0..count {
        let origin = Origin {
            replica: ReplicaId::new(u16::from_be_bytes(take(bytes)?))?,
            epoch: Epoch(u32::from_be_bytes(take(bytes)?)),
        };
        held.push((origin, take_number(bytes)?));
    }
    Some(held.into_iter().collect())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Seven bits a byte, the lowest first: a cursor stands in every frame, and most numbers are
/// small.
fn put_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(bytes)?;
        let bits = u64::from(byte & 0x7f);
        if bits.checked_shl(shift)? >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
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
            vector: VersionVector::default(),
            weighed: None,
            hlc: Hlc::at_ms(1),
            level: 1,
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
            vector: [(origin(1), 300), (origin(2), 5)].into_iter().collect(),
            weighed: Some([(origin(1), 7)].into_iter().collect()),
            hlc: Hlc::at_ms(1_700_000_000_000),
            level: 1,
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
        let weighed = proptest::option::of(held.clone());
        let rest = (0..=Hlc::MAX.get(), any::<u32>());
        (group, held, weighed, rest).prop_map(|(group, vector, weighed, (hlc, level))| Cursor {
            group: group.map(|name| GroupName::parse(&name).unwrap()),
            vector,
            weighed,
            hlc: Hlc::new(hlc).unwrap(),
            level,
        })
    }
}
