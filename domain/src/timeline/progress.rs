//! One reader's progress through the feed of a replica.
//!
//! A cursor holds two vectors, so it is valid on every replica:
//!
//! * **delivered**: the events that were sent in a frame, or needed none. Events beyond it are
//!   still to be delivered.
//! * **acknowledged**: the part of `delivered` that no later frame contradicts. An event that is
//!   delivered and not acknowledged is *stale*: a later frame may come from a replica that did not
//!   hold the event. Its object is rechecked, and shown again if needed.
//!
//! Three rules advance them, entry by entry in log order:
//!
//! 1. At a replica that holds everything delivered, both record each entry.
//! 2. At a replica that lacks a delivered event and may still receive it (*the reader is ahead*),
//!    `delivered` records each entry. The first one cuts `acknowledged` back to what the replica
//!    holds, because its frames reflect no more than that.
//! 3. Nothing is rechecked while the reader is ahead: the replica lacks the events that decide.
//!
//! So each frame advances the cursor: `delivered` grows, or it stays and `acknowledged` grows.
//! `docs/ARCHITECTURE.md` proves that the reader ends with what the replica shows.

use std::sync::Arc;

use crate::cursor::Delivery;
use crate::hlc::Hlc;
use crate::ids::Origin;
use crate::mutant;
use crate::version_vector::VersionVector;

use super::delivery::Rivals;
use super::{Checkpoint, FeedEntry, Kind};

/// One reader's progress through the feed of a replica. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The offset of the last entry passed.
    at: i64,
    delivered: VersionVector,
    /// `None` if it equals `delivered`.
    acknowledged: Option<VersionVector>,
    highest: Hlc,
    /// The checkpoint of this replica.
    held: Arc<Checkpoint>,
    ahead: Ahead,
    /// Whether stale events include some that this replica cannot look up: lost ones, or those of a
    /// forked origin.
    has_hidden_stale: bool,
    /// Delivered and undelivered entries alternate up to this offset. `None` until looked up.
    interleaved_until: Option<i64>,
    /// Whether `acknowledged` is already cut back to the checkpoint.
    is_cut_back: bool,
}

/// Whether this replica lacks an event that another replica has delivered to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ahead {
    No,
    /// It does, and will not receive the event.
    Unavailable,
    /// It does, and may still receive the event.
    Awaiting,
}

/// The part of the log that a reader has to read, as vectors for the store to look up.
#[derive(Debug, PartialEq, Eq)]
pub struct Search {
    /// Reading starts at the first entry that this vector lacks.
    pub beyond: VersionVector,
    /// Delivered and undelivered entries alternate up to the last entry that this vector covers.
    pub within: VersionVector,
}

/// Whether a replica can still receive the events that it lacks of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Another replica may hold them, or the origin's replica has not been heard from since.
    Awaited,
    /// The origin is forked, so it is not exchanged until an operator resolves the fork.
    KeptBack,
    /// No replica holds a higher seq: later events were lost with a disk.
    LostBeyond(u64),
}

/// A frame for one entry of a step.
#[derive(Debug)]
pub struct Framed<C> {
    /// The index of the entry in the step.
    pub index: usize,
    /// The kind of the frame.
    pub kind: Kind,
    /// The cursor of the frame.
    pub cursor: C,
}

impl Progress {
    /// Starts a reader who has everything up to a checkpoint.
    pub fn after(held: &Arc<Checkpoint>) -> Self {
        Self {
            at: held.offset,
            delivered: held.vector.clone(),
            acknowledged: None,
            highest: held.highest,
            held: held.clone(),
            ahead: Ahead::No,
            has_hidden_stale: false,
            interleaved_until: Some(held.offset),
            is_cut_back: false,
        }
    }

    /// Resumes a reader from a cursor of this or another replica.
    pub fn resume(held: &Arc<Checkpoint>, delivery: Delivery) -> Self {
        Self {
            delivered: delivery.delivered,
            acknowledged: delivery.acknowledged,
            highest: delivery.highest,
            interleaved_until: None,
            ..Self::after(held)
        }
    }

    /// The content of the reader's cursor.
    pub fn delivery(&self) -> Delivery {
        let acknowledged = self.acknowledged.as_ref();
        let acknowledged = acknowledged.filter(|it| **it != self.delivered);
        Delivery {
            delivered: self.delivered.clone(),
            acknowledged: acknowledged.cloned(),
            highest: self.highest,
        }
    }

