//! The names that users choose, in the canonical form that is stored, compared and shown, and the
//! ids of users and messages.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::form::{MAX_NAME_CHARS, NotAName};

mod form;

/// The longest text that is folded, in bytes. No text that folds to 32 characters is longer.
const MAX_TYPED_BYTES: usize = 1024;
/// The longest name that is taken over from another replica, in bytes: what a cursor has room for.
const MAX_NAME_BYTES: usize = 255;

/// The name of a user or group after NFKC and case folding, so that spellings which look the same
/// are the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Folds and validates a name as typed by a user.
    pub fn parse(text: &str) -> Result<Self, NotAName> {
        // The limit bounds the cost of folding.
        if text.len() > MAX_TYPED_BYTES {
            return Err(NotAName::Characters);
        }
        let name = form::fold(text);
        form::check(&name)?;
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes over a stored name in the form that its origin, perhaps with other Unicode tables,
    /// folded and checked: it is compared as bytes, and refused only where it cannot be stored.
    pub fn stored(text: &str) -> Result<Self, NotAName> {
        let is_storable = !text.is_empty() && !text.chars().any(char::is_control);
        if !is_storable || text.len() > MAX_NAME_BYTES {
            return Err(NotAName::Characters);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::stored(&text).map_err(serde::de::Error::custom)
    }
}

/// The name of a group, which is also its id: a name used on both sides of a cut is one group.
pub type GroupName = Name;

/// The id of a user, independent of the user's name. Opaque.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub String);

impl UserId {
    /// The id of the user with this name where no credentials are required (`auth = "open"`): the
    /// same on every replica.
    pub fn of_open_name(name: &Name) -> Self {
        Self(digest_id(&["open user", name.as_str()]))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A user, as named in events and responses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The user's name.
    pub name: String,
}

/// The id of a message. Opaque; 32 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub String);

impl MessageId {
    /// The id of a message that is sent with an idempotency key: derived from author, group, key
    /// and text alone, so a retry on any replica yields the same id (F12).
    pub fn of_key(author: &UserId, group: &GroupName, key: &str, text: &str) -> Self {
        Self(digest_id(&[
            "message",
            &author.0,
            group.as_str(),
            key,
            text,
        ]))
    }

    /// The id of a message that is sent without a key, from random bits.
    pub fn of_random(random: [u8; 16]) -> Self {
        Self(hex(&random))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The digest by which an author's idempotency key is looked up.
pub fn key_digest(author: &UserId, key: &str) -> [u8; 16] {
    digest(&["idempotency key", &author.0, key])
}

fn digest_id(parts: &[&str]) -> String {
    hex(&digest(parts))
}

/// The first 16 bytes of SHA-256 over the parts, each prefixed with its length, so that different
/// lists of parts have different encodings.
fn digest(parts: &[&str]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize()[..16]);
    first
}

fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_that_look_the_same_are_the_same_name() {
        for (typed, name) in [
            ("Lobby", "lobby"),
            ("ＬＯＢＢＹ", "lobby"),
            ("Straße", "strasse"),
            ("caf\u{e9}", "caf\u{e9}"),
            ("cafe\u{301}", "caf\u{e9}"),
            ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
            ("7-of_9.x", "7-of_9.x"),
            ("日本", "日本"),
        ] {
            assert_eq!(Name::parse(typed).unwrap().as_str(), name, "{typed}");
        }
    }

    #[test]
    fn an_invalid_name_is_refused() {
        let long = "a".repeat(MAX_NAME_CHARS + 1);
        let endless = "a\u{301}".repeat(100_000);
        for text in [
            "", "-a", ".a", "_a", "a b", "a/b", "a\n", "😀", "\u{200b}", &long, &endless,
        ] {
            assert_eq!(Name::parse(text), Err(NotAName::Characters), "{text:.40}");
        }
        assert!(Name::parse(&"x".repeat(MAX_NAME_CHARS)).is_ok());
    }

    #[test]
    fn a_stored_name_is_taken_over_as_its_origin_wrote_it() {
        for text in ["not checked here", "\u{430}dmin", "Ann"] {
            assert_eq!(Name::stored(text).unwrap().as_str(), text);
        }
        for text in ["", "a\0b", &"x".repeat(256)] {
            assert!(Name::stored(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ids_that_every_replica_derives_are_frozen() {
        let ann = Name::parse("Ann").unwrap();
        let lobby = Name::parse("lobby").unwrap();
        let author = UserId::of_open_name(&ann);

        let id = MessageId::of_key(&author, &lobby, "key", "text");

        assert_eq!(author.to_string(), "fe8cf54ef370460e4ff7a11cf38ddb2a");
        assert_eq!(id.to_string(), "18cc8e26454ffec8f239f72493b17ddf");
    }

    #[test]
    fn each_part_of_a_message_affects_its_id() {
        let [ann, bob] = ["ann", "bob"].map(|n| UserId::of_open_name(&Name::parse(n).unwrap()));
        let [x, y] = ["x", "y"].map(|n| Name::parse(n).unwrap());

        let ids = [
            MessageId::of_key(&ann, &x, "k", "t"),
            MessageId::of_key(&bob, &x, "k", "t"),
            MessageId::of_key(&ann, &y, "k", "t"),
            MessageId::of_key(&ann, &x, "kt", ""),
            MessageId::of_key(&ann, &x, "", "kt"),
        ];

        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    proptest! {
        /// Folding is idempotent, so a name is the same on every replica and in every path.
        #[test]
        fn a_name_is_its_own_fold(text in "\\PC{0,40}") {
            if let Ok(name) = Name::parse(&text) {
                prop_assert_eq!(Name::parse(name.as_str()).unwrap(), name.clone());
                let json = serde_json::to_string(&name).unwrap();
                prop_assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), name);
            }
        }
    }
}
