//! The writer's upkeep: it raises the closed timestamp and its reservation, draws new epochs, and
//! shuts down.

use std::time::Duration;

use crate::hlc::Hlc;
use crate::writing::Verdict;

use super::file::AfterFile;
use super::session::Then;
use super::{
    Effect, IDLE_TICK, Machine, Renewal, State, Statement, StatementFailure, WriteFailure,
};

/// Interval at which a reservation is stored even if none is due, to verify that the database
/// accepts writes: with a clock ahead of the wall none may be due for long.
const RESERVE_AGAIN: Duration = Duration::from_secs(5);

impl<R> Machine<R> {
    pub(super) fn tick(&mut self) {
        self.next_tick = self.now.since_start + IDLE_TICK;
        if self.is_connected {
            self.tick_in_session();
        } else {
            self.connect(Then::Tick);
        }
    }

    pub(super) fn tick_in_session(&mut self) {
        let due = self.writing.due_reservation(self.now.time.order_ms);
        let is_due = |at| self.now.since_start >= at + RESERVE_AGAIN;
        let is_check_due = self.reserved_at.is_none_or(is_due);
        if due.is_some() || is_check_due {
            self.reserve(due.unwrap_or(self.writing.reserved()), false);
        } else if !self.writing.is_recorded() {
            self.record(self.writing.reserved(), AfterFile::Tick);
        } else {
            self.publish();
        }
    }

    /// Stores a reservation, in the database and then in the file.
    pub(super) fn reserve(&mut self, reserved: Hlc, is_last: bool) {
        let statement = Statement::Reserve {
            reserved,
            origin: self.writing.origin(),
            offset: self.writing.head().offset,
        };
        self.run(statement, State::Reserving { reserved, is_last });
    }

    pub(super) fn reserved(&mut self, outcome: Result<(), StatementFailure>) {
        let State::Reserving { reserved, is_last } = self.take_state() else {
            unreachable!("a reservation ends only in `Reserving`")
        };
        if outcome.is_ok() {
            self.reserved_at = Some(self.now.since_start);
            let then = if is_last {
                AfterFile::End
            } else {
                AfterFile::Tick
            };
            return self.record(reserved, then);
        }
        self.forget();
        if is_last {
            self.state = State::Ended;
        } else {
            self.publish();
        }
    }

    /// Draws a new epoch and makes it durable, in the database and in the file.
    pub(super) fn renew(&mut self, renewal: Renewal<R>) {
        if renewal.former != self.writing.origin() {
            return self.answer_origin(renewal.reply);
        }
        if !self.is_connected {
            return self.connect(Then::Renew(renewal));
        }
        let Renewal {
            former,
            fresh_epoch,
            reply,
        } = renewal;
        match self.writing.renew(former, fresh_epoch) {
            Some(origin) => {
                let row = self.writing.row(origin);
                self.run(
                    Statement::StoreIdentity(row),
                    State::Renewing(origin, reply),
                );
            }
            None => self.answer_origin(reply),
        }
    }

    pub(super) fn renewed(&mut self, outcome: Result<(), StatementFailure>) {
        let State::Renewing(origin, reply) = self.take_state() else {
            unreachable!("a write of the identity row ends only in `Renewing`")
        };
        if outcome.is_ok() {
            self.writing.renewed(origin);
            return self.record(self.writing.reserved(), AfterFile::Renewed(reply));
        }
        self.forget();
        self.fail(reply, WriteFailure::Unavailable);
    }

    /// Answers a renewal with the current origin.
    pub(super) fn answer_origin(&mut self, reply: R) {
        let head = self.publish();
        let verdict = Verdict::Renewed(head.origin);
        self.effects.push(Effect::Answer {
            reply,
            verdict,
            head,
        });
    }

    /// Shuts down in order, so that the next start need not seed its clock ahead of time.
    pub(super) fn finish(&mut self) {
        if self.is_connected {
            self.reserve(self.writing.last_reservation(), true);
        } else {
            self.connect(Then::Finish);
        }
    }
}
