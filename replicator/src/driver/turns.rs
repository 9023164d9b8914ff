//! How many pushes and pulls of one peer are served at once.
//!
//! A peer has one push and two pulls under way, and perhaps a few that it gave up. Each holds a batch
//! in memory; without a bound a peer that goes wrong would fill it, and the writer's inbox (F25).

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_domain::ids::ReplicaId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most at once, of each peer.
const AT_ONCE: usize = 8;

/// A place among those being served; dropping it gives it back.
#[derive(Debug)]
pub struct Turn {
    _place: OwnedSemaphorePermit,
}

/// The places of all peers.
pub(super) struct Turns(BTreeMap<ReplicaId, Arc<Semaphore>>);

impl Turns {
    pub fn of(peers: &[ReplicaId]) -> Self {
        let places = |&peer| (peer, Arc::new(Semaphore::new(AT_ONCE)));
        Self(peers.iter().map(places).collect())
    }

    /// Takes a place, where one is free.
    pub fn take(&self, peer: ReplicaId) -> Option<Turn> {
        let place = Arc::clone(self.0.get(&peer)?).try_acquire_owned().ok()?;
        Some(Turn { _place: place })
    }
}
