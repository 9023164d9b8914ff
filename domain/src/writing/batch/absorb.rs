//! Events of peers: which can be stored now.

use std::collections::BTreeSet;

use crate::envelope::RawEvent;
use crate::ids::Origin;
use crate::rule::{self, Rule};
use crate::writing::Absorbed;

use super::Batch;

impl Batch<'_> {
    /// Takes a peer's events in, in the order given: each one after all in its past, with the
    /// next number of its origin, and with the chain that follows from the former one (F10, F11).
    /// What the past names of a `known_forks` origin is excused: a fork stops that origin, not all
    /// that was written since in the knowledge of it.
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
            self.fold_in(event.clone());
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
