//! The hash chain over an origin's events: each hash covers an event's bytes and the previous hash.
//!
//! Two replicas that hold equally many events of an origin hold the same hash, unless their events
//! differ. So comparing 32 bytes detects a fork or a flipped bit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::NotThatForm;

/// The hash of an origin's events up to and including one of them. Text form: 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash before an origin's first event.
    pub const START: Self = Self([0; 32]);

    /// Returns the hash after one more event, given the bytes serialised at its origin.
    #[must_use]
    pub fn then(self, bytes: &[u8]) -> Self {
        Self(
            Sha256::new()
                .chain_update(self.0)
                .chain_update(bytes)
                .finalize()
                .into(),
        )
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = NotThatForm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || NotThatForm {
            text: text.chars().take(64).collect(),
            expected: "a hash: 64 hexadecimal digits",
        };
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| error())?;
        Ok(Self(hash))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_hash_round_trips_as_text_and_json(bytes: [u8; 32]) {
            let hash = Hash(bytes);

            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
            let json = serde_json::to_string(&hash).unwrap();
            prop_assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
        }

        #[test]
        fn arbitrary_text_is_no_hash(text in ".{0,80}") {
            prop_assert!(text.parse::<Hash>().is_err());
        }

        #[test]
        fn chains_are_equal_only_for_equal_events(
            a in proptest::collection::vec("[a-c]{0,3}", 0..5),
            b in proptest::collection::vec("[a-c]{0,3}", 0..5),
        ) {
            prop_assert_eq!(chain(&a) == chain(&b), a == b);
        }
    }

    #[test]
    fn a_sign_is_not_a_digit() {
        assert!("ab".repeat(32).parse::<Hash>().is_ok());
        assert!("ab+b".repeat(16).parse::<Hash>().is_err());
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        let expected = "8ff582cd0550d09a66ea6c2d1684a2f68d498c86e22d3d50417472add571ca1a";

        assert_eq!(Hash::START.then(b"event").to_string(), expected);
    }

    fn chain(events: &[String]) -> Hash {
        let events = events.iter();
        events.fold(Hash::START, |hash, event| hash.then(event.as_bytes()))
    }
}
