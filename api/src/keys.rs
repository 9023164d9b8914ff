//! Subkeys derived from the cluster's key: one for each purpose, so that a signature for one is never
//! valid for another.
//!
//! While the key is being rotated, signatures are made with the current key and verified with either
//! key. Four bytes of a signature identify its key.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::config::{Config, Secret};

/// Identifies a signing key without revealing it.
pub type KeyId = [u8; 4];

/// Bytes of a whole signature.
pub const SIGNATURE_BYTES: usize = 32;

/// What a subkey is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Bearer tokens.
    Tokens,
    /// Cursors and marks.
    Cursors,
    /// Calls between replicas.
    Peers,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Cursors => "cursors",
            Self::Peers => "peers",
        }
    }
}

/// The cluster's key, and the one before it while it is being rotated.
#[derive(Clone)]
pub struct ClusterKeys {
    current: Vec<u8>,
    previous: Option<Vec<u8>>,
}

impl ClusterKeys {
    /// Returns the keys as given.
    pub fn new(current: &[u8], previous: Option<&[u8]>) -> Self {
        Self {
            current: current.to_vec(),
            previous: previous.map(<[u8]>::to_vec),
        }
    }

    /// Returns the keys of a configuration.
    pub fn of(config: &Config) -> Self {
        let previous = config.previous_cluster_key.as_ref().map(Secret::bytes);
        Self::new(config.cluster_key.bytes(), previous)
    }

    /// Derives the secrets that sign calls between replicas: the current and the previous one.
    pub fn peer_secrets(&self) -> ([u8; 32], Option<[u8; 32]>) {
        let keys = self.for_purpose(Purpose::Peers);
        (keys.current.secret, keys.previous.map(|key| key.secret))
    }

    /// Derives the keys of one purpose.
    pub fn for_purpose(&self, purpose: Purpose) -> SigningKeys {
        SigningKeys {
            current: SigningKey::derive(&self.current, purpose),
            previous: self
                .previous
                .as_deref()
                .map(|key| SigningKey::derive(key, purpose)),
        }
    }
}

/// The keys of one purpose.
#[derive(Clone)]
pub struct SigningKeys {
    current: SigningKey,
    previous: Option<SigningKey>,
}

#[derive(Clone)]
struct SigningKey {
    id: KeyId,
    secret: [u8; 32],
    /// An HMAC keyed with the secret, which is half of the work for a short message.
    keyed: Hmac<Sha256>,
}

/// The outcome of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Made with a key of this cluster over these bytes.
    Genuine,
    /// Names a key of this cluster, which did not make it.
    Forged,
    /// Names a key this replica does not have.
    UnknownKey,
}

impl SigningKeys {
    /// Signs with the current key.
    pub fn sign(&self, message: &[u8]) -> (KeyId, [u8; SIGNATURE_BYTES]) {
        (self.current.id, self.current.sign(message))
    }

    /// Verifies a signature, or its first bytes, in constant time. The caller fixes the length: the
    /// sender must not choose it.
    pub fn verify(&self, id: KeyId, message: &[u8], signature: &[u8]) -> Verification {
        let keys = std::iter::once(&self.current).chain(&self.previous);
        let Some(key) = keys.into_iter().find(|key| key.id == id) else {
            return Verification::UnknownKey;
        };
        let expected = key.sign(message);
        let length = signature.len().min(SIGNATURE_BYTES);
        if bool::from(expected[..length].ct_eq(signature)) {
            Verification::Genuine
        } else {
            Verification::Forged
        }
    }
}

impl SigningKey {
    fn derive(cluster_key: &[u8], purpose: Purpose) -> Self {
        let label = purpose.label();
        let secret = hmac(
            cluster_key,
            format!("causeway subkey v1: {label}").as_bytes(),
        );
        let name = hmac(&secret, b"causeway key id v1");
        let mut id = KeyId::default();
        id.copy_from_slice(&name[..4]);
        let keyed = begin(&secret);
        Self { id, secret, keyed }
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        end(self.keyed.clone(), message)
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    end(begin(key), message)
}

fn begin(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn end(mut mac: Hmac<Sha256>, message: &[u8]) -> [u8; 32] {
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_its_bytes_and_its_purpose_only() {
        let keys = ClusterKeys::new(&[7; 32], None);
        let tokens = keys.for_purpose(Purpose::Tokens);
        let (id, signature) = tokens.sign(b"ann");

        assert_eq!(tokens.verify(id, b"ann", &signature), Verification::Genuine);
        assert_eq!(
            tokens.verify(id, b"ann", &signature[..16]),
            Verification::Genuine
        );
        assert_eq!(tokens.verify(id, b"bob", &signature), Verification::Forged);
        assert_eq!(tokens.verify(id, b"ann", &[0; 40]), Verification::Forged);
        let cursors = keys.for_purpose(Purpose::Cursors);
        assert_eq!(
            cursors.verify(id, b"ann", &signature),
            Verification::UnknownKey
        );
    }

    #[test]
    fn two_keys_are_valid_while_one_replaces_the_other() {
        let purpose = Purpose::Tokens;
        let old = ClusterKeys::new(&[1; 32], None).for_purpose(purpose);
        let both = ClusterKeys::new(&[2; 32], Some(&[1; 32])).for_purpose(purpose);
        let new = ClusterKeys::new(&[2; 32], None).for_purpose(purpose);

        let (old_id, by_old) = old.sign(b"x");
        let (new_id, by_both) = both.sign(b"x");

        assert_eq!(both.verify(old_id, b"x", &by_old), Verification::Genuine);
        assert_eq!(new.verify(new_id, b"x", &by_both), Verification::Genuine);
        assert_eq!(new.verify(old_id, b"x", &by_old), Verification::UnknownKey);
    }

    /// A token, a cursor and a call between replicas must outlive an upgrade.
    #[test]
    fn every_version_derives_the_same_subkeys() {
        let keys = ClusterKeys::new(&[7; 32], None);
        let id_and_start = |purpose| {
            let (id, signature) = keys.for_purpose(purpose).sign(b"x");
            let [a, b, c, d, ..] = signature;
            (u32::from_be_bytes(id), u32::from_be_bytes([a, b, c, d]))
        };
        let made = [Purpose::Tokens, Purpose::Cursors, Purpose::Peers].map(id_and_start);

        assert_eq!(
            made,
            [
                (0x9489_26a9, 0x7c0f_b380),
                (0xe960_a051, 0x20c4_0cac),
                (0xb21d_9c5a, 0x1a39_1340)
            ]
        );
    }
}
