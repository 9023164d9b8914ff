//! How many pushes and pulls of one peer are served at once.
//!
//! A peer has one push and two pulls under way, and perhaps a few that it gave up. Each holds a batch
//! in memory; without a bound a peer that goes wrong would fill it, and the write queue (F25).

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_domain::ids::ReplicaId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most at once, of each peer.
const AT_ONCE: usize = 8;

/// Permission to serve one call of a peer; dropping it lets the next call in.
#[derive(Debug)]
pub struct Permit {
    pub(super) peer: ReplicaId,
    _permit: OwnedSemaphorePermit,
}

/// The permits of all peers.
pub(super) struct Permits(BTreeMap<ReplicaId, Arc<Semaphore>>);

impl Permits {
    pub fn of(peers: &[ReplicaId]) -> Self {
        let permits = |&peer| (peer, Arc::new(Semaphore::new(AT_ONCE)));
        Self(peers.iter().map(permits).collect())
    }

    /// Takes a permit, where one is free.
    pub fn take(&self, peer: ReplicaId) -> Option<Permit> {
        let permits = Arc::clone(self.0.get(&peer)?);
        let permit = permits.try_acquire_owned().ok()?;
        Some(Permit {
            peer,
            _permit: permit,
        })
    }
}
