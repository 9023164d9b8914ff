//! The bodies replicas exchange, used by both ends. Field names and forms are the peer protocol.
//!
//! Knows nothing of HTTP. What came from a peer is only ever parsed here, and never panics.

pub mod events;
pub mod query;

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::chain::Hash;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use serde::{Deserialize, Serialize};

use crate::instance::Instance;
use crate::now::Now;
use crate::presence::Report;

/// The lowest and highest version of the peer protocol that this build speaks.
pub const PROTOCOL: [u16; 2] = [2, 2];
/// Where digests are posted.
pub const DIGEST_PATH: &str = "/peer/v1/digest";
/// Where events are pushed (POST) and pulled (GET).
pub const EVENTS_PATH: &str = "/peer/v1/events";
/// Most bytes of a digest, in either direction.
pub const MAX_DIGEST_BYTES: usize = 1 << 20;
/// Highest seq a digest may claim: no column and no sum of counts overflows.
const MAX_SEQ: u64 = 1 << 53;
/// Most origins a digest may show events of: no cluster has so many.
const MAX_ORIGINS: usize = 10_000;

/// The heartbeat, question and answer alike. It is the whole comparison of two replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// Who speaks.
    pub replica: ReplicaId,
    /// The epoch it writes with.
    #[serde(with = "epoch_text")]
    pub epoch: Epoch,
    /// Which of its processes.
    pub instance: Instance,
    /// Counts up with all that this instance says to anybody. What says less than the newest heard
    /// is ignored; 0 asks without telling anything.
    pub n: u64,
    /// The cluster's name.
    pub cluster: String,
    /// The lowest and highest protocol version the speaker knows.
    pub protocol: [u16; 2],
    /// What it holds: the newest seq of each origin and the chain up to it.
    pub vector: BTreeMap<Origin, (u64, Hash)>,
    /// Every later event of this replica has a higher reading. Taken together with `vector`.
    #[serde(rename = "floor")]
    pub closed_ts: Hlc,
    /// Its wall clock, milliseconds since 1970: for display and alarms only.
    pub wall: i64,
    /// Who is online there, as far as the listener needs to be told.
    pub presence: Report,
    /// For how long the oldest event waits there that its readers are not shown, milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lag_ms: u64,
    /// It is pulling events from somebody.
    pub pulling: bool,
    /// Origins whose events differ between speaker and listener: exchanged no further.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub forked: BTreeSet<Origin>,
    /// Origins that are forked between the speaker and others: it neither gives nor takes events of
    /// them, so what a past names of them is not to be waited for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub withheld: BTreeSet<Origin>,
    /// Origins that the speaker knows or was told to be forked, and how many more replicas are to
    /// pass that on. Whoever writes as one of them needs to know it, and may be heard of through
    /// others only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rumours: BTreeMap<Origin, u8>,
}

impl Digest {
    /// Returns a digest that asks for the answer and says nothing about its sender.
    pub fn question(caller: &Caller, now: Now) -> Self {
        Self {
            replica: caller.replica,
            epoch: Epoch(0),
            instance: caller.instance,
            n: 0,
            cluster: caller.cluster.clone(),
            protocol: PROTOCOL,
            vector: BTreeMap::new(),
            closed_ts: Hlc::default(),
            wall: now.wall_ms,
            presence: Report::default(),
            lag_ms: 0,
            pulling: false,
            forked: BTreeSet::new(),
            withheld: BTreeSet::new(),
            rumours: BTreeMap::new(),
        }
    }

    /// Reads a digest that came from a peer.
    pub fn parse(body: &[u8]) -> Result<Self, MalformedReport> {
        if body.len() > MAX_DIGEST_BYTES {
            return Err(MalformedReport::TooLong(body.len()));
        }
        let digest: Self = serde_json::from_slice(body)?;
        let shown = digest.vector.iter().map(|(&origin, at)| (origin, at.0));
        check_shown(shown)?;
        Ok(digest)
    }

