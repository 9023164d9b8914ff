//! Origins of which two replicas hold different events under the same numbers.
//!
//! Seen by comparing the chain at the lower of both seqs. A forked origin is exchanged no further,
//! with anybody; nothing is deleted. It is released when the peer shows the same chain again.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::chain::Hash;
use causeway_domain::ids::Origin;
use causeway_domain::log::Head;

/// What one peer and we disagree on.
#[derive(Debug, Default)]
pub(crate) struct Forks {
    found: BTreeSet<Origin>,
    told: BTreeSet<Origin>,
    checked: BTreeMap<Origin, (u64, Hash)>,
}

/// A chain of a peer at a seq below our own: only the log can tell whether it is ours too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub origin: Origin,
    pub seq: u64,
    pub theirs: Hash,
}

impl Forks {
    /// Compares a peer's newest digest; returns what is newly forked and what must be looked up.
    pub(crate) fn compare(
        &mut self,
        theirs: &BTreeMap<Origin, (u64, Hash)>,
        head: &Head,
    ) -> (Vec<Origin>, Vec<Doubt>) {
        self.found.retain(|origin| theirs.contains_key(origin));
        self.checked.retain(|origin, _| theirs.contains_key(origin));
        let (mut forked, mut doubts) = (Vec::new(), Vec::new());
        for (&origin, &(seq, theirs)) in theirs {
            let our_seq = head.vector.get(origin);
            if seq == our_seq {
                let ours = head.hashes.get(&origin).copied();
                forked.extend(self.settle(origin, seq, theirs, ours));
            } else if 0 < seq && seq < our_seq && self.checked.get(&origin) != Some(&(seq, theirs))
            {
                doubts.push(Doubt {
                    origin,
                    seq,
                    theirs,
                });
            }
        }
        (forked, doubts)
    }

    /// Takes in our own chain at a seq; returns the origin when it is newly forked.
    pub(crate) fn settle(
        &mut self,
        origin: Origin,
        seq: u64,
        theirs: Hash,
        ours: Option<Hash>,
    ) -> Option<Origin> {
        if ours? == theirs {
            self.checked.insert(origin, (seq, theirs));
            self.found.remove(&origin);
            return None;
        }
        self.find(origin).then_some(origin)
    }

    /// Marks an origin as forked; tells whether that is news.
    pub(crate) fn find(&mut self, origin: Origin) -> bool {
        self.checked.remove(&origin);
        self.found.insert(origin)
    }

    /// Takes a mark back that came from numbers, not from chains.
    pub(crate) fn release(&mut self, origin: Origin) {
        self.found.remove(&origin);
    }

    /// Takes in which origins the peer finds forked; returns which are news.
    pub(crate) fn hear(&mut self, told: BTreeSet<Origin>) -> Vec<Origin> {
        let news = told.difference(&self.told).copied();
        let news = news.filter(|origin| !self.found.contains(origin)).collect();
        self.told = told;
        news
    }

    /// What we found forked ourselves: what the peer is told.
    pub(crate) fn found(&self) -> &BTreeSet<Origin> {
        &self.found
    }

    /// Every origin that one of both sides found forked.
    pub(crate) fn all(&self) -> impl Iterator<Item = Origin> + '_ {
        self.found.union(&self.told).copied()
    }
}
