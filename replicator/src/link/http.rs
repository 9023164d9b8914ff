//! The link over HTTP. Every call has a time-out for connecting, for silence and in total, because
//! reqwest has none of its own (F22).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::ReplicaId;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::auth::{HEADER, Head, PeerKeys, Process, hash};
use causeway_replicator_core::failure::LinkError;
use causeway_replicator_core::freshness::Outgoing;
use causeway_replicator_core::wire::events::{self, Decoded, MAX_BODY_BYTES};
use causeway_replicator_core::wire::{
    Caller, DIGEST_PATH, Digest, MAX_DIGEST_BYTES, PushAnswer, Refusal, query,
};
use reqwest::{Client, Method, StatusCode};
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

use crate::blocking;

use super::{Link, insecure};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const SILENCE_TIMEOUT: Duration = Duration::from_secs(5);
const DIGEST_TIMEOUT: Duration = Duration::from_secs(2);
const BULK_TIMEOUT: Duration = Duration::from_secs(30);
/// Below the time a server keeps an idle connection, so that none is used as it is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a call is made that the peer does not take for a new one. A second time is usual
/// after a start; more are needed only while somebody repeats our calls and is faster than we are.
const ATTEMPTS: usize = 5;

/// The way to one peer over HTTP.
pub struct HttpLink {
    base: String,
    caller: Caller,
    keys: PeerKeys,
    outgoing: Mutex<Outgoing>,
    tls: Option<ClientConfig>,
    client: RwLock<Client>,
    /// Answers may come compressed.
    is_far: bool,
}

impl HttpLink {
    /// Makes the link to a peer at its `internal_url`. Connects when it is first used. `tls`: how, if
    /// the URL is of https; it demands that the certificate is this peer's.
    pub fn new(
        internal_url: &str,
        peer: ReplicaId,
        caller: Caller,
        keys: PeerKeys,
        tls: Option<ClientConfig>,
    ) -> Self {
        let is_far = is_far(internal_url);
        let process = Process {
            replica: caller.replica,
            instance: caller.instance,
        };
        Self {
            base: internal_url.trim_end_matches('/').to_owned(),
            caller,
            keys,
            outgoing: Mutex::new(Outgoing::new(process, peer)),
            client: RwLock::new(client(tls.as_ref())),
            tls,
            is_far,
        }
    }

    /// Pulls like [`Link::pull`], forked origins included.
    pub async fn pull_whole(
        &self,
        after: &VersionVector,
        limit: usize,
    ) -> Result<Decoded, LinkError> {
        self.pull_from(&query::whole_pull_target(&self.caller, after, limit))
            .await
    }

    async fn pull_from(&self, target: &str) -> Result<Decoded, LinkError> {
        let call = Call {
            method: Method::GET,
            target,
            content_type: "application/x-ndjson",
            body: Bytes::new(),
            timeout: BULK_TIMEOUT,
            most_bytes: MAX_BODY_BYTES,
        };
        let body = self.call(call).await?;
        Ok(blocking::decode(Cow::Owned(body)).await)
    }

    async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, LinkError> {
        let answered = timeout(call.timeout, self.call_as_new(&call)).await;
        let answered = answered.unwrap_or(Err(LinkError::Unreachable));
        if answered == Err(LinkError::Unreachable) {
            // Idle connections of a dead link hang as well: none of them is used again.
            let mut current = self.client.write().unwrap_or_else(PoisonError::into_inner);
            *current = client(self.tls.as_ref());
        }
        answered
    }

    /// Makes a call until the peer takes it for a new one.
    async fn call_as_new(&self, call: &Call<'_>) -> Result<Vec<u8>, LinkError> {
        let body_hash = hash(&call.body);
        for _ in 0..ATTEMPTS {
            let head = self.outgoing().next(body_hash);
            match self.try_call(call, head).await {
                Err(LinkError::Refused(Refusal::UnknownSession | Refusal::Repeated)) => {}
                answered => return answered,
            }
        }
        Err(LinkError::Busy)
    }

