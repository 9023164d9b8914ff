//! Decides which events of peers can be stored.

use std::collections::BTreeSet;

use crate::envelope::RawEvent;
use crate::ids::Origin;
use crate::mutant;
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
                    is_predecessor_required()
                } else {
                    is_past_required() && !known_forks.contains(&range.origin)
                }
            });
            if !needed.is_empty() {
                missing.extend(needed);
                continue;
            }
            if !self.continues_chain(event) {
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

    fn continues_chain(&self, event: &RawEvent) -> bool {
        mutant!(ChainIsChecked => true);
        let origin = event.envelope.stamp.origin;
        self.chain_of(origin).then(event.bytes.as_bytes()) == event.hash
    }
}

/// Whether an event waits for the one before it of its origin.
fn is_predecessor_required() -> bool {
    mutant!(NextIsAsked => false);
    true
}

/// Whether an event waits for its causal past.
fn is_past_required() -> bool {
    mutant!(PastIsAsked => false);
    true
}
