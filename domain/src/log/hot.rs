//! The aggregates that the writer has at hand, so that a post reads nothing from the database.
//!
//! Bounded: what was not used for longest goes first. Dropped whole after any failed commit,
//! because then the rows alone are true (F14).

use std::collections::BTreeMap;

use cqrs_es::Aggregate;

use crate::aggregate::{Event, Stamped};
use crate::envelope::Envelope;
use crate::group::{Group, GroupEvent};
use crate::post::{Post, PostEvent};

/// An aggregate as the writer keeps it.
pub(super) trait Kept: Aggregate {
    /// Folds a stored event in. One that cannot be read changes nothing here: it was written by
    /// another version or is broken, and must not stop the log (F27).
    fn fold(&mut self, envelope: &Envelope);

    /// What it costs to keep, in entries.
    fn cost(&self) -> usize;
}

fn read<E: Event>(envelope: &Envelope, unknown: E) -> Stamped<E> {
    let event = E::read(&envelope.kind, envelope.event.get()).unwrap_or(unknown);
    Stamped {
        envelope: envelope.clone(),
        event,
    }
}

impl Kept for Group {
    fn fold(&mut self, envelope: &Envelope) {
        Aggregate::apply(self, read(envelope, GroupEvent::Unknown));
    }

    fn cost(&self) -> usize {
        1 + self.weight()
    }
}

impl Kept for Post {
    fn fold(&mut self, envelope: &Envelope) {
        Aggregate::apply(self, read(envelope, PostEvent::Unknown));
    }

    fn cost(&self) -> usize {
        self.weight()
    }
}

struct Slot<A> {
    aggregate: A,
    sequence: i64,
    used: u64,
}

/// The aggregates of one type at hand.
pub(super) struct Shelf<A> {
    slots: BTreeMap<String, Slot<A>>,
    limit: usize,
    uses: u64,
}

impl<A: Kept> Shelf<A> {
    /// Returns an empty shelf that keeps aggregates of a summed cost up to about `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            slots: BTreeMap::new(),
            limit,
            uses: 0,
        }
    }

    /// Tells whether an aggregate is at hand.
    pub fn holds(&self, id: &str) -> bool {
        self.slots.contains_key(id)
    }

    /// Returns an aggregate at hand.
    pub fn get(&mut self, id: &str) -> Option<&A> {
        self.uses += 1;
        let slot = self.slots.get_mut(id)?;
        slot.used = self.uses;
        Some(&slot.aggregate)
    }

    /// Puts an aggregate up that has no events yet.
    pub fn put_empty(&mut self, id: &str) {
        self.uses += 1;
        let slot = Slot {
            aggregate: A::default(),
            sequence: 0,
            used: self.uses,
        };
        self.slots.insert(id.to_owned(), slot);
    }

    /// Folds a stored event of an aggregate at hand in.
    pub fn fold(&mut self, id: &str, sequence: i64, envelope: &Envelope) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.aggregate.fold(envelope);
            slot.sequence = sequence;
        }
    }

    /// The sequence of the last event of an aggregate at hand.
    pub fn sequence(&self, id: &str) -> Option<i64> {
        self.slots.get(id).map(|slot| slot.sequence)
    }

    /// Drops what was not used for longest until the bound is kept. Looks only when there are
    /// more slots than half the limit, or the summed cost says so.
    pub fn trim(&mut self) {
        let mut cost: usize = self.slots.values().map(|slot| slot.aggregate.cost()).sum();
        if cost <= self.limit {
            return;
        }
        let mut by_use: Vec<(u64, String, usize)> = self
            .slots
            .iter()
            .map(|(id, slot)| (slot.used, id.clone(), slot.aggregate.cost()))
            .collect();
        by_use.sort_unstable();
        // Down to half, so that this is not done for every batch.
        for (_, id, freed) in by_use {
            if cost <= self.limit / 2 {
                break;
            }
            self.slots.remove(&id);
            cost -= freed;
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.slots.clear();
    }
}
