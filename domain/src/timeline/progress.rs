//! One reader's progress through the feed of a replica.
//!
//! A cursor holds two vectors, so it is valid on every replica:
//!
//! * **delivered**: the events that were told, or needed no frame. What lies beyond is still to be
//!   told.
//! * **acknowledged**: the part of it that no frame since contradicts. What was delivered and is not
//!   acknowledged is *stale*: a frame may have been made by a replica that did not hold it, so the
//!   object is rechecked, and told again where that is needed.
//!
//! Three rules move them, entry by entry in order of arrival:
//!
//! 1. At a replica that holds everything delivered, both take in each entry.
//! 2. At a replica that lacks some of it and awaits that (*the reader is ahead*), `delivered` takes
//!    in each entry. With the first one `acknowledged` falls to what the replica holds: its frames
//!    know no more.
//! 3. Nothing is rechecked while the reader is ahead: the replica could not settle a doubt.
//!
//! So each frame moves the cursor: `delivered` grows, or it stays and `acknowledged` grows.
//! `docs/ARCHITECTURE.md` proves that the reader ends with what the replica shows.

use std::sync::Arc;

use crate::cursor::Delivery;
use crate::hlc::Hlc;
use crate::ids::Origin;
use crate::rule::{self, Rule};
use crate::version_vector::VersionVector;

use super::delivery::Rivals;
use super::{Checkpoint, FeedEntry, Kind};

/// One reader's progress through the feed of a replica. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress {
    /// All entries up to this arrival were looked at.
    at: i64,
    delivered: VersionVector,
    /// None: everything delivered.
    acknowledged: Option<VersionVector>,
    highest: Hlc,
    /// What this replica holds.
    held: Arc<Checkpoint>,
    ahead: Ahead,
    /// Frames were delivered for events that are lost or kept back, and may contradict what is
    /// stale.
    has_hidden_stale: bool,
    /// Up to this arrival delivered entries stand between others. None: not looked up yet.
    mixed_until: Option<i64>,
    /// `acknowledged` has fallen to what is held.
    has_fallen: bool,
}

/// Whether something that was delivered elsewhere is not held here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ahead {
    No,
    /// It cannot come.
    InVain,
    /// It can still come.
    Awaiting,
}

/// Where in the log a reader begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Search {
    /// The first entry to look at is the first that this lacks.
    pub beyond: VersionVector,
    /// Delivered entries stand between others up to the last one that this covers.
    pub within: VersionVector,
}

/// Whether what a replica does not hold of an origin can still come to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Some replica may hold it, or its writer may not have been heard since.
    Awaited,
    /// Histories of the origin differ, so it is not exchanged until an operator decides.
    KeptBack,
    /// No replica holds more than this number: the rest was lost with a disk.
    LostBeyond(u64),
}

/// What a reader is told of one entry of a step.
#[derive(Debug)]
pub struct Told<C> {
    /// Which entry.
    pub index: usize,
    /// As what.
    pub kind: Kind,
    /// The cursor of its frame.
    pub cursor: C,
}

impl Progress {
    /// Begins with what comes after a checkpoint.
    pub fn after(held: &Arc<Checkpoint>) -> Self {
        Self {
            at: held.arrival,
            delivered: held.vector.clone(),
            acknowledged: None,
            highest: held.highest,
            held: held.clone(),
            ahead: Ahead::No,
            has_hidden_stale: false,
            mixed_until: Some(held.arrival),
            has_fallen: false,
        }
    }

    /// Resumes after what a cursor says was delivered, here or at another replica.
    pub fn resume(held: &Arc<Checkpoint>, delivery: Delivery) -> Self {
        Self {
            delivered: delivery.delivered,
            acknowledged: delivery.acknowledged,
            highest: delivery.highest,
            mixed_until: None,
            ..Self::after(held)
        }
    }

    /// What the cursor after everything taken in so far holds.
    pub fn delivery(&self) -> Delivery {
        let acknowledged = self.acknowledged.as_ref();
        let acknowledged = acknowledged.filter(|it| **it != self.delivered);
        Delivery {
            delivered: self.delivered.clone(),
            acknowledged: acknowledged.cloned(),
            highest: self.highest,
        }
    }

