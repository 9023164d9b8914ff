//! The way to one peer, as the driver sees it.

pub mod http;

use std::future::Future;

use causeway_domain::envelope::RawEvent;
use causeway_domain::version_vector::VersionVector;

use crate::wire::events::Decoded;
use crate::wire::{Digest, PushAnswer, Refusal};

/// Calls to one peer. Every call ends within bounded time.
pub trait Link: Send + Sync + 'static {
    /// Sends a digest.
    fn digest(&self, digest: &Digest) -> impl Future<Output = Result<Digest, LinkError>> + Send;

    /// Pushes events, in log order.
    fn push(
        &self,
        events: &[RawEvent],
    ) -> impl Future<Output = Result<PushAnswer, LinkError>> + Send;

    /// Pulls at most `limit` events beyond a vector, in the peer's log order.
    fn pull(
        &self,
        after: &VersionVector,
        limit: usize,
    ) -> impl Future<Output = Result<Decoded, LinkError>> + Send;
}

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No connection, or no answer in time.
    #[error("no answer")]
    Unreachable,
    /// The peer serves, but not now: it is starting, or its log is not available.
    #[error("the peer is busy")]
    Busy,
    /// The peer says why not.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The answer is not of the protocol, or not signed with a key of ours.
    #[error("the answer is malformed: {0}")]
    Malformed(String),
}
