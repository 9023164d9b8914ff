//! The event log of a simulated replica: in memory, with the causal rule of the real one.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::hlc::{Clock, Hlc};
use causeway_domain::ids::Origin;
use causeway_domain::log::Head;
use causeway_domain::stamp::{Dot, Stamp};
use causeway_domain::version_vector::{Range, VersionVector};
use causeway_replicator::core::Taken;

/// An event: what the real one has, without the text around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub stamp: Stamp,
    pub content: u64,
    pub hash: Hash,
}

/// The log of one replica.
pub struct Log {
    own: Origin,
    clock: Clock,
    events: Vec<Rc<Event>>,
    places: BTreeMap<Origin, Vec<usize>>,
    head: Arc<Head>,
}

impl Log {
    pub fn new(own: Origin) -> Self {
        Self {
            own,
            clock: Clock::default(),
            events: Vec::new(),
            places: BTreeMap::new(),
            head: Arc::new(Head {
                origin: own,
                vector: VersionVector::default(),
                hashes: BTreeMap::new(),
                floor: Hlc::default(),
                highest: Hlc::default(),
                arrival: 0,
            }),
        }
    }

    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head)
    }

    pub fn events(&self) -> &[Rc<Event>] {
        &self.events
    }

    /// Accepts a new event here.
    pub fn write(&mut self, wall_ms: u64, content: u64) {
        let past = self.head.vector.clone();
        let stamp = Stamp {
            origin: self.own,
            seq: past.get(self.own) + 1,
            hlc: self.clock.tick(wall_ms),
            past,
        };
        let hash = self.chain(self.own).then(&content.to_be_bytes());
        self.append(Rc::new(Event {
            stamp,
            content,
            hash,
        }));
        self.raise_floor(wall_ms);
    }

    /// Promises that nothing is written any more at or below the present reading.
    pub fn raise_floor(&mut self, wall_ms: u64) {
        self.clock.merge(Hlc::at_ms(wall_ms));
        let mut head = (*self.head).clone();
        head.floor = self.clock.last();
        self.head = Arc::new(head);
    }

    /// Stores what is new and whose past is held; says what is missing for the rest.
    pub fn absorb(&mut self, events: &[Rc<Event>]) -> Taken {
        let mut taken = Taken::default();
        for event in events {
            let dot = event.stamp.dot();
            let held = &self.head.vector;
            if held.covers(dot) {
                if self.hash_at(dot.origin, dot.seq) != Some(event.hash) {
                    taken.forked.push(dot.origin);
                }
                continue;
            }
            let missing = event.stamp.past.beyond(held);
            if !missing.is_empty() {
                taken.missing.extend(missing);
                continue;
            }
            if self.chain(dot.origin).then(&event.content.to_be_bytes()) != event.hash {
                taken.forked.push(dot.origin);
                continue;
            }
            self.clock.merge(event.stamp.hlc);
            self.append(Rc::clone(event));
            taken.stored += 1;
        }
        let held = &self.head.vector;
        taken
            .missing
            .retain(|range: &Range| range.last > held.get(range.origin));
        taken
    }

    pub fn read_beyond(&self, held: &VersionVector, limit: usize) -> Vec<Rc<Event>> {
        let mut places: Vec<usize> = Vec::new();
        for range in self.head.vector.beyond(held) {
            let known = usize::try_from(range.first - 1).expect("a small number");
            places.extend(&self.places[&range.origin][known..]);
        }
        places.sort_unstable();
        places.truncate(limit);
        let events = places.into_iter().map(|place| &self.events[place]);
        events.cloned().collect()
    }

    pub fn hash_at(&self, origin: Origin, seq: u64) -> Option<Hash> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        let place = *self.places.get(&origin)?.get(index)?;
        Some(self.events[place].hash)
    }

    fn chain(&self, origin: Origin) -> Hash {
        self.head.hashes.get(&origin).copied().unwrap_or_default()
    }

    fn append(&mut self, event: Rc<Event>) {
        let dot: Dot = event.stamp.dot();
        let mut head = (*self.head).clone();
        assert!(head.vector.is_next(dot), "{dot} leaves a gap");
        head.vector.record(dot);
        head.hashes.insert(dot.origin, event.hash);
        head.highest = head.highest.max(event.stamp.hlc);
        head.arrival += 1;
        self.head = Arc::new(head);
        let places = self.places.entry(dot.origin).or_default();
        places.push(self.events.len());
        self.events.push(event);
    }
}
