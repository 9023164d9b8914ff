//! What a replica holds: for each origin the highest number with nothing missing below.
//!
//! There is no `PartialOrd` on purpose: "mine is not smaller than theirs, so nothing is missing" is
//! the mistake that loses concurrent events (F6). Ask `beyond` for what is missing, per origin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Origin, ReplicaId};
use crate::stamp::Dot;

/// Origin → highest seq held with nothing missing below. An absent origin stands at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionVector(BTreeMap<Origin, u64>);

/// The numbers `first..=last` of one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// Whose numbers.
    pub origin: Origin,
    /// The lowest, at least 1.
    pub first: u64,
    /// The highest, not below `first`.
    pub last: u64,
}

impl Range {
    /// How many numbers it spans.
    pub fn count(&self) -> u64 {
        self.last - self.first + 1
    }
}

impl VersionVector {
    /// Returns the highest number held of an origin, 0 where none is.
    pub fn get(&self, origin: Origin) -> u64 {
        self.0.get(&origin).copied().unwrap_or(0)
    }

    /// Tells whether the event at this dot is held.
    pub fn covers(&self, dot: Dot) -> bool {
        dot.seq <= self.get(dot.origin)
    }

    /// Tells whether all that `other` holds is held.
    pub fn covers_all(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|(&origin, &seq)| seq <= self.get(origin))
    }

    /// Tells whether this dot is the next of its origin.
    pub fn is_next(&self, dot: Dot) -> bool {
        self.get(dot.origin).checked_add(1) == Some(dot.seq)
    }

    /// Raises an origin to this dot. The caller vouches that nothing below it is missing.
    pub fn record(&mut self, dot: Dot) {
        if dot.seq > self.get(dot.origin) {
            self.0.insert(dot.origin, dot.seq);
        }
    }

    /// Raises every origin to what the other holds.
    pub fn merge(&mut self, other: &Self) {
        for (origin, seq) in other.iter() {
            self.record(Dot { origin, seq });
        }
    }

    /// Returns, origin by origin, what is held here and missing in `other`.
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

    /// How many events are held here and missing in `other`.
    pub fn count_beyond(&self, other: &Self) -> u64 {
        self.iter()
            .map(|(origin, seq)| seq.saturating_sub(other.get(origin)))
            .sum()
    }

    /// How many events of a replica are held, over all its epochs: one number of the array that
    /// people are shown.
    pub fn count_of(&self, replica: ReplicaId) -> u64 {
        self.iter()
            .filter(|(origin, _)| origin.replica == replica)
            .map(|(_, seq)| seq)
            .sum()
    }

    /// Lists the origins held, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (Origin, u64)> + '_ {
        self.0.iter().map(|(&origin, &seq)| (origin, seq))
    }

    /// Tells whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many origins are held.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<(Origin, u64)> for VersionVector {
    /// An origin named at 0 is the same as one not named, so it is left out.
    fn from_iter<I: IntoIterator<Item = (Origin, u64)>>(pairs: I) -> Self {
        let mut vector = Self::default();
        for (origin, seq) in pairs {
            vector.record(Dot { origin, seq });
        }
        vector
    }
}
