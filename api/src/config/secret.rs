//! Key material that is never printed.

use std::collections::BTreeSet;
use std::fmt;

/// Fewest bytes of a cluster's key.
pub const MIN_KEY_BYTES: usize = 32;
/// A random key of 32 hexadecimal digits has fewer different ones once in ten million.
const MIN_DIFFERENT_BYTES: usize = 6;
/// The longest part that a key may not consist of.
const MAX_REPEATED_BYTES: usize = 8;

/// The bytes of a cluster's key; printed as dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Why a text is not taken as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    /// It has this many bytes.
    #[error("a key has at least {MIN_KEY_BYTES} bytes, this one has {0}")]
    Short(usize),
    /// It repeats a few letters.
    #[error(
        "this key repeats a few letters and is easy to guess; make one with `openssl rand -hex 32`"
    )]
    Guessable,
}

impl Secret {
    /// Returns a key from its text.
    pub fn new(text: &str) -> Result<Self, WeakKey> {
        let bytes = text.as_bytes();
        if bytes.len() < MIN_KEY_BYTES {
            return Err(WeakKey::Short(bytes.len()));
        }
        let different: BTreeSet<&u8> = bytes.iter().collect();
        let repeats = |length: usize| bytes[length..].iter().eq(&bytes[..bytes.len() - length]);
        if different.len() < MIN_DIFFERENT_BYTES || (1..=MAX_REPEATED_BYTES).any(repeats) {
            return Err(WeakKey::Guessable);
        }
        Ok(Self(bytes.to_vec()))
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_repeats_a_few_letters_is_refused() {
        for guessable in [
            "k".repeat(32),
            "ab".repeat(40),
            "password".repeat(5),
            "11112222333344445555111122223333".to_owned(),
        ] {
            assert_eq!(
                Secret::new(&guessable),
                Err(WeakKey::Guessable),
                "{guessable}"
            );
        }
        for good in [
            "0123456789abcdef0123456789abcdef",
            "a key for tests, longer than thirty-two bytes",
        ] {
            assert!(Secret::new(good).is_ok(), "{good}");
        }
        assert_eq!(Secret::new("short"), Err(WeakKey::Short(5)));
    }
}