    /// All entries up to this arrival were looked at.
    pub fn at(&self) -> i64 {
        self.at
    }

    /// Tells whether nothing delivered can be contradicted any more. Until then a message that the
    /// reader was told at another place may be moved.
    pub fn is_sure(&self) -> bool {
        self.ahead == Ahead::No && self.acknowledged.is_none()
    }

    /// All events that were delivered.
    pub fn delivered(&self) -> &VersionVector {
        &self.delivered
    }

    /// The reader was delivered more elsewhere than this replica holds, so its frames are its own
    /// and come from the table.
    pub fn is_ahead(&self) -> bool {
        self.ahead != Ahead::No
    }

    fn awaits(&self) -> bool {
        self.ahead == Ahead::Awaiting
    }

    /// Begins to read up to a checkpoint. Says where the first entry to look at is to be searched
    /// for, unless reading goes on where it stands; [`Progress::start`] takes in the outcome.
    ///
    /// `fate_of` tells of an origin whether what is not held here of it can still come, given a
    /// clock reading that no event in question is above. What cannot come counts for nothing, so
    /// that nobody is ahead for ever.
    pub fn begin(
        &mut self,
        held: &Arc<Checkpoint>,
        fate_of: impl Fn(Origin, Hlc) -> Fate,
    ) -> Option<Search> {
        self.held = held.clone();
        self.has_fallen = false;
        let former = std::mem::replace(&mut self.ahead, Ahead::No);
        self.has_hidden_stale = false;
        for range in self.delivered.beyond(&held.vector) {
            match fate_of(range.origin, self.highest) {
                Fate::Awaited => self.ahead = Ahead::Awaiting,
                Fate::KeptBack => self.hide(range.origin),
                Fate::LostBeyond(last) if last >= range.first => self.ahead = Ahead::Awaiting,
                Fate::LostBeyond(last) => self.lose(range.origin, last),
            }
        }
        if !held.vector.covers_all(&self.delivered) {
            self.ahead = self.ahead.max(Ahead::InVain);
        }
        let awaits = self.ahead == Ahead::Awaiting;
        let goes_on = self.mixed_until.is_some() && (awaits || self.ahead == former);
        if goes_on {
            return None;
        }
        let beyond = match &self.acknowledged {
            Some(acknowledged) if !awaits => acknowledged,
            _ => &self.delivered,
        };
        Some(Search {
            beyond: beyond.clone(),
            within: self.delivered.clone(),
        })
    }

    /// Takes in where the search led: the place before the first entry to look at, and that of the
    /// last delivered one.
    pub fn start(&mut self, first: i64, last_delivered: i64) {
        self.at = first;
        self.mixed_until = Some(last_delivered);
    }

    /// Tells whether [`Progress::take_step`] must know the rivals of an entry.
    pub fn needs_rivals(&self, entry: &FeedEntry) -> bool {
        if self.delivered.covers(entry.position.dot()) {
            return self.is_to_be_rechecked(entry);
        }
        self.is_ahead() || self.mixed_until.is_none_or(|until| entry.arrival < until)
    }

    /// Tells whether an entry was delivered, but is stale, at a replica that can settle the doubt.
    pub fn is_to_be_rechecked(&self, entry: &FeedEntry) -> bool {
        let dot = entry.position.dot();
        let is_stale =
            |acknowledged: &VersionVector| self.delivered.covers(dot) && !acknowledged.covers(dot);
        !self.awaits() && self.acknowledged.as_ref().is_some_and(is_stale)
    }

