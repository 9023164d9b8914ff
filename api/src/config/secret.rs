//! Key material that is never printed.

use std::fmt;

/// Fewest bytes of a cluster's key.
pub const MIN_KEY_BYTES: usize = 32;

/// The bytes of a cluster's key; printed as dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Returns a key from its text; `None` when it is too short.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() >= MIN_KEY_BYTES).then(|| Self(text.as_bytes().to_vec()))
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
