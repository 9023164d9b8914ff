//! The peer API as a function: what was asked over HTTP in, what to answer out. The server's routes
//! only carry it; the way back is `link/http`.
//!
//! A call is admitted by its head alone. Of what anybody says who cannot sign it, or signed it
//! before, nothing is read.

use std::borrow::Cow;
use std::io::Write;

use causeway_domain::ids::ReplicaId;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::auth::{PeerKeys, Process, Session, SignedCall, Unverified};
use causeway_replicator_core::freshness::Verdict;
use causeway_replicator_core::wire::events::{self, BATCH_BYTES};
use causeway_replicator_core::wire::{
    Caller, DIGEST_PATH, Digest, EVENTS_PATH, MAX_DIGEST_BYTES, PROTOCOL, Refusal, query,
};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::blocking;
use crate::driver::{AdmissionError, Permit, Replicator};
use crate::refused::Reason;

/// Shorter answers are not worth compressing.
const COMPRESS_FROM: usize = 4096;

/// The head of a call.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path and query, as it came.
    pub path_and_query: &'a str,
    /// The header [`causeway_replicator_core::auth::HEADER`].
    pub signature: Option<&'a str>,
    /// The caller takes gzip.
    pub accepts_gzip: bool,
    /// What the connection shows of the caller.
    pub channel: Channel,
}

/// What a connection shows of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Nothing: it is plain text.
    Plain,
    /// A certificate of the cluster's authority; its replica, where it names one.
    Certified(Option<ReplicaId>),
}

/// What to answer.
#[derive(Debug)]
pub struct Served {
    /// The HTTP status.
    pub status: u16,
    /// The header [`causeway_replicator_core::auth::HEADER`]; absent where the call was not signed.
    pub signature: Option<String>,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// `body` is compressed: `Content-Encoding: gzip`.
    pub is_gzip: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// A call whose head was found right.
pub struct Admitted {
    call: SignedCall,
    offer: Session,
    accepts_gzip: bool,
    what: What,
}

enum What {
    Digest(Permit),
    Push(Permit),
    Pull {
        permit: Permit,
        after: VersionVector,
        limit: usize,
    },
}

/// Admits a call by its head. Who does not have the cluster's key learns nothing.
pub fn admit(
    replicator: &Replicator,
    keys: &PeerKeys,
    asked: &Asked<'_>,
) -> Result<Admitted, Served> {
    let verified = keys.verify(asked.signature, asked.method, asked.path_and_query);
    let call = verified.map_err(|unverified| {
        replicator.refused().add(Reason::Unauthenticated);
        turn_away(unverified)
    })?;
    let offer = replicator.offer();
    let admitted = judge(replicator, &call, asked.channel)
        .map_err(Answer::from)
        .and_then(|()| route(replicator, call.head.from, asked));
    match admitted {
        Ok(what) => Ok(Admitted {
            call,
            offer,
            accepts_gzip: asked.accepts_gzip,
            what,
        }),
        Err(answer) => Err(answer.sign(&call, offer)),
    }
}

fn turn_away(unverified: Unverified) -> Served {
    let refusal = match unverified {
        Unverified::Forged => Refusal::Unauthenticated,
        Unverified::OtherForm => Refusal::NoCommonProtocol { protocol: PROTOCOL },
    };
    Served {
        status: 401,
        signature: None,
        content_type: JSON,
        is_gzip: false,
        body: json(&refusal),
    }
}

/// Judges who calls, and whether for the first time.
fn judge(replicator: &Replicator, call: &SignedCall, channel: Channel) -> Result<(), Refusal> {
    let claimed = call.head.from.replica;
    match replicator.judge(&call.head) {
        Verdict::Repeated => {
            replicator.refused().add(Reason::Repeated);
            return Err(Refusal::Repeated);
        }
        Verdict::UnknownSession => {
            replicator.refused().add(Reason::UnknownSession);
            return Err(Refusal::UnknownSession);
        }
        Verdict::Fresh | Verdict::Stranger => {}
    }
    match channel {
        Channel::Certified(certificate) if certificate != Some(claimed) => {
            let refusal = Refusal::WrongCertificate {
                claimed,
                certificate,
            };
            replicator.refused().add(Reason::WrongCertificate);
            replicator.refuse(claimed, refusal.clone());
            Err(refusal)
        }
        Channel::Plain | Channel::Certified(_) => Ok(()),
    }
}

fn route(replicator: &Replicator, from: Process, asked: &Asked<'_>) -> Result<What, Answer> {
    let (path, query) = asked
        .path_and_query
        .split_once('?')
        .unwrap_or((asked.path_and_query, ""));
    match (asked.method, path) {
        ("POST", DIGEST_PATH) => Ok(What::Digest(replicator.admit_digest(from.replica)?)),
        ("POST", EVENTS_PATH) => {
            let caller = caller(query, from)?;
            Ok(What::Push(replicator.admit_push(&caller)?))
        }
        ("GET", EVENTS_PATH) => {
            let (after, limit) = query::parse_pull(query).ok_or(Answer::problem(400))?;
            let caller = caller(query, from)?;
            let with_forked = query::asks_for_forked(query);
            let (permit, after) = replicator.admit_pull(&caller, after, with_forked)?;
            Ok(What::Pull {
                permit,
                after,
                limit,
            })
        }
        (_, DIGEST_PATH | EVENTS_PATH) => Err(Answer::problem(405)),
        _ => Err(Answer::problem(404)),
    }
}

impl Admitted {
    /// Most bytes of the body.
    pub fn most_bytes(&self) -> usize {
        match self.what {
            What::Digest(_) => MAX_DIGEST_BYTES,
            What::Push(_) => events::MAX_BODY_BYTES,
            What::Pull { .. } => 0,
        }
    }

