//! What the writer promises beyond its rows: the floor and the reservation behind it, what the
//! file beside the database says, the epoch.

use crate::hlc::{Clock, Hlc};
use crate::ids::Origin;
use crate::rule::{self, Rule};

use super::{Head, Record, Writing, identity};

/// How far ahead of the clock floors are promised before a new reservation must be stored.
const RESERVATION_MS: u64 = 10_000;

/// The reservation that lasts for a while. A clock ahead of the wall (a peer's was) must be
/// reserved as well, or nothing settles.
pub(super) fn ahead_of(clock: Clock, wall_ms: u64) -> Hlc {
    let now_ms = wall_ms.max(clock.last().ms());
    Hlc::at_ms(now_ms.saturating_add(RESERVATION_MS))
}

impl Writing {
    /// Tells what is held now, with a fresh floor: taken together, between two batches, so nothing
    /// at or below it is under way. The floor is the clock, within what is reserved.
    pub fn publish(&mut self, wall_ms: u64) -> Head {
        let now = self.clock.last().max(Hlc::at_ms(wall_ms));
        let floor = if rule::holds(Rule::FloorIsReserved) {
            now.min(self.reserved)
        } else {
            now
        };
        self.clock.merge(floor);
        self.head.floor = self.head.floor.max(floor);
        self.head.clone()
    }

    /// What the database's row and the file keep as reserved: no floor was ever told above it.
    pub fn reserved(&self) -> Hlc {
        self.reserved
    }

    /// Returns the reservation that must be stored now, in the database and then in the file;
    /// nothing while the present one lasts.
    pub fn due_reservation(&self, wall_ms: u64) -> Option<Hlc> {
        let now_ms = wall_ms.max(self.clock.last().ms());
        let is_short = self.reserved <= Hlc::at_ms(now_ms.saturating_add(RESERVATION_MS / 2));
        is_short.then(|| ahead_of(self.clock, wall_ms))
    }

    /// The reservation for an end in order: what was reserved and not promised is given back, so
    /// that the next start need not begin ahead of the clock.
    pub fn last_reservation(&self) -> Hlc {
        self.head.floor.max(self.clock.last())
    }

    /// What the file beside the database is to say. `reserved` is in the database already.
    pub fn record(&self, reserved: Hlc) -> Record {
        Record {
            origin: self.head.origin,
            seq_seen: self.head.vector.get(self.head.origin),
            hlc: reserved,
            system_identifier: self.server.system_identifier.clone(),
            timeline: self.server.timeline.clone(),
        }
    }

    /// The file says this now. Its reservation counts from here on: it is in both places.
    pub fn recorded(&mut self, record: Record) {
        self.reserved = record.hlc;
        self.recorded = Some(record);
        self.is_file_stuck = false;
    }

    /// The file could not be written.
    pub fn not_recorded(&mut self) {
        self.is_file_stuck = true;
    }

    /// Tells whether the file could not be written the last time.
    pub fn is_file_stuck(&self) -> bool {
        self.is_file_stuck
    }

    /// Tells whether own events may be written, and those that were be answered: not while the file
    /// cannot be written, because a database that is put back would not be seen to lack them (F1).
    pub fn may_give_numbers(&self) -> bool {
        !self.is_file_stuck || !rule::holds(Rule::FileIsAwaited)
    }

    /// Tells whether the file knows the newest own event.
    pub fn is_recorded(&self) -> bool {
        let recorded = self.recorded.as_ref();
        recorded.is_some_and(|record| {
            record.origin == self.head.origin
                && record.seq_seen == self.head.vector.get(self.head.origin)
        })
    }

    /// Draws a new epoch, because peers know events of `former` that are not held here: its numbers
    /// are no longer safe to give. Nothing when `former` is not written as any more. Counts once it
    /// is stored in the identity row: see [`Writing::renewed`].
    pub fn renew(&mut self, former: Origin, fresh_epoch: u32) -> Option<Origin> {
        if former != self.head.origin {
            return None;
        }
        let is_used = |origin| origin == former || self.head.vector.get(origin) > 0;
        let origin = identity::draw(self.replica, fresh_epoch, is_used);
        self.renewing = Some(origin);
        Some(origin)
    }

    /// The new epoch is in the identity row.
    pub fn renewed(&mut self, origin: Origin) {
        self.head.origin = origin;
        self.renewing = None;
    }
}
