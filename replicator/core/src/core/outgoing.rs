//! What the core says of itself: digests, and answers to pushes.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::ids::{Origin, ReplicaId};

use crate::forks::{FAR, MOST_LISTED};
use crate::presence::Report;
use crate::wire::{Digest, PushAnswer};

use super::Core;

impl Core {
    /// A digest that asks and tells nothing, for the start.
    pub fn question(&self) -> Digest {
        self.digest(0)
    }

    pub(super) fn digest_for(&mut self, to: ReplicaId) -> Digest {
        self.n += 1;
        let mut digest = self.digest(self.n);
        if let Some(peer) = self.peers.get(&to) {
            let instance = self.me.instance;
            let held = peer.presence.held();
            digest.presence = self.presence.report(instance, peer.holds_of_us, held);
            digest.forked = peer.forks.found().take(MOST_LISTED).collect();
            let others = self.withheld().into_iter();
            let others = others.filter(|it| !digest.forked.contains(it));
            digest.withheld = others.take(MOST_LISTED).collect();
            digest.rumours = self.rumours_for(to);
        }
        digest
    }

    /// What is forked, and what others than this peer told of forks elsewhere.
    fn rumours_for(&self, to: ReplicaId) -> BTreeMap<Origin, u8> {
        let others = self.peers.iter().filter(|&(&id, _)| id != to);
        let mut rumours = BTreeMap::new();
        for (origin, far) in others.flat_map(|(_, peer)| peer.forks.rumours()) {
            let farthest = rumours.entry(origin).or_insert(far);
            *farthest = far.max(*farthest);
        }
        let forked = self.forked().into_iter().take(MOST_LISTED);
        rumours.extend(forked.map(|origin| (origin, FAR)));
        rumours
    }

    fn digest(&self, n: u64) -> Digest {
        let chain = |origin| self.head.hashes.get(&origin).copied().unwrap_or_default();
        let vector = self.head.vector.iter();
        Digest {
            replica: self.me.origin.replica,
            epoch: self.me.origin.epoch,
            instance: self.me.instance,
            n,
            cluster: self.me.cluster.clone(),
            protocol: self.me.protocol,
            vector: vector.map(|(o, seq)| (o, (seq, chain(o)))).collect(),
            closed_ts: self.head.closed_ts,
            wall: self.now.wall_ms,
            presence: Report::default(),
            lag_ms: self.read_lag_ms,
            pulling: self.peers.values().any(|peer| peer.pull.is_under_way),
            forked: BTreeSet::new(),
            withheld: BTreeSet::new(),
            rumours: BTreeMap::new(),
        }
    }

    pub(super) fn push_answer(&mut self) -> PushAnswer {
        self.n += 1;
        PushAnswer {
            instance: self.me.instance,
            n: self.n,
            vector: self.head.vector.clone(),
        }
    }
}