    /// Answers the call. `body` has at most [`Self::most_bytes`].
    pub async fn serve(self, replicator: &Replicator, body: &[u8]) -> Served {
        if !self.call.has_body(body) {
            return self.refuse(400);
        }
        let answered = match self.what {
            What::Digest(_permit) => take_digest(replicator, self.call.head.from, body),
            What::Push(permit) => take_push(replicator, permit, body).await,
            What::Pull {
                permit,
                after,
                limit,
            } => give_events(replicator, permit.peer(), &after, limit).await,
        };
        let answer = answered.unwrap_or_else(|problem| problem);
        let served = answer.sign(&self.call, self.offer);
        served.compress(self.accepts_gzip).await
    }

    /// Answers with a status because of the body.
    pub fn refuse(self, status: u16) -> Served {
        Answer::problem(status).sign(&self.call, self.offer)
    }
}

impl Served {
    async fn compress(mut self, accepts_gzip: bool) -> Self {
        if accepts_gzip && self.body.len() >= COMPRESS_FROM {
            let plain = std::mem::take(&mut self.body);
            (self.body, self.is_gzip) = blocking::run(move || match gzip(&plain) {
                Some(compressed) => (compressed, true),
                None => (plain, false),
            })
            .await;
        }
        self
    }
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

struct Answer {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Answer {
    fn ok(content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            status: 200,
            content_type,
            body,
        }
    }

    fn problem(status: u16) -> Self {
        Self {
            status,
            content_type: JSON,
            body: b"{}".to_vec(),
        }
    }

    fn sign(self, call: &SignedCall, offer: Session) -> Served {
        Served {
            status: self.status,
            signature: Some(call.sign_answer(self.status, offer, &self.body)),
            content_type: self.content_type,
            is_gzip: false,
            body: self.body,
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: 409,
            content_type: JSON,
            body: json(&refusal),
        }
    }
}

impl From<AdmissionError> for Answer {
    fn from(error: AdmissionError) -> Self {
        match error {
            AdmissionError::Refused(refusal) => refusal.into(),
            AdmissionError::Busy => Self::problem(503),
        }
    }
}

fn take_digest(replicator: &Replicator, from: Process, body: &[u8]) -> Result<Answer, Answer> {
    let digest = Digest::parse(body).map_err(|_| Answer::problem(400))?;
    if (digest.replica, digest.instance) != (from.replica, from.instance) {
        return Err(Answer::problem(400));
    }
    let answer = replicator.take_digest(digest)?;
    Ok(Answer::ok(JSON, json(&answer)))
}

async fn take_push(replicator: &Replicator, permit: Permit, body: &[u8]) -> Result<Answer, Answer> {
    let pushed = blocking::decode(Cow::Borrowed(body)).await;
    if pushed.flawed > 0 {
        let (peer, flawed) = (permit.peer(), pushed.flawed);
        replicator.traffic().left_out(peer, flawed);
        tracing::error!(%peer, flawed, "a peer pushed lines that are no events; left them out");
    }
    let answer = replicator.take_push(permit, pushed.events).await;
    // Why it cannot be stored was logged where it was tried.
    let answer = answer.map_err(|_| Answer::problem(503))?;
    Ok(Answer::ok(JSON, json(&answer)))
}

async fn give_events(
    replicator: &Replicator,
    peer: ReplicaId,
    after: &VersionVector,
    limit: usize,
) -> Result<Answer, Answer> {
    match replicator
        .log()
        .read_beyond(after, limit, BATCH_BYTES)
        .await
    {
        Ok(held) => {
            replicator.traffic().sent(peer, held.len());
            Ok(Answer::ok(NDJSON, events::encode(&held)))
        }
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(%peer, error, "cannot read events for a pull");
            Err(Answer::problem(503))
        }
    }
}

/// Reads who calls. It has to be who signed.
fn caller(query: &str, from: Process) -> Result<Caller, Answer> {
    let named = query::parse_caller(query);
    let is_signer =
        |named: &Caller| (named.replica, named.instance) == (from.replica, from.instance);
    named.filter(is_signer).ok_or(Answer::problem(400))
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("bodies of the peer API have only text keys")
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
