//! How many calls of one peer are served at once.
//!
//! A peer has one digest, one push and two pulls under way, and perhaps a few that it gave up. Each
//! holds a body in memory; without a bound a peer that goes wrong would fill it, and the write queue
//! (F25).

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

impl Permit {
    /// Whose call it lets in.
    pub(crate) fn peer(&self) -> ReplicaId {
        self.peer
    }
}

/// The permits of all peers, and of all callers together that have no peer's number.
pub(super) struct Permits {
    peers: BTreeMap<ReplicaId, Arc<Semaphore>>,
    strangers: Arc<Semaphore>,
}

impl Permits {
    pub fn of(peers: &[ReplicaId]) -> Self {
        let permits = || Arc::new(Semaphore::new(AT_ONCE));
        Self {
            peers: peers.iter().map(|&peer| (peer, permits())).collect(),
            strangers: permits(),
        }
    }

    /// Takes a permit, where one is free.
    pub fn take(&self, peer: ReplicaId) -> Option<Permit> {
        let permits = self.peers.get(&peer).unwrap_or(&self.strangers);
        let permit = Arc::clone(permits).try_acquire_owned().ok()?;
        Some(Permit {
            peer,
            _permit: permit,
        })
    }
}
