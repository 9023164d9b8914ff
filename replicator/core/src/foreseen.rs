//! A batch that was asked for before it was known what would be wanted, and what of it is wanted now.

use causeway_domain::rule::{self, Rule};
use causeway_domain::version_vector::VersionVector;

use crate::plan;
use crate::wire::events::Decoded;

/// What such a batch is good for.
#[derive(Debug)]
pub struct Foreseen {
    /// It is all that the peer gives next beyond this: what was held or left out when it was asked
    /// for, and what is held or left out by now.
    pub beyond: VersionVector,
    /// What is wanted of it.
    pub pulled: Decoded,
}

impl Foreseen {
    /// Takes of what was `pulled` beyond `asked` what a pull beyond `after` would bring: nothing where
    /// what comes before it could not be stored.
    pub fn of(asked: &VersionVector, after: &VersionVector, mut pulled: Decoded) -> Option<Self> {
        if !plan::fits(after, asked) {
            return None;
        }
        // Meanwhile some may have come another way.
        let events = &mut pulled.events;
        events.retain(|event| !after.covers(event.envelope.stamp.dot()));
        let mut beyond = after.clone();
        if rule::holds(Rule::AheadIsAskedOf) {
            beyond.merge(asked);
        }
        (!pulled.events.is_empty()).then_some(Self { beyond, pulled })
    }
}
