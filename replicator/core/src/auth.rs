//! Signatures of calls between replicas: HMAC-SHA256 with a subkey of the cluster's key.
//!
//! No time stamps: clocks are not trusted, and a call that is repeated changes nothing. An answer is
//! bound to its question, so an old answer is not taken for a new one. While keys are being
//! rotated, the current one signs and either is accepted; an answer uses its question's key.

use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// The header of a signature, in questions and answers: `<key id>:<mac>`, both in hex.
pub const HEADER: &str = "causeway-peer";

/// The keys between replicas.
#[derive(Clone)]
pub struct PeerKeys {
    current: Key,
    previous: Option<Key>,
}

#[derive(Clone)]
struct Key {
    id: [u8; 4],
    secret: Vec<u8>,
}

/// A question that was signed or whose signature was found right: what its answer is bound to.
#[derive(Clone)]
pub struct SignedRequest {
    key: Key,
    mac: [u8; 32],
}

impl PeerKeys {
    /// Takes the subkeys for calls between replicas.
    pub fn new(current: &[u8], previous: Option<&[u8]>) -> Self {
        Self {
            current: Key::new(current),
            previous: previous.map(Key::new),
        }
    }

    /// Signs a question.
    pub fn sign(&self, method: &str, path_and_query: &str, body: &[u8]) -> SignedRequest {
        let key = self.current.clone();
        let mac = key.request_mac(method, path_and_query, body);
        SignedRequest { key, mac }
    }

    /// Tells whether a signature names one of these keys: whoever knows none need not be heard out.
    pub fn are_named_in(&self, header: Option<&str>) -> bool {
        let named = header.and_then(parse);
        named.is_some_and(|(id, _)| self.key(id).is_some())
    }

    /// Checks the signature of a question, against both keys.
    pub fn verify(
        &self,
        header: Option<&str>,
        method: &str,
        path_and_query: &str,
        body: &[u8],
    ) -> Option<SignedRequest> {
        let (id, given) = parse(header?)?;
        let key = self.key(id)?.clone();
        let mac = key.request_mac(method, path_and_query, body);
        bool::from(mac.ct_eq(&given)).then_some(SignedRequest { key, mac })
    }

    fn key(&self, id: [u8; 4]) -> Option<&Key> {
        let keys = [Some(&self.current), self.previous.as_ref()];
        keys.into_iter().flatten().find(|key| key.id == id)
    }
}

impl SignedRequest {
    /// The header of the question.
    pub fn header(&self) -> String {
        self.key.header(&self.mac)
    }

    /// The header of its answer. The body is signed as it is before compression.
    pub fn sign_answer(&self, status: u16, body: &[u8]) -> String {
        self.key.header(&self.answer_mac(status, body))
    }

    /// Tells whether an answer is the answer to this question.
    pub fn is_answered_by(&self, header: Option<&str>, status: u16, body: &[u8]) -> bool {
        header
            .and_then(parse)
            .is_some_and(|(_, given)| bool::from(self.answer_mac(status, body).ct_eq(&given)))
    }

    fn answer_mac(&self, status: u16, body: &[u8]) -> [u8; 32] {
        self.key.mac(&[
            b"answer",
            &self.mac,
            &status.to_be_bytes(),
            &Sha256::digest(body),
        ])
    }
}

impl Key {
    fn new(secret: &[u8]) -> Self {
        let mut key = Self {
            id: [0; 4],
            secret: secret.to_vec(),
        };
        let [a, b, c, d, ..] = key.mac(&[b"key id"]);
        key.id = [a, b, c, d];
        key
    }

    fn request_mac(&self, method: &str, path_and_query: &str, body: &[u8]) -> [u8; 32] {
        self.mac(&[
            b"question",
            method.as_bytes(),
            path_and_query.as_bytes(),
            &Sha256::digest(body),
        ])
    }

    /// Each part goes in with its length before it, so no two lists of parts are the same bytes.
    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn header(&self, mac: &[u8; 32]) -> String {
        format!("{}:{}", hex::encode(self.id), hex::encode(mac))
    }
}

fn parse(header: &str) -> Option<([u8; 4], [u8; 32])> {
    let (id, mac) = header.split_once(':')?;
    let (mut read_id, mut read_mac) = ([0; 4], [0; 32]);
    hex::decode_to_slice(id, &mut read_id).ok()?;
    hex::decode_to_slice(mac, &mut read_mac).ok()?;
    Some((read_id, read_mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_accepted_as_it_was_signed_and_in_no_other_form() {
        let keys = PeerKeys::new(b"new", Some(b"old"));
        let signed = keys.sign("POST", "/a?b=c", b"body");
        let header = signed.header();
        let header = Some(header.as_str());

        assert!(keys.verify(header, "POST", "/a?b=c", b"body").is_some());
        assert!(keys.verify(header, "GET", "/a?b=c", b"body").is_none());
        assert!(keys.verify(header, "POST", "/a?b=d", b"body").is_none());
        assert!(keys.verify(header, "POST", "/a?b=c", b"body2").is_none());
        assert!(keys.verify(None, "POST", "/a?b=c", b"body").is_none());
        let stranger = PeerKeys::new(b"other", None);
        assert!(stranger.verify(header, "POST", "/a?b=c", b"body").is_none());
    }

    #[test]
    fn either_key_is_accepted_while_they_are_rotated() {
        let old = PeerKeys::new(b"old", Some(b"new"));
        let new = PeerKeys::new(b"new", Some(b"old"));
        let question = old.sign("GET", "/", b"");

        let seen = new.verify(Some(&question.header()), "GET", "/", b"");
        let answer = seen.unwrap().sign_answer(200, b"fine");

        assert!(question.is_answered_by(Some(&answer), 200, b"fine"));
    }

    #[test]
    fn an_answer_belongs_to_one_question() {
        let keys = PeerKeys::new(b"key", None);
        let (first, second) = (keys.sign("GET", "/1", b""), keys.sign("GET", "/2", b""));
        let answer = first.sign_answer(200, b"fine");

        assert!(first.is_answered_by(Some(&answer), 200, b"fine"));
        assert!(!second.is_answered_by(Some(&answer), 200, b"fine"));
        assert!(!first.is_answered_by(Some(&answer), 409, b"fine"));
        assert!(!first.is_answered_by(Some(&answer), 200, b"bad"));
    }

    #[test]
    fn junk_is_no_signature() {
        let keys = PeerKeys::new(b"key", None);

        for junk in ["", ":", "zz:zz", "é", "00000000:", &"0".repeat(73)] {
            assert!(keys.verify(Some(junk), "GET", "/", b"").is_none(), "{junk}");
        }
    }
}
