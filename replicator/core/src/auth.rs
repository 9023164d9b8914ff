//! Signatures of calls between replicas: HMAC-SHA256 with a subkey of the cluster's key.
//!
//! A call's head names its caller, the process it is meant for, a number that is never used twice
//! and the hash of its body, so a caller is authenticated before any of the body is read, and a
//! captured call is worth nothing (`freshness`). An answer is bound to its call. While keys are
//! being rotated, the current one signs and either is accepted; an answer uses its call's key.

mod head;

use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

pub use head::{Head, Process, Session};

/// The header of a signature, in calls and answers.
pub const HEADER: &str = "causeway-peer";

/// The form of the signatures. A later form begins with a higher number.
const FORM: &str = "2";

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

/// A call that was signed, or whose signature was found right: what its answer is bound to.
#[derive(Clone)]
pub struct SignedCall {
    /// What the call says of itself.
    pub head: Head,
    header: String,
    key: Key,
    mac: [u8; 32],
}

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// It is missing, malformed, or made with another key.
    Forged,
    /// It has the form of another version of the peer protocol.
    OtherForm,
}

impl PeerKeys {
    /// Takes the subkeys for calls between replicas.
    pub fn new(current: &[u8], previous: Option<&[u8]>) -> Self {
        Self {
            current: Key::new(current),
            previous: previous.map(Key::new),
        }
    }

    /// Signs a call.
    pub fn sign(&self, method: &str, path_and_query: &str, head: Head) -> SignedCall {
        let key = self.current.clone();
        let signed = format!("{FORM} {} {head}", hex::encode(key.id));
        let mac = key.call_mac(method, path_and_query, &signed);
        let header = format!("{signed} {}", hex::encode(mac));
        SignedCall {
            head,
            header,
            key,
            mac,
        }
    }

    /// Verifies the signature of a call, with both keys.
    pub fn verify(
        &self,
        header: Option<&str>,
        method: &str,
        path_and_query: &str,
    ) -> Result<SignedCall, Unverified> {
        let header = header.ok_or(Unverified::Forged)?;
        let (form, rest) = header.split_once(' ').unwrap_or((header, ""));
        if form != FORM {
            return Err(other_form(form));
        }
        let verified = || {
            let (id, _) = rest.split_once(' ')?;
            let (signed, mac) = header.rsplit_once(' ')?;
            let (id, given) = (bytes::<4>(id)?, bytes::<32>(mac)?);
            let head = signed.get(form.len() + 10..)?.parse().ok()?;
            let key = self.key(id)?.clone();
            let mac = key.call_mac(method, path_and_query, signed);
            bool::from(mac.ct_eq(&given)).then(|| SignedCall {
                head,
                header: header.to_owned(),
                key,
                mac,
            })
        };
        verified().ok_or(Unverified::Forged)
    }

    fn key(&self, id: [u8; 4]) -> Option<&Key> {
        let keys = [Some(&self.current), self.previous.as_ref()];
        keys.into_iter().flatten().find(|key| key.id == id)
    }
}

/// The first form was `<key id>:<mac>`; later ones begin with their number.
fn other_form(form: &str) -> Unverified {
    let is_number = |text: &str| text.parse::<u16>().is_ok();
    let is_first = |text: &str| {
        let pair = text.split_once(':');
        pair.is_some_and(|(id, mac)| bytes::<4>(id).is_some() && bytes::<32>(mac).is_some())
    };
    if is_number(form) || is_first(form) {
        Unverified::OtherForm
    } else {
        Unverified::Forged
    }
}

impl SignedCall {
    /// The header of the call.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The header of its answer, which offers a session. The body is signed as it is before
    /// compression.
    pub fn sign_answer(&self, status: u16, offer: Session, body: &[u8]) -> String {
        let signed = format!("{FORM} {} {offer}", hex::encode(self.key.id));
        let mac = self.answer_mac(status, &signed, body);
        format!("{signed} {}", hex::encode(mac))
    }

    /// Returns the session that an answer offers, if it is the answer to this call.
    pub fn verify_answer(&self, header: Option<&str>, status: u16, body: &[u8]) -> Option<Session> {
        let (signed, mac) = header?.rsplit_once(' ')?;
        let given = bytes::<32>(mac)?;
        let (_, offer) = signed.rsplit_once(' ')?;
        let offer = offer.parse().ok()?;
        let mac = self.answer_mac(status, signed, body);
        bool::from(mac.ct_eq(&given)).then_some(offer)
    }

    /// Tells whether a body is the one that was signed.
    pub fn has_body(&self, body: &[u8]) -> bool {
        self.head.body_hash == hash(body)
    }