    /// Takes in a step of entries, in order of arrival, until `most` were told. `rivals`: of those
    /// that [need them](Progress::needs_rivals) all of the same registers, and every stale entry
    /// about the same objects. `vectors`: those of the log that are kept within the step, by arrival.
    /// `cursor` makes the cursor of a frame.
    pub fn take_step<C>(
        &mut self,
        entries: &[FeedEntry],
        rivals: &[FeedEntry],
        vectors: &[(i64, VersionVector)],
        most: usize,
        cursor: impl Fn(&Self) -> C,
    ) -> Vec<Told<C>> {
        let mut told = Vec::new();
        let mut rivals = Rivals::of(rivals, &self.delivered, self.acknowledged.as_ref());
        let mut vectors = vectors.iter().peekable();
        for (index, entry) in entries.iter().enumerate() {
            if told.len() == most {
                break;
            }
            let kind = self.take(entry, &mut rivals);
            while let Some((_, it)) = vectors.next_if(|(arrival, _)| *arrival <= entry.arrival) {
                self.pass(it);
            }
            if let Some(kind) = kind {
                let cursor = cursor(self);
                told.push(Told {
                    index,
                    kind,
                    cursor,
                });
            }
        }
        told
    }

    /// Takes in the next entry, in order of arrival. Returns as what the reader is told of it, if at
    /// all.
    fn take(&mut self, entry: &FeedEntry, rivals: &mut Rivals) -> Option<Kind> {
        let dot = entry.position.dot();
        let is_new = !self.delivered.covers(dot);
        let awaits = self.awaits();
        let told = if self.is_to_be_rechecked(entry) {
            rivals.recheck(entry, self.has_hidden_stale)
        } else if !is_new {
            None
        } else if self.needs_rivals(entry) {
            rivals.deliver(entry)
        } else {
            entry.shown_as()
        };
        let is_after = entry.position.hlc > self.highest;
        let told = told.filter(|_| is_after || rule::holds(Rule::CursorIsVector));
        if is_new && awaits {
            self.fall();
        }
        if !rule::holds(Rule::AcknowledgedByEntry) {
            self.acknowledged
                .get_or_insert_with(|| self.delivered.clone());
        } else if let Some(acknowledged) = self.acknowledged.as_mut().filter(|_| !awaits) {
            acknowledged.record(dot);
        }
        if is_new {
            self.delivered.record(dot);
            rivals.record(entry);
        }
        self.highest = self.highest.max(entry.position.hlc);
        self.at = entry.arrival;
        told
    }

    /// Every entry of the group up to an arrival was taken in, where this replica held `vector`:
    /// what else that covers needs no frame.
    fn pass(&mut self, vector: &VersionVector) {
        self.delivered.merge(vector);
        let awaits = self.awaits();
        if let Some(acknowledged) = self.acknowledged.as_mut().filter(|_| !awaits)
            && rule::holds(Rule::AcknowledgedByEntry)
        {
            acknowledged.merge(vector);
        }
    }

    /// Every entry of the group that this replica holds was taken in.
    pub fn arrive(&mut self) {
        let held = self.held.clone();
        self.at = held.arrival;
        self.delivered.merge(&held.vector);
        self.highest = self.highest.max(held.highest);
        if !self.awaits() {
            self.acknowledged = None;
        }
    }

    /// Takes in what all readers are told alike: everything shown up to an arrival, where `vector`
    /// was held. Only for readers who are not ahead.
    pub fn share(&mut self, up_to: i64, vector: &VersionVector, highest: Hlc) {
        self.delivered = vector.clone();
        self.highest = self.highest.max(highest);
        self.at = up_to;
    }

    /// A frame is about to be made here: it knows only what is held here.
    fn fall(&mut self) {
        if !self.has_fallen {
            let acknowledged = self.acknowledged.as_ref().unwrap_or(&self.delivered);
            self.acknowledged = Some(acknowledged.common(&self.held.vector));
            self.has_fallen = true;
        }
    }

    /// What was delivered of an origin cannot be looked up here.
    fn hide(&mut self, origin: Origin) {
        if let Some(acknowledged) = &self.acknowledged {
            self.has_hidden_stale |= acknowledged.get(origin) < self.delivered.get(origin);
        }
    }

    /// What was delivered of an origin beyond a number is lost: forgets it, once nothing is stale
    /// that its frames may contradict.
    fn lose(&mut self, origin: Origin, last: u64) {
        if self.acknowledged.is_some() {
            return self.hide(origin);
        }
        let kept = self.delivered.iter().map(|(other, seq)| {
            let is_lost = other == origin;
            (other, if is_lost { seq.min(last) } else { seq })
        });
        self.delivered = kept.collect();
    }
}
