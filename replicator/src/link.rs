//! The way to one peer, as the driver sees it.

pub mod http;
mod insecure;

use std::future::Future;

use causeway_domain::envelope::RawEvent;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::failure::LinkError;
use causeway_replicator_core::wire::events::Decoded;
use causeway_replicator_core::wire::{Digest, PushAnswer};

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
