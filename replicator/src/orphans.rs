//! Pasts that nobody holds any more.
//!
//! A replica stores an event after all in its past, so whoever gives an event holds its past, but
//! for one case: it took the event beside a fork, whose side the event knew has yielded since or is
//! gone. When a peer that gave such an event still does not hold what the event names, it never will
//! before that event, and waiting for it would be for ever.

use std::collections::BTreeMap;

use causeway_domain::ids::Origin;
use causeway_domain::version_vector::{Range, VersionVector};

/// What a peer said before it gave an event can arrive after the event, but not by more: calls are
/// given up sooner.
const IN_FLIGHT_MS: u64 = 2_500;

/// Most origins noted of one peer: no cluster has so many, and a peer can name any number.
const MOST: usize = 10_000;

/// What the events that one peer gave were found to lack.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    /// The highest number named, and since when it is missing.
    missing: BTreeMap<Origin, (u64, u64)>,
    found: BTreeMap<Origin, u64>,
}

impl Orphans {
    /// Takes in what events of the peer named that is not held here.
    pub(crate) fn miss(&mut self, now_ms: u64, missing: &[Range]) {
        for range in missing {
            if self.missing.len() >= MOST && !self.missing.contains_key(&range.origin) {
                continue;
            }
            let known = self.missing.entry(range.origin);
            let (last, since_ms) = known.or_insert((range.last, now_ms));
            if range.last > *last {
                (*last, *since_ms) = (range.last, now_ms);
            }
        }
    }

    /// Takes in what the peer holds now.
    pub(crate) fn compare(&mut self, now_ms: u64, theirs: &VersionVector) {
        self.found
            .retain(|&origin, last| theirs.get(origin) < *last);
        self.missing.retain(|&origin, &mut (last, since_ms)| {
            let is_there = theirs.get(origin) >= last;
            let is_sure = now_ms >= since_ms + IN_FLIGHT_MS;
            if !is_there && is_sure && self.found.len() < MOST {
                self.found.insert(origin, last);
            }
            !is_there && !is_sure
        });
    }

    /// Origins that are not to be waited for.
    pub(crate) fn origins(&self) -> impl Iterator<Item = Origin> + '_ {
        self.found.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use causeway_domain::ids::{Epoch, ReplicaId};

    use super::*;

    #[test]
    fn what_its_giver_does_not_hold_either_is_not_waited_for() {
        let mut orphans = Orphans::default();
        orphans.miss(0, &[range(7)]);

        orphans.compare(1_000, &held(6));
        assert_eq!(
            orphans.origins().count(),
            0,
            "said before it gave the event, perhaps"
        );
        orphans.miss(1_500, &[range(7)]);
        orphans.compare(2_500, &held(6));
        assert_eq!(orphans.origins().next(), Some(range(7).origin));

        orphans.compare(2_600, &held(7));
        assert_eq!(orphans.origins().count(), 0, "it has come after all");
    }

    #[test]
    fn what_its_giver_holds_is_waited_for() {
        let mut orphans = Orphans::default();
        orphans.miss(0, &[range(7)]);

        orphans.compare(9_000, &held(7));
        orphans.compare(9_000, &held(7));

        assert_eq!(orphans.origins().count(), 0);
    }

    #[test]
    fn a_peer_that_names_more_than_any_cluster_has_costs_no_more_memory() {
        let mut orphans = Orphans::default();
        let named = |epoch| Range {
            origin: Origin {
                epoch: Epoch(epoch),
                ..range(1).origin
            },
            ..range(1)
        };

        for now_ms in [0, 9_000, 18_000] {
            let first = u32::try_from(now_ms).unwrap() * 10;
            for epoch in first..first + 30_000 {
                orphans.miss(now_ms, &[named(epoch)]);
            }
            assert!(orphans.missing.len() <= MOST, "{}", orphans.missing.len());
            orphans.compare(now_ms + 9_000, &VersionVector::default());
            assert!(orphans.found.len() <= MOST, "{}", orphans.found.len());
        }
    }

    fn range(last: u64) -> Range {
        let origin = Origin {
            replica: ReplicaId::new(2).unwrap(),
            epoch: Epoch(1),
        };
        Range {
            origin,
            first: last,
            last,
        }
    }

    fn held(seq: u64) -> VersionVector {
        [(range(1).origin, seq)].into_iter().collect()
    }
}
