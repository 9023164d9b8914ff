//! How many events went to and came from each peer, for operators and for tests of how much is moved:
//! what moves twice is seen here. Counted by the two ends of push and pull (`driver`, `serve`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use causeway_domain::ids::ReplicaId;

/// The counters of all peers.
#[derive(Debug)]
pub struct Traffic(BTreeMap<ReplicaId, Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    left_out: AtomicU64,
}

/// What was counted with one peer since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The peer.
    pub peer: ReplicaId,
    /// Events pushed to it and given when it pulled, also those it held already.
    pub sent: u64,
    /// Events it pushed and gave when it was pulled from, also those held already.
    pub received: u64,
    /// Of those received: how often one could not be stored, or was no event at all. It is sent again
    /// and counts again.
    pub left_out: u64,
}

impl Traffic {
    pub(crate) fn of(peers: &[ReplicaId]) -> Self {
        let counters = |&peer| (peer, Counters::default());
        Self(peers.iter().map(counters).collect())
    }

    /// What was counted, by peer.
    pub fn counted(&self) -> impl Iterator<Item = Counted> + '_ {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.0.iter().map(move |(&peer, counters)| Counted {
            peer,
            sent: read(&counters.sent),
            received: read(&counters.received),
            left_out: read(&counters.left_out),
        })
    }

    pub(crate) fn sent(&self, peer: ReplicaId, events: usize) {
        self.add(peer, events, |counters| &counters.sent);
    }

    pub(crate) fn received(&self, peer: ReplicaId, events: usize) {
        self.add(peer, events, |counters| &counters.received);
    }

    pub(crate) fn left_out(&self, peer: ReplicaId, events: usize) {
        self.add(peer, events, |counters| &counters.left_out);
    }

    fn add(&self, peer: ReplicaId, events: usize, which: impl Fn(&Counters) -> &AtomicU64) {
        if let Some(counters) = self.0.get(&peer) {
            which(counters).fetch_add(events as u64, Ordering::Relaxed);
        }
    }
}
