//! The version vector: for each origin the highest seq held with nothing missing below.
//!
//! `PartialOrd` is absent on purpose: "mine is not smaller than theirs, so nothing is missing" is
//! the mistake that loses concurrent events (F6). `beyond` returns what is missing, per origin.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{Dot, Origin, ReplicaId};

/// Origin → highest seq held with nothing missing below. An absent origin stands at 0. Cloning is
/// cheap, since every event carries a vector: the map is shared until it is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionVector(Arc<BTreeMap<Origin, u64>>);

/// The events `first..=last` of one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The origin.
    pub origin: Origin,
    /// The lowest seq, at least 1.
    pub first: u64,
    /// The highest seq, not below `first`.
    pub last: u64,
}

impl Range {
    /// The number of events in it.
    pub fn count(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether it contains a dot.
    pub fn holds(&self, dot: Dot) -> bool {
        dot.origin == self.origin && (self.first..=self.last).contains(&dot.seq)
    }
}

impl VersionVector {
    /// Returns the highest seq held of an origin, 0 if none.
    pub fn get(&self, origin: Origin) -> u64 {
        self.0.get(&origin).copied().unwrap_or(0)
    }

    /// Whether the event at this dot is held.
    pub fn covers(&self, dot: Dot) -> bool {
        dot.seq <= self.get(dot.origin)
    }

    /// Whether every event that `other` covers is held.
    pub fn covers_all(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|(&origin, &seq)| seq <= self.get(origin))
    }

    /// Whether this dot is the next of its origin.
    pub fn is_next(&self, dot: Dot) -> bool {
        self.get(dot.origin).checked_add(1) == Some(dot.seq)
    }

    /// Raises an origin to this dot. The caller ensures that nothing below it is missing.
    pub fn record(&mut self, dot: Dot) {
        if dot.seq > self.get(dot.origin) {
            Arc::make_mut(&mut self.0).insert(dot.origin, dot.seq);
        }
    }

    /// Raises every origin to the seq in `other`, where that is higher.
    pub fn merge(&mut self, other: &Self) {
        for (origin, seq) in other.iter() {
            self.record(Dot { origin, seq });
        }
    }