    /// The offset of the last entry passed.
    pub fn at(&self) -> i64 {
        self.at
    }

    /// Whether nothing delivered is stale or missing here. Until then a frame may still move a
    /// message that another replica has shown at a different position.
    pub fn is_sure(&self) -> bool {
        self.ahead == Ahead::No && self.acknowledged.is_none()
    }

    /// The delivered events.
    pub fn delivered(&self) -> &VersionVector {
        &self.delivered
    }

    /// Whether another replica has delivered events that this one lacks. Such a reader is served
    /// its own frames, from the table, instead of the shared ones.
    pub fn is_ahead(&self) -> bool {
        self.ahead != Ahead::No
    }

    fn awaits(&self) -> bool {
        self.ahead == Ahead::Awaiting
    }

    /// Starts reading up to a checkpoint. Returns the search for the first entry to read, or `None`
    /// if reading continues at the current offset. Pass the result to [`Progress::start`].
    ///
    /// `fate_of` returns the fate of an origin's missing events, given an upper bound of their
    /// clock readings. Events that cannot arrive are not awaited; otherwise the reader could stay
    /// ahead without end.
    pub fn begin(
        &mut self,
        held: &Arc<Checkpoint>,
        fate_of: impl Fn(Origin, Hlc) -> Fate,
    ) -> Option<Search> {
        self.held = held.clone();
        self.is_cut_back = false;
        let previous = std::mem::replace(&mut self.ahead, Ahead::No);
        self.has_hidden_stale = false;
        for range in self.delivered.beyond(&held.vector) {
            match fate_of(range.origin, self.highest) {
                Fate::Awaited => self.ahead = Ahead::Awaiting,
                Fate::KeptBack => self.note_hidden(range.origin),
                Fate::LostBeyond(last) if last >= range.first => self.ahead = Ahead::Awaiting,
                Fate::LostBeyond(last) => self.forget_lost(range.origin, last),
            }
        }
        if !held.vector.covers_all(&self.delivered) {
            self.ahead = self.ahead.max(Ahead::Unavailable);
        }
        let awaits = self.ahead == Ahead::Awaiting;
        let continues = self.interleaved_until.is_some() && (awaits || self.ahead == previous);
        if continues {
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

    /// Applies the result of the search: the offset before the first entry to read, and the offset
    /// of the last delivered entry.
    pub fn start(&mut self, first: i64, last_delivered: i64) {
        self.at = first;
        self.interleaved_until = Some(last_delivered);
    }

    /// Whether [`Progress::take_step`] needs the rivals of an entry.
    pub fn needs_rivals(&self, entry: &FeedEntry) -> bool {
        if self.delivered.covers(entry.position.dot()) {
            return self.is_to_be_rechecked(entry);
        }
        self.is_ahead()
            || self
                .interleaved_until
                .is_none_or(|until| entry.offset < until)
    }

    /// Whether an entry is stale and this replica holds everything needed to recheck it.
    pub fn is_to_be_rechecked(&self, entry: &FeedEntry) -> bool {
        let dot = entry.position.dot();
        let is_stale =
            |acknowledged: &VersionVector| self.delivered.covers(dot) && !acknowledged.covers(dot);
        !self.awaits() && self.acknowledged.as_ref().is_some_and(is_stale)
    }

    /// Advances over a step of entries, in log order, and returns at most `max_frames` frames.
    /// `rivals` are, for the entries that [need them](Progress::needs_rivals), all entries of the
    /// same registers and every stale entry about the same objects. `vectors` are the stored
    /// vectors within the step, by offset. `cursor` encodes the cursor of a frame.
    pub fn take_step<C>(
        &mut self,
        entries: &[FeedEntry],
        rivals: &[FeedEntry],
        vectors: &[(i64, VersionVector)],
        max_frames: usize,
        cursor: impl Fn(&Self) -> C,
    ) -> Vec<Framed<C>> {
        let mut frames = Vec::new();
        let mut rivals = Rivals::of(rivals, &self.delivered, self.acknowledged.as_ref());
        let mut vectors = vectors.iter().peekable();
        for (index, entry) in entries.iter().enumerate() {
            if frames.len() == max_frames {
                break;
            }
            let kind = self.advance(entry, &mut rivals);
            while let Some((_, it)) = vectors.next_if(|(offset, _)| *offset <= entry.offset) {
                self.merge_vector(it);
            }
            if let Some(kind) = kind {
                let cursor = cursor(self);
                frames.push(Framed {
                    index,
                    kind,
                    cursor,
                });
            }
        }
        frames
    }

    /// Advances over the next entry, in log order. Returns the kind of its frame, `None` if it
    /// needs none.
    fn advance(&mut self, entry: &FeedEntry, rivals: &mut Rivals) -> Option<Kind> {
        let dot = entry.position.dot();
        let is_new = !self.delivered.covers(dot);
        let awaits = self.awaits();
        let kind = if self.is_to_be_rechecked(entry) {
            rivals.recheck(entry, self.has_hidden_stale)
        } else if !is_new {
            None
        } else if self.needs_rivals(entry) {
            rivals.deliver(entry)
        } else {
            entry.shown_as()
        };
        let kind = kind.filter(|_| self.is_in_order(entry));
        if is_new && awaits {
            self.cut_back();
        }
        self.acknowledge(|acknowledged| acknowledged.record(dot));
        if is_new {
            self.delivered.record(dot);
            rivals.record(entry);
        }
        self.highest = self.highest.max(entry.position.hlc);
        self.at = entry.offset;
        kind
    }

    /// Whether an entry may be framed after the ones before it: always, because the cursor is a
    /// vector and not a place in the order.
    fn is_in_order(&self, entry: &FeedEntry) -> bool {
        mutant!(CursorIsVector => entry.position.hlc > self.highest);
        true
    }

    /// Extends what is acknowledged, unless the reader is ahead.
    fn acknowledge(&mut self, extend: impl FnOnce(&mut VersionVector)) {
        mutant!(AcknowledgedByEntry => {
            let delivered = &self.delivered;
            self.acknowledged.get_or_insert_with(|| delivered.clone());
        });
        let awaits = self.awaits();
        if let Some(acknowledged) = self.acknowledged.as_mut().filter(|_| !awaits) {
            extend(acknowledged);
        }
    }

    /// Records that every entry of the group within `vector` was passed: other events that it
    /// covers need no frame.
    fn merge_vector(&mut self, vector: &VersionVector) {
        self.delivered.merge(vector);
        self.acknowledge(|acknowledged| acknowledged.merge(vector));
    }

    /// Records that every entry of the group that this replica holds was passed.
    pub fn arrive(&mut self) {
        let held = self.held.clone();
        self.at = held.offset;
        self.delivered.merge(&held.vector);
        self.highest = self.highest.max(held.highest);
        if !self.awaits() {
            self.acknowledged = None;
        }
    }

    /// Records the frames that all readers share: everything up to an offset, at which this replica
    /// held `vector`. Only for readers who are not ahead.
    pub fn share(&mut self, up_to: i64, vector: &VersionVector, highest: Hlc) {
        self.delivered = vector.clone();
        self.highest = self.highest.max(highest);
        self.at = up_to;
    }

    /// Cuts `acknowledged` back to the checkpoint, because the next frame reflects no more than
    /// that.
    fn cut_back(&mut self) {
        if !self.is_cut_back {
            let acknowledged = self.acknowledged.as_ref().unwrap_or(&self.delivered);
            self.acknowledged = Some(acknowledged.common(&self.held.vector));
            self.is_cut_back = true;
        }
    }

    /// Notes that this replica cannot look up the delivered events of an origin.
    fn note_hidden(&mut self, origin: Origin) {
        if let Some(acknowledged) = &self.acknowledged {
            self.has_hidden_stale |= acknowledged.get(origin) < self.delivered.get(origin);
        }
    }

    /// Forgets the delivered events of an origin above seq `last`, which are lost. While events are
    /// stale they are kept, because their frames may contradict a stale event.
    fn forget_lost(&mut self, origin: Origin, last: u64) {
        if self.acknowledged.is_some() {
            return self.note_hidden(origin);
        }
        let kept = self.delivered.iter().map(|(other, seq)| {
            let is_lost = other == origin;
            (other, if is_lost { seq.min(last) } else { seq })
        });
        self.delivered = kept.collect();
    }
}
