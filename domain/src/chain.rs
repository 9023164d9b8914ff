//! The hash over an origin's events: each event's bytes together with the hash of the former one.
//!
//! Two replicas that hold the same number of an origin's events hold the same hash, or one of them
//! holds other events: a fork or a flipped bit is seen by comparing 32 bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::NotThatForm;

/// The chain up to and with one event of an origin. Text form: 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What stands before an origin's first event.
    pub const START: Self = Self([0; 32]);

    /// Returns the hash after one more event, given the bytes its origin made.
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
        let refused = || NotThatForm {
            text: text.chars().take(64).collect(),
            expected: "a hash: 64 hexadecimal digits",
        };
        if text.len() != 64 || !text.is_ascii() {
            return Err(refused());
        }
        let mut hash = [0; 32];
        for (byte, i) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[i..i + 2], 16).map_err(|_| refused())?;
        }
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
