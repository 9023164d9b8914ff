//! Decides which events of peers can be stored.

use std::collections::BTreeSet;

use crate::envelope::RawEvent;
use crate::ids::Origin;
use crate::rule::{self, Rule};
use crate::writing::Absorbed;

use super::Batch;

impl Batch<'_> {
    /// Applies a peer's events in the given order. An event is stored only after its causal past,
    /// as the next of its origin, and if it extends the origin's chain (F10, F11). Events of a
    /// `known_forks` origin in its past are not required: a fork stops that origin, but not the
    /// events of other origins that depend on it.
    pub(super) fn absorb(
        &mut self,
        events: &[RawEvent],
        known_forks: &BTreeSet<Origin>,
    ) -> Absorbed {
        let mut stored = 0;
        let mut missing = BTreeSet::new();
        let mut forked = BTreeSet::new();
        let mut unknown_own = None;
        for event in events {
            let stamp = &event.envelope.stamp;
            if self.head.vector.covers(stamp.dot()) {
                continue;
            }
            if stamp.origin == self.head.origin {
                unknown_own = unknown_own.max(Some(stamp.dot()));
                continue;
            }
            let mut needed = stamp.past.beyond(&self.head.vector);
            needed.retain(|range| {
                if range.origin == stamp.origin {
                    rule::holds(Rule::NextIsAsked)
                } else {
                    !known_forks.contains(&range.origin) && rule::holds(Rule::PastIsAsked)
                }
            });
            if !needed.is_empty() {
                missing.extend(needed);
                continue;
            }
            let chain = self.chain_of(stamp.origin).then(event.bytes.as_bytes());
            if chain != event.hash && rule::holds(Rule::ChainIsChecked) {
                forked.insert(stamp.origin);
                continue;
            }
            self.apply_and_append(event.clone());
            stored += 1;
        }
        Absorbed {
            stored,
            missing: missing.into_iter().collect(),
            forked: forked.into_iter().collect(),
            unknown_own,
        }
    }
}
