//! Origins of which two replicas hold different events under the same numbers.
//!
//! Seen by comparing the chain at the lower of both seqs. A forked origin is exchanged no further,
//! with anybody; nothing is deleted. It is released when the peer shows the same chain again.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::chain::Hash;
use causeway_domain::ids::Origin;
use causeway_domain::log::Head;

/// Most chains looked up for one digest; the others are looked up for the next ones.
const DOUBTS_AT_ONCE: usize = 32;

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
            } else if 0 < seq
                && seq < our_seq
                && doubts.len() < DOUBTS_AT_ONCE
                && self.checked.get(&origin) != Some(&(seq, theirs))
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

#[cfg(test)]
mod tests {
    use causeway_domain::hlc::Hlc;
    use causeway_domain::ids::{Epoch, ReplicaId};

    use super::*;

    #[test]
    fn a_digest_full_of_doubts_is_looked_into_bit_by_bit() {
        let origins: Vec<_> = (0..100).map(origin).collect();
        let head = Head {
            origin: origin(0),
            vector: origins.iter().map(|&origin| (origin, 2)).collect(),
            hashes: BTreeMap::new(),
            floor: Hlc::default(),
            highest: Hlc::default(),
            arrival: 200,
        };
        let theirs = origins.iter().map(|&it| (it, (1, Hash::START))).collect();
        let mut forks = Forks::default();

        let mut looked_up = BTreeSet::new();
        loop {
            let (_, doubts) = forks.compare(&theirs, &head);
            if doubts.is_empty() {
                break;
            }
            assert!(doubts.len() <= DOUBTS_AT_ONCE, "{}", doubts.len());
            for doubt in doubts {
                looked_up.insert(doubt.origin);
                let ours = Some(doubt.theirs);
                forks.settle(doubt.origin, doubt.seq, doubt.theirs, ours);
            }
        }

        assert_eq!(looked_up.len(), 100);
    }

    fn origin(epoch: u32) -> Origin {
        Origin {
            replica: ReplicaId::new(2).unwrap(),
            epoch: Epoch(epoch),
        }
    }
}
