//! The writer's promises beyond its rows: the closed timestamp and its reservation, the file beside
//! the database, and the epoch.

use crate::hlc::{Clock, Hlc};
use crate::ids::Origin;
use crate::mutant;

use super::{Head, Record, Writing, identity};

/// How far ahead of the clock a reservation lies.
const RESERVATION_MS: u64 = 10_000;

/// A new reservation. It follows the logical clock where that is ahead of the wall clock, after
/// merging a peer's; otherwise nothing would settle.
pub(super) fn ahead_of(clock: Clock, wall_ms: u64) -> Hlc {
    let now_ms = wall_ms.max(clock.last().ms());
    Hlc::at_ms(now_ms.saturating_add(RESERVATION_MS))
}

impl Writing {
    /// Returns the head with a new closed timestamp. Called between two batches, so that no event
    /// at or below it is in flight. The closed timestamp is the clock, capped by the reservation.
    pub fn publish(&mut self, wall_ms: u64) -> Head {
        let now = self.clock.last().max(Hlc::at_ms(wall_ms));
        let closed_ts = self.within_reservation(now);
        self.clock.merge(closed_ts);
        self.head.closed_ts = self.head.closed_ts.max(closed_ts);
        self.head.clone()
    }

    fn within_reservation(&self, reading: Hlc) -> Hlc {
        mutant!(ClosedTsIsReserved => reading);
        reading.min(self.reserved)
    }

    /// The reservation in the identity row and the file: no published closed timestamp lies above
    /// it.
    pub fn reserved(&self) -> Hlc {
        self.reserved
    }

    /// Returns the reservation that must be stored now, in the database and then in the file;
    /// `None` while the current one suffices.
    pub fn due_reservation(&self, wall_ms: u64) -> Option<Hlc> {
        let now_ms = wall_ms.max(self.clock.last().ms());
        let is_short = self.reserved <= Hlc::at_ms(now_ms.saturating_add(RESERVATION_MS / 2));
        is_short.then(|| ahead_of(self.clock, wall_ms))
    }

    /// The reservation for an orderly shutdown. It releases the unused part, so that the next start
    /// need not seed its clock ahead of time.
    pub fn last_reservation(&self) -> Hlc {
        self.head.closed_ts.max(self.clock.last())
    }

    /// The new content of the file beside the database. `reserved` is in the database already.
    pub fn record(&self, reserved: Hlc) -> Record {
        Record {
            origin: self.head.origin,
            seq_seen: self.head.vector.get(self.head.origin),
            hlc: reserved,
            system_identifier: self.server.system_identifier.clone(),
            timeline: self.server.timeline.clone(),
        }
    }

    /// Records that the file has this content. Its reservation is valid from now on, since both
    /// places hold it.
    pub fn recorded(&mut self, record: Record) {
        self.reserved = record.hlc;
        self.recorded = Some(record);
        self.is_file_stuck = false;
    }

    /// Records that the file could not be written.
    pub fn not_recorded(&mut self) {
        self.is_file_stuck = true;
    }

    /// Whether the last write of the file failed.
    pub fn is_file_stuck(&self) -> bool {
        self.is_file_stuck
    }

    /// Whether own events may be written and answered. They may not while the file cannot be
    /// written, because a later restore of the database could not be detected (F1).
    pub fn may_issue_seqs(&self) -> bool {
        mutant!(FileIsAwaited => true);
        !self.is_file_stuck
    }

    /// Whether the file has recorded the newest own event.
    pub fn is_recorded(&self) -> bool {
        let recorded = self.recorded.as_ref();
        recorded.is_some_and(|record| {
            record.origin == self.head.origin
                && record.seq_seen == self.head.vector.get(self.head.origin)
        })
    }

    /// Draws a new epoch, because peers hold events of `former` that this replica lacks, so its
    /// next seq is not safe to issue. Returns `None` if `former` is not the current origin. The
    /// epoch is valid once it is in the identity row: see [`Writing::renewed`].
    pub fn renew(&mut self, former: Origin, fresh_epoch: u32) -> Option<Origin> {
        if former != self.head.origin {
            return None;
        }
        let is_used = |origin| origin == former || self.head.vector.get(origin) > 0;
        let origin = identity::draw(self.replica, fresh_epoch, is_used);
        self.renewing = Some(origin);
        Some(origin)
    }

    /// Records that the new epoch is in the identity row.
    pub fn renewed(&mut self, origin: Origin) {
        self.head.origin = origin;
        self.renewing = None;
    }
}