    fn answer_mac(&self, status: u16, signed: &str, body: &[u8]) -> [u8; 32] {
        let status = status.to_be_bytes();
        let (signed, body) = (signed.as_bytes(), hash(body));
        self.key
            .mac(&[b"answer", &self.mac, &status, signed, &body])
    }
}

/// Hashes a body as [`Head::body_hash`] names it.
pub fn hash(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
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

    fn call_mac(&self, method: &str, path_and_query: &str, signed: &str) -> [u8; 32] {
        let (method, target) = (method.as_bytes(), path_and_query.as_bytes());
        self.mac(&[b"call", method, target, signed.as_bytes()])
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
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use causeway_domain::ids::ReplicaId;

    use super::*;
    use crate::instance::Instance;

    #[test]
    fn a_call_is_accepted_as_it_was_signed_and_in_no_other_form() {
        let keys = PeerKeys::new(b"new", Some(b"old"));
        let call = keys.sign("POST", "/a?b=c", head(7, b"body"));
        let header = Some(call.header());

        let seen = keys.verify(header, "POST", "/a?b=c").ok().unwrap();
        assert_eq!(seen.head, call.head);
        assert!(seen.has_body(b"body") && !seen.has_body(b"body2"));
        let refused = |keys: &PeerKeys, header: Option<&str>, method, target| {
            keys.verify(header, method, target).err()
        };
        let forged = Some(Unverified::Forged);
        assert_eq!(refused(&keys, header, "GET", "/a?b=c"), forged);
        assert_eq!(refused(&keys, header, "POST", "/a?b=d"), forged);
        assert_eq!(refused(&keys, None, "POST", "/a?b=c"), forged);
        let stranger = PeerKeys::new(b"other", None);
        assert_eq!(refused(&stranger, header, "POST", "/a?b=c"), forged);
        for (was, becomes) in [(" 7 ", " 8 "), ("2.", "3."), (" 1.", " 4.")] {
            let changed = call.header().replacen(was, becomes, 1);
            assert_ne!(changed, call.header());
            assert_eq!(refused(&keys, Some(&changed), "POST", "/a?b=c"), forged);
        }
    }

    #[test]
    fn either_key_is_accepted_while_they_are_rotated() {
        let old = PeerKeys::new(b"old", Some(b"new"));
        let new = PeerKeys::new(b"new", Some(b"old"));
        let call = old.sign("GET", "/", head(1, b""));

        let seen = new.verify(Some(call.header()), "GET", "/").ok().unwrap();
        let answer = seen.sign_answer(200, session(), b"fine");

        let offer = call.verify_answer(Some(&answer), 200, b"fine");
        assert_eq!(offer, Some(session()));
    }

    #[test]
    fn an_answer_belongs_to_one_call_even_where_the_same_is_asked_again() {
        let keys = PeerKeys::new(b"key", None);
        let [first, second] = [1, 2].map(|count| keys.sign("GET", "/1", head(count, b"")));
        let signed = first.sign_answer(200, session(), b"fine");
        let answer = Some(&*signed);

        assert!(first.verify_answer(answer, 200, b"fine").is_some());
        assert!(second.verify_answer(answer, 200, b"fine").is_none());
        assert!(first.verify_answer(answer, 409, b"fine").is_none());
        assert!(first.verify_answer(answer, 200, b"bad").is_none());
        let other = signed.replacen(".5 ", ".6 ", 1);
        assert!(first.verify_answer(Some(&other), 200, b"fine").is_none());
    }

    #[test]
    fn junk_is_no_signature_and_the_form_of_another_version_is_told_apart() {
        let keys = PeerKeys::new(b"key", None);
        let refused = |header: &str| keys.verify(Some(header), "GET", "/").err().unwrap();

        for junk in [
            "",
            ":",
            "zz:zz",
            "é",
            "2",
            "2 ",
            "2  ",
            "2 00000000 é",
            &"2 ".repeat(9),
        ] {
            assert_eq!(refused(junk), Unverified::Forged, "{junk}");
        }
        let first = format!("00000000:{}", "0".repeat(64));
        for other in [&*first, "1 x", "3 what comes"] {
            assert_eq!(refused(other), Unverified::OtherForm, "{other}");
        }
    }

    fn head(count: u64, body: &[u8]) -> Head {
        Head {
            from: Process {
                replica: ReplicaId::new(2).unwrap(),
                instance: Instance(255),
            },
            to: session().process.replica,
            session: Some(session()),
            count,
            body_hash: hash(body),
        }
    }

    fn session() -> Session {
        Session {
            process: Process {
                replica: ReplicaId::new(1).unwrap(),
                instance: Instance(9),
            },
            opened_ms: 5,
        }
    }
}
