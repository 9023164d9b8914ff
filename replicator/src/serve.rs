//! The peer API as a function: what was asked over HTTP in, what to answer out. The server's routes
//! only carry it; the way back is `link/http`.

use std::borrow::Cow;
use std::io::Write;

use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::auth::{PeerKeys, SignedRequest};
use causeway_replicator_core::wire::events::{self, BATCH_BYTES};
use causeway_replicator_core::wire::{Caller, DIGEST_PATH, Digest, EVENTS_PATH, Refusal, query};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::blocking;
use crate::driver::{AdmissionError, Permit, Replicator};

/// Most bytes of a request's body: the longest digest.
pub const MAX_REQUEST_BYTES: usize = causeway_replicator_core::wire::MAX_DIGEST_BYTES;
/// Shorter answers are not worth compressing.
const COMPRESS_FROM: usize = 4096;

/// What was asked.
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
    /// The body, at most [`MAX_REQUEST_BYTES`].
    pub body: &'a [u8],
}

/// What to answer.
#[derive(Debug)]
pub struct Served {
    /// The HTTP status.
    pub status: u16,
    /// The header [`causeway_replicator_core::auth::HEADER`]; absent where the question was not signed.
    pub signature: Option<String>,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// `body` is compressed: `Content-Encoding: gzip`.
    pub is_gzip: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// Answers one call of a peer. Who does not have the cluster's key learns nothing.
pub async fn serve(replicator: &Replicator, keys: &PeerKeys, asked: Asked<'_>) -> Served {
    let verified = keys.verify(
        asked.signature,
        asked.method,
        asked.path_and_query,
        asked.body,
    );
    let Some(signed) = verified else {
        return Served {
            status: 401,
            signature: None,
            content_type: JSON,
            is_gzip: false,
            body: json(&Refusal::Unauthenticated),
        };
    };
    let answer = answer(replicator, &asked)
        .await
        .unwrap_or_else(|problem| problem);
    answer.into_served(&signed, asked.accepts_gzip).await
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

    async fn into_served(self, signed: &SignedRequest, accepts_gzip: bool) -> Served {
        let signature = signed.sign_answer(self.status, &self.body);
        let (body, is_gzip) = if accepts_gzip && self.body.len() >= COMPRESS_FROM {
            blocking::run(move || match gzip(&self.body) {
                Some(compressed) => (compressed, true),
                None => (self.body, false),
            })
            .await
        } else {
            (self.body, false)
        };
        Served {
            status: self.status,
            signature: Some(signature),
            content_type: self.content_type,
            is_gzip,
            body,
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

async fn answer(replicator: &Replicator, asked: &Asked<'_>) -> Result<Answer, Answer> {
    let (path, query) = asked
        .path_and_query
        .split_once('?')
        .unwrap_or((asked.path_and_query, ""));
    match (asked.method, path) {
        ("POST", DIGEST_PATH) => take_digest(replicator, asked.body),
        ("POST", EVENTS_PATH) => {
            let caller = caller(query)?;
            let permit = replicator.admit_push(&caller)?;
            take_push(replicator, permit, &caller, asked.body).await
        }
        ("GET", EVENTS_PATH) => {
            let (after, limit) = query::parse_pull(query).ok_or(Answer::problem(400))?;
            let caller = caller(query)?;
            let with_forked = query::asks_for_forked(query);
            let (_permit, after) = replicator.admit_pull(&caller, after, with_forked)?;
            give_events(replicator, &caller, &after, limit).await
        }
        (_, DIGEST_PATH | EVENTS_PATH) => Err(Answer::problem(405)),
        _ => Err(Answer::problem(404)),
    }
}

fn take_digest(replicator: &Replicator, body: &[u8]) -> Result<Answer, Answer> {
    let digest = Digest::parse(body).map_err(|_| Answer::problem(400))?;
    let answer = replicator.take_digest(digest)?;
    Ok(Answer::ok(JSON, json(&answer)))
}

async fn take_push(
    replicator: &Replicator,
    permit: Permit,
    caller: &Caller,
    body: &[u8],
) -> Result<Answer, Answer> {
    if body.len() > events::MAX_BODY_BYTES {
        return Err(Answer::problem(413));
    }
    let pushed = blocking::decode(Cow::Borrowed(body)).await;
    if pushed.flawed > 0 {
        let (peer, flawed) = (caller.replica, pushed.flawed);
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
    caller: &Caller,
    after: &VersionVector,
    limit: usize,
) -> Result<Answer, Answer> {
    match replicator
        .log()
        .read_beyond(after, limit, BATCH_BYTES)
        .await
    {
        Ok(held) => {
            replicator.traffic().sent(caller.replica, held.len());
            Ok(Answer::ok(NDJSON, events::encode(&held)))
        }
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(peer = %caller.replica, error, "cannot read events for a pull");
            Err(Answer::problem(503))
        }
    }
}

fn caller(query: &str) -> Result<Caller, Answer> {
    query::parse_caller(query).ok_or(Answer::problem(400))
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("bodies of the peer API have only text keys")
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