    /// What the speaker holds, without the hashes.
    pub fn held(&self) -> VersionVector {
        self.vector
            .iter()
            .map(|(&origin, &(seq, _))| (origin, seq))
            .collect()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A peer may not show what no cluster can have: whoever reckons with it later need not ask again.
fn check_shown(shown: impl ExactSizeIterator<Item = (Origin, u64)>) -> Result<(), MalformedReport> {
    if shown.len() > MAX_ORIGINS {
        return Err(MalformedReport::Origins(shown.len()));
    }
    let mut shown = shown;
    match shown.find(|&(_, seq)| seq > MAX_SEQ) {
        Some((origin, _)) => Err(MalformedReport::Seq(origin)),
        None => Ok(()),
    }
}

/// Why bytes are not a digest, or not the answer to a push.
#[derive(Debug, thiserror::Error)]
pub enum MalformedReport {
    /// Longer than [`MAX_DIGEST_BYTES`].
    #[error("{0} bytes are too long")]
    TooLong(usize),
    /// Not JSON of this form.
    #[error("has another form")]
    Form(#[from] serde_json::Error),
    /// More origins than a cluster can have.
    #[error("names {0} origins")]
    Origins(usize),
    /// A number no replica can have reached.
    #[error("claims an impossible number of events of `{0}`")]
    Seq(Origin),
}

/// The answer to a push: what is held after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushAnswer {
    /// Which process answers.
    pub instance: Instance,
    /// Counts with the `n` of digests.
    pub n: u64,
    /// What is now held.
    pub vector: VersionVector,
}

impl PushAnswer {
    /// Reads an answer that came from a peer. The caller bounds its length.
    pub fn parse(body: &[u8]) -> Result<Self, MalformedReport> {
        let answer: Self = serde_json::from_slice(body)?;
        let shown: Vec<_> = answer.vector.iter().collect();
        check_shown(shown.into_iter())?;
        Ok(answer)
    }
}

/// Who calls with a push or a pull: named in the query, so that the signature covers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The caller's cluster.
    pub cluster: String,
    /// Its number.
    pub replica: ReplicaId,
    /// Its process.
    pub instance: Instance,
}

/// Why a peer is not served. Travels as the body of a 409 (401 for [`Refusal::Unauthenticated`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refused", rename_all = "snake_case")]
pub enum Refusal {
    /// The signature is missing, malformed, or made with a key that is not ours.
    #[error("the cluster key differs")]
    Unauthenticated,
    /// It serves another cluster.
    #[error("this is cluster `{cluster}`")]
    OtherCluster {
        /// The refusing side's cluster.
        cluster: String,
    },
    /// No protocol version is known to both.
    #[error("this speaks peer protocol {} to {}", protocol[0], protocol[1])]
    NoCommonProtocol {
        /// What the refusing side speaks.
        protocol: [u16; 2],
    },
    /// Both have the same number.
    #[error("replica number `{replica}` is used by both")]
    SameNumber {
        /// The number.
        replica: ReplicaId,
    },
    /// At the configured address answers another number than configured.
    #[error("replica `{answers}` answers where `{configured}` is configured")]
    WrongNumber {
        /// Who was expected.
        configured: ReplicaId,
        /// Who answered.
        answers: ReplicaId,
    },
    /// The configuration has no such replica.
    #[error("replica `{replica}` is not configured")]
    UnknownReplica {
        /// The number.
        replica: ReplicaId,
    },
    /// Another process answers at that replica's address: one of the two is a copy.
    #[error("another process answers at the address of replica `{replica}`")]
    Clone {
        /// The number both use.
        replica: ReplicaId,
    },
    /// The certificate of the connection is another replica's than the call claims.
    #[error("replica `{claimed}` called with the certificate of {}", certified(*certificate))]
    WrongCertificate {
        /// The number that the call gives.
        claimed: ReplicaId,
        /// Whose certificate it is.
        certificate: Option<ReplicaId>,
    },
    /// The call names no session of this process, or one that has ended. The answer offers one.
    #[error("the call belongs to no session of this process")]
    UnknownSession,
    /// The call was made before.
    #[error("the call was made before")]
    Repeated,
    /// A reason that this version does not know.
    #[error("refused for a reason this version does not know")]
    #[serde(other)]
    Unknown,
}

fn certified(number: Option<ReplicaId>) -> String {
    number.map_or_else(|| "no replica".into(), |it| format!("replica `{it}`"))
}

mod epoch_text {
    use causeway_domain::ids::Epoch;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub fn serialize<S: Serializer>(epoch: &Epoch, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(epoch)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Epoch, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 4];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| D::Error::custom("an epoch has 8 hexadecimal digits"))?;
        Ok(Epoch(u32::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = r#"{"replica":2,"epoch":"9f3c07aa","instance":"00000000000000ff","n":3,
        "cluster":"demo","protocol":[2,2],"vector":{"2.9f3c07aa":[5,"HASH"]},"floor":7,"wall":8,
        "presence":{"version":0},"pulling":false}"#;

    #[test]
    fn a_digest_has_the_form_that_peers_agreed_on() {
        let text = DIGEST.replace("HASH", &"ab".repeat(32));

        let digest = Digest::parse(text.as_bytes()).unwrap();

        let again = serde_json::to_string(&digest).unwrap();
        assert_eq!(again, text.replace(['\n', ' '], ""));
    }

    #[test]
    fn a_sign_is_no_digit_of_an_epoch() {
        let text = DIGEST.replace("HASH", &"ab".repeat(32));
        let text = text.replacen("9f3c07aa", "+f3c07aa", 1);

        let refused = Digest::parse(text.as_bytes());

        assert!(matches!(refused, Err(MalformedReport::Form(_))));
    }

    #[test]
    fn an_impossible_number_of_events_is_no_digest() {
        let text = DIGEST.replace("HASH", &"ab".repeat(32));
        let text = text.replace("[5,", "[18446744073709551615,");

        let refused = Digest::parse(text.as_bytes());

        assert!(matches!(refused, Err(MalformedReport::Seq(_))));
    }

    #[test]
    fn an_impossible_number_of_events_is_no_answer_to_a_push() {
        let text = r#"{"instance":"00000000000000ff","n":9,"vector":{"1.9f3c07aa":SEQ}}"#;
        let parse = |seq: u64| PushAnswer::parse(text.replace("SEQ", &seq.to_string()).as_bytes());

        assert!(parse(MAX_SEQ).is_ok());
        let refused = parse(u64::MAX);
        assert!(matches!(refused, Err(MalformedReport::Seq(_))));
    }

    #[test]
    fn a_refusal_of_a_later_version_is_understood_as_a_refusal() {
        let text = r#"{"refused":"too_old","needs":9}"#;

        assert_eq!(
            serde_json::from_str::<Refusal>(text).unwrap(),
            Refusal::Unknown
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>) {
            prop_assert!(Digest::parse(&body).is_err());
        }
    }
}