    async fn try_call(&self, call: &Call<'_>, head: Head) -> Result<Vec<u8>, LinkError> {
        let client = {
            let current = self.client.read().unwrap_or_else(PoisonError::into_inner);
            current.clone()
        };
        let signed = self.keys.sign(call.method.as_str(), call.target, head);
        let mut request = client
            .request(call.method.clone(), format!("{}{}", self.base, call.target))
            .header(HEADER, signed.header())
            .header("content-type", call.content_type)
            .body(call.body.clone());
        if !self.is_far {
            request = request.header("accept-encoding", "identity");
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let signature = response.headers().get(HEADER);
        let signature = signature.and_then(|value| value.to_str().ok().map(str::to_owned));
        let body = read(response, call.most_bytes).await?;
        if let Some(offer) = signed.verify_answer(signature.as_deref(), status.as_u16(), &body) {
            let answered = judge(status, body);
            let is_refused = answered == Err(Refusal::UnknownSession.into());
            self.outgoing().learn(&signed.head, is_refused, offer);
            return answered;
        }
        // Who does not know the key cannot sign that it does not.
        if status == StatusCode::UNAUTHORIZED {
            return Err(match serde_json::from_slice(&body) {
                Ok(Refusal::NoCommonProtocol { protocol }) => {
                    Refusal::NoCommonProtocol { protocol }
                }
                _ => Refusal::Unauthenticated,
            }
            .into());
        }
        Err(LinkError::Malformed(format!(
            "status {status} without a valid signature"
        )))
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link for HttpLink {
    async fn digest(&self, digest: &Digest) -> Result<Digest, LinkError> {
        let body = serde_json::to_vec(digest).map_err(malformed)?;
        let call = Call {
            method: Method::POST,
            target: DIGEST_PATH,
            content_type: "application/json",
            body: body.into(),
            timeout: DIGEST_TIMEOUT,
            most_bytes: MAX_DIGEST_BYTES,
        };
        Digest::parse(&self.call(call).await?).map_err(malformed)
    }

    async fn push(&self, events: &[RawEvent]) -> Result<PushAnswer, LinkError> {
        let call = Call {
            method: Method::POST,
            target: &query::push_target(&self.caller),
            content_type: "application/x-ndjson",
            body: events::encode(events).into(),
            timeout: BULK_TIMEOUT,
            most_bytes: MAX_DIGEST_BYTES,
        };
        PushAnswer::parse(&self.call(call).await?).map_err(malformed)
    }

    async fn pull(&self, after: &VersionVector, limit: usize) -> Result<Decoded, LinkError> {
        self.pull_from(&query::pull_target(&self.caller, after, limit))
            .await
    }
}

struct Call<'a> {
    method: Method,
    target: &'a str,
    content_type: &'static str,
    body: Bytes,
    timeout: Duration,
    most_bytes: usize,
}

fn judge(status: StatusCode, body: Vec<u8>) -> Result<Vec<u8>, LinkError> {
    match status {
        StatusCode::OK => Ok(body),
        StatusCode::CONFLICT => {
            let reason: Refusal = serde_json::from_slice(&body).unwrap_or(Refusal::Unknown);
            Err(reason.into())
        }
        StatusCode::SERVICE_UNAVAILABLE => Err(LinkError::Busy),
        other => Err(LinkError::Malformed(format!("status {other}"))),
    }
}

async fn read(mut response: reqwest::Response, most_bytes: usize) -> Result<Vec<u8>, LinkError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > most_bytes {
            return Err(LinkError::Malformed(format!(
                "more than {most_bytes} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn failed(error: reqwest::Error) -> LinkError {
    insecure::why(&error).map_or(LinkError::Unreachable, LinkError::Insecure)
}

fn malformed(error: impl std::fmt::Display) -> LinkError {
    LinkError::Malformed(error.to_string())
}

/// Tells whether the way there leads over a network: within a machine, bytes are cheaper than the time
/// that compressing them takes.
fn is_far(url: &str) -> bool {
    let url = reqwest::Url::parse(url).ok();
    let host = url.as_ref().and_then(reqwest::Url::host_str);
    let host = host.map(|host| host.trim_matches(['[', ']']));
    let is_loopback = |host: &str| {
        let address = host.parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    };
    !host.is_some_and(is_loopback)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the client for peers, with its time limits"
)]
fn client(tls: Option<&ClientConfig>) -> Client {
    let builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(10))
        .tcp_nodelay(true)
        .gzip(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    let builder = match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls.clone()),
        // Otherwise reqwest loads the system's authorities, and fails on a system that has none.
        None => builder.tls_certs_only([]),
    };
    builder
        .build()
        .expect("nothing of a client is read from files, so nothing of it can be wrong")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leaves_the_machine_is_worth_compressing() {
        for near in [
            "http://127.0.0.1:7301",
            "http://localhost:1/",
            "http://[::1]:9",
        ] {
            assert!(!is_far(near), "{near}");
        }
        for far in [
            "http://10.0.0.1:7301",
            "http://replica-2.internal:1",
            "nonsense",
        ] {
            assert!(is_far(far), "{far}");
        }
    }
}