    /// Returns the events covered by both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        self.iter()
            .map(|(origin, seq)| (origin, seq.min(other.get(origin))))
            .collect()
    }

    /// Returns, per origin, the events covered by `self` and not by `other`.
    pub fn beyond(&self, other: &Self) -> Vec<Range> {
        self.iter()
            .filter(|&(origin, seq)| seq > other.get(origin))
            .map(|(origin, last)| Range {
                origin,
                first: other.get(origin) + 1,
                last,
            })
            .collect()
    }

    /// The number of events covered by `self` and not by `other`.
    pub fn count_beyond(&self, other: &Self) -> u64 {
        self.iter()
            .map(|(origin, seq)| seq.saturating_sub(other.get(origin)))
            .fold(0, u64::saturating_add)
    }

    /// The number of events held of a replica, over all its epochs: one element of the array that
    /// users are shown.
    pub fn count_of(&self, replica: ReplicaId) -> u64 {
        self.iter()
            .filter(|(origin, _)| origin.replica == replica)
            .map(|(_, seq)| seq)
            .sum()
    }

    /// Iterates over the origins held, ascending, each with its highest seq.
    pub fn iter(&self) -> impl Iterator<Item = (Origin, u64)> + '_ {
        self.0.iter().map(|(&origin, &seq)| (origin, seq))
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of origins held.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<(Origin, u64)> for VersionVector {
    /// Omits origins at 0, which equal absent ones.
    fn from_iter<I: IntoIterator<Item = (Origin, u64)>>(pairs: I) -> Self {
        let mut vector = Self::default();
        for (origin, seq) in pairs {
            vector.record(Dot { origin, seq });
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Epoch;

    proptest! {
        #[test]
        fn merge_commutes(a in any_vector(), b in any_vector()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        }

        #[test]
        fn merge_associates(a in any_vector(), b in any_vector(), c in any_vector()) {
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        }

        #[test]
        fn merge_is_idempotent(a in any_vector(), b in any_vector()) {
            let once = merged(&a, &b);

            prop_assert_eq!(merged(&once, &b), once.clone());
            prop_assert!(once.covers_all(&a) && once.covers_all(&b));
        }

        /// Recording each dot beyond a vector equals merging: none is left out, and none is
        /// repeated (F6).
        #[test]
        fn recording_what_lies_beyond_is_merging(a in any_vector(), b in any_vector()) {
            let mut held = a.clone();
            let mut recorded = 0;
            for range in b.beyond(&a) {
                for seq in range.first..=range.last {
                    let dot = Dot { origin: range.origin, seq };
                    prop_assert!(held.is_next(dot) && !held.covers(dot) && b.covers(dot));
                    held.record(dot);
                    recorded += 1;
                }
            }

            prop_assert_eq!(&held, &merged(&a, &b));
            prop_assert_eq!(b.beyond(&held), vec![]);
            prop_assert_eq!(recorded, b.count_beyond(&a));
            prop_assert_eq!(recorded, b.beyond(&a).iter().map(Range::count).sum::<u64>());
        }

        #[test]
        fn what_is_common_is_held_in_both(a in any_vector(), b in any_vector(), dot in any_dot()) {
            let common = a.common(&b);

            prop_assert_eq!(common.covers(dot), a.covers(dot) && b.covers(dot));
            prop_assert_eq!(common, b.common(&a));
        }

        #[test]
        fn a_covered_dot_stays_covered(a in any_vector(), dot in any_dot(), other in any_dot()) {
            let mut vector = a;
            vector.record(dot);
            prop_assert!(vector.covers(dot));

            vector.record(other);

            prop_assert!(vector.covers(dot) && vector.covers(other));
        }

        #[test]
        fn covers_all_means_that_nothing_lies_beyond(a in any_vector(), b in any_vector()) {
            prop_assert_eq!(a.covers_all(&b), b.beyond(&a).is_empty());
        }

        #[test]
        fn the_counts_of_all_replicas_include_every_event_once(a in any_vector()) {
            let replicas = (1..=4).filter_map(ReplicaId::new);
            let shown: u64 = replicas.map(|replica| a.count_of(replica)).sum();

            prop_assert_eq!(shown, a.iter().map(|(_, seq)| seq).sum::<u64>());
        }

        #[test]
        fn a_vector_round_trips_as_json(a in any_vector()) {
            let json = serde_json::to_string(&a).unwrap();

            prop_assert_eq!(serde_json::from_str::<VersionVector>(&json).unwrap(), a);
        }
    }

    #[test]
    fn an_origin_at_0_is_not_held() {
        let origin = origin(1, 0);

        let vector: VersionVector = [(origin, 0)].into_iter().collect();

        assert_eq!(vector, VersionVector::default());
        assert!(vector.is_next(Dot { origin, seq: 1 }));
        assert!(!vector.is_next(Dot { origin, seq: 0 }));
    }

    #[test]
    fn the_highest_seqs_do_not_overflow() {
        let full: VersionVector = (1..=3).map(|r| (origin(r, 0), u64::MAX)).collect();

        assert_eq!(full.count_beyond(&VersionVector::default()), u64::MAX);
        assert_eq!(full.beyond(&full), []);
        assert!(!full.is_next(Dot {
            origin: origin(1, 0),
            seq: 0
        }));
    }

    fn merged(a: &VersionVector, b: &VersionVector) -> VersionVector {
        let mut merged = a.clone();
        merged.merge(b);
        merged
    }

    fn any_vector() -> impl Strategy<Value = VersionVector> {
        let entry = (1..=4_u16, 0..2_u32, 0..12_u64);
        proptest::collection::vec(entry, 0..8).prop_map(|entries| {
            let entries = entries.into_iter();
            entries
                .map(|(r, epoch, seq)| (origin(r, epoch), seq))
                .collect()
        })
    }

    fn any_dot() -> impl Strategy<Value = Dot> {
        (1..=4_u16, 0..2_u32, 1..12_u64).prop_map(|(replica, epoch, seq)| Dot {
            origin: origin(replica, epoch),
            seq,
        })
    }

    fn origin(replica: u16, epoch: u32) -> Origin {
        Origin {
            replica: ReplicaId::new(replica).unwrap(),
            epoch: Epoch(epoch),
        }
    }
}
