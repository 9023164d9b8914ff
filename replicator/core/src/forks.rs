//! Origins of which two replicas hold different events under the same numbers.
//!
//! Seen by comparing the chain at the lower of both seqs. A forked origin is exchanged no further,
//! with anybody; nothing is deleted. It is released when the chains are the same again: only the
//! side that holds more can tell, so the other one goes by what it is told.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::chain::Hash;
use causeway_domain::ids::Origin;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Head;

/// Most chains looked up for one digest; the others are looked up for the next ones.
const DOUBTS_AT_ONCE: usize = 32;
/// How long a peer that holds more may take to say that it finds a fork too: until it has heard of
/// what we hold, and has looked its own chain up.
const SAYS_SO_MS: u64 = 2_500;

/// How many replicas pass a fork on: more than lie between any two, and few enough that what has
/// passed is not told in a circle for long.
pub(crate) const FAR: u8 = 16;
/// Most forks passed on of what one peer tells: it can name any number.
const MOST_RUMOURS: usize = 100;
/// Most origins kept of each list of a peer, and put into each of ours: far more than ever are
/// forked, and few enough that a digest stays short.
pub(crate) const MOST_LISTED: usize = 1_000;

/// What one peer and we disagree on.
#[derive(Debug, Default)]
pub(crate) struct Forks {
    /// Since when.
    found: BTreeMap<Origin, u64>,
    told: BTreeSet<Origin>,
    withheld: BTreeSet<Origin>,
    rumours: BTreeMap<Origin, u8>,
    checked: BTreeMap<Origin, (u64, Hash)>,
}

/// What a peer lists: the origins that it finds forked between it and us, the others that it
/// withholds, and those it was told of, and how far to pass them on.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    pub forked: BTreeSet<Origin>,
    pub withheld: BTreeSet<Origin>,
    pub rumours: BTreeMap<Origin, u8>,
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
        now_ms: u64,
        theirs: &BTreeMap<Origin, (u64, Hash)>,
        head: &Head,
    ) -> (Vec<Origin>, Vec<Doubt>) {
        // Where the peer holds more, it is the one to find a fork.
        self.found.retain(|&origin, &mut since_ms| {
            theirs.get(&origin).is_some_and(|&(seq, _)| {
                seq <= head.vector.get(origin) || now_ms < since_ms + SAYS_SO_MS
            })
        });
        self.checked.retain(|origin, _| theirs.contains_key(origin));
        let (mut forked, mut doubts) = (Vec::new(), Vec::new());
        for (&origin, &(seq, theirs)) in theirs {
            let our_seq = head.vector.get(origin);
            if seq == our_seq {
                let ours = head.hashes.get(&origin).copied();
                forked.extend(self.settle(now_ms, origin, seq, theirs, ours));
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
        now_ms: u64,
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
        self.find(now_ms, origin).then_some(origin)
    }

    /// Marks an origin as forked; tells whether that is news.
    pub(crate) fn find(&mut self, now_ms: u64, origin: Origin) -> bool {
        self.checked.remove(&origin);
        let is_news = self.found.insert(origin, now_ms).is_none();
        is_news && !self.told.contains(&origin)
    }

    /// Takes in which origins the peer finds forked, which more it withholds, and of which it was
    /// told; returns which forks are news. Of what is forked between others only our own origin
    /// concerns us: its numbers are not safe to give any more.
    pub(crate) fn hear(&mut self, own: Origin, held: &VersionVector, lists: Lists) -> Vec<Origin> {
        let matters = |origin: Origin| origin == own || held.get(origin) > 0;
        let told = bounded(lists.forked, matters);
        let withheld = bounded(lists.withheld, matters);
        let mut rumours = lists.rumours;
        if rumours.len() > MOST_LISTED {
            let kept = bounded(rumours.keys().copied().collect(), |origin| origin == own);
            rumours.retain(|origin, _| kept.contains(origin));
        }
        let mut news: BTreeSet<Origin> = told.difference(&self.told).copied().collect();
        let is_rumoured = rumours.contains_key(&own) && !self.rumours.contains_key(&own);
        news.extend(Some(own).filter(|_| is_rumoured));
        news.retain(|origin| !self.found.contains_key(origin));
        self.told = told;
        self.withheld = withheld;
        self.rumours = rumours;
        news.into_iter().collect()
    }

    /// What we found forked ourselves: what the peer is told.
    pub(crate) fn found(&self) -> impl Iterator<Item = Origin> + '_ {
        self.found.keys().copied()
    }

    /// What the peer neither gives nor takes, because it is forked between it and others.
    pub(crate) fn withheld(&self) -> &BTreeSet<Origin> {
        &self.withheld
    }

    /// What the peer told of forks that others are to be told of too, and how far.
    pub(crate) fn rumours(&self) -> impl Iterator<Item = (Origin, u8)> + '_ {
        let further = |(&origin, &far): (&Origin, &u8)| Some((origin, far.checked_sub(1)?));
        self.rumours.iter().filter_map(further).take(MOST_RUMOURS)
    }

    /// Every origin that one of both sides found forked.
    pub(crate) fn all(&self) -> impl Iterator<Item = Origin> + '_ {
        let told = self.told.iter().copied();
        let told = told.filter(|origin| !self.found.contains_key(origin));
        self.found().chain(told)
    }
}

/// Keeps a bounded part of a list, what matters here first.
fn bounded(listed: BTreeSet<Origin>, matters: impl Fn(Origin) -> bool) -> BTreeSet<Origin> {
    if listed.len() <= MOST_LISTED {
        return listed;
    }
    let (first, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(|&it| matters(it));
    first.into_iter().chain(others).take(MOST_LISTED).collect()
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
            closed_ts: Hlc::default(),
            highest: Hlc::default(),
            offset: 200,
        };
        let theirs = origins.iter().map(|&it| (it, (1, Hash::START))).collect();
        let mut forks = Forks::default();

        let mut looked_up = BTreeSet::new();
        loop {
            let (_, doubts) = forks.compare(0, &theirs, &head);
            if doubts.is_empty() {
                break;
            }
            assert!(doubts.len() <= DOUBTS_AT_ONCE, "{}", doubts.len());
            for doubt in doubts {
                looked_up.insert(doubt.origin);
                let ours = Some(doubt.theirs);
                forks.settle(0, doubt.origin, doubt.seq, doubt.theirs, ours);
            }
        }

        assert_eq!(looked_up.len(), 100);
    }

    #[test]
    fn of_endless_lists_what_matters_here_is_kept() {
        let (own, held) = (origin(60_000), origin(60_001));
        let all: BTreeSet<_> = (0..60_002).map(origin).collect();
        let lists = || Lists {
            forked: all.clone(),
            withheld: all.clone(),
            rumours: all.iter().map(|&it| (it, 9)).collect(),
        };
        let mut forks = Forks::default();

        let news = forks.hear(own, &[(held, 1)].into_iter().collect(), lists());

        assert!(news.len() <= MOST_LISTED, "{}", news.len());
        assert!(news.contains(&own) && news.contains(&held));
        assert!(forks.withheld().contains(&held));
        assert!(forks.rumours.contains_key(&own));
        let kept = [forks.told.len(), forks.withheld.len(), forks.rumours.len()];
        assert_eq!(kept, [MOST_LISTED; 3]);
    }

    fn origin(epoch: u32) -> Origin {
        Origin {
            replica: ReplicaId::new(2).unwrap(),
            epoch: Epoch(epoch),
        }
    }
}
