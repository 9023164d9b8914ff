//! The session on the database: how long it is waited for, and what is believed after a failure.

use std::mem;
use std::time::Duration;

use crate::writing::NotOurs;

use super::batch::Batch;
use super::file::AfterFile;
use super::{Effect, Machine, Renewal, Session, State, Statement, StatementFailure, WriteFailure};

/// How long a batch waits for the database to come back before it is answered that it is unavailable.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long one attempt to reach the database may take: it may accept and never answer (F22).
const RECONNECT: Duration = Duration::from_secs(5);
/// How long after a failed attempt the next one is made.
const AGAIN: Duration = Duration::from_millis(100);
/// How long an idle writer looks whether the database is back: writes wait meanwhile.
const GLANCE: Duration = Duration::from_secs(1);
/// How long it waits for the former session to end.
const GLANCE_AT_LOCK: Duration = Duration::from_millis(100);

/// A session that is waited for.
pub(super) struct Connecting<R> {
    then: Then<R>,
    until: Duration,
}

/// What a session is wanted for.
pub(super) enum Then<R> {
    /// To keep the closed timestamp rising.
    Tick,
    /// To write a batch.
    Attempt(Batch<R>),
    /// To find out whether a batch was committed whose insertion failed so.
    Settle(Batch<R>, StatementFailure),
    /// To draw a new epoch.
    Renew(Renewal<R>),
    /// To end in order.
    Finish,
}

impl<R> Machine<R> {
    pub(super) fn connect(&mut self, then: Then<R>) {
        let patience = match then {
            Then::Tick => Duration::ZERO,
            _ => PATIENCE,
        };
        let until = self.now.since_start + patience;
        self.try_to_connect(Connecting { then, until });
    }

    pub(super) fn try_to_connect(&mut self, connecting: Connecting<R>) {
        let (within, lock) = match connecting.then {
            Then::Tick => (GLANCE, GLANCE_AT_LOCK),
            _ => (RECONNECT, PATIENCE),
        };
        let statement = Statement::Connect { within, lock };
        self.run(statement, State::Connecting(connecting));
    }

    pub(super) fn connected(&mut self, session: Option<Session>) {
        let State::Connecting(connecting) = self.take_state() else {
            unreachable!("an attempt to connect ends only while one is waited for")
        };
        // A session alone proves nothing: a write does, or the next reservation.
        self.reserved_at = None;
        let now = self.now.since_start;
        let Some(session) = session else {
            if now < connecting.until {
                self.state = State::Pausing(connecting, now + AGAIN);
            } else {
                self.do_without_session(connecting.then);
            }
            return;
        };
        let Session { server, row, head } = session;
        match self.writing.resume(&server, row.as_ref(), head) {
            Ok(()) => {
                self.is_connected = true;
                self.go_on_in_session(connecting.then);
            }
            Err(not_ours) => self.end_as_not_ours(not_ours, connecting.then),
        }
    }

    fn go_on_in_session(&mut self, then: Then<R>) {
        match then {
            Then::Tick => self.tick_in_session(),
            Then::Attempt(batch) => {
                if let Some(batch) = self.settle(batch) {
                    self.decide(batch);
                }
            }
            Then::Settle(batch, failure) => {
                if let Some(batch) = self.settle(batch) {
                    self.failed(batch, failure);
                }
            }
            Then::Renew(renewal) => self.renew(renewal),
            Then::Finish => self.reserve(self.writing.last_reservation(), true),
        }
    }

    fn do_without_session(&mut self, then: Then<R>) {
        match then {
            Then::Tick => {}
            Then::Attempt(batch) => self.give_up(batch, WriteFailure::Unavailable),
            Then::Settle(batch, failure) => self.failed(batch, failure),
            Then::Renew(renewal) => self.fail(renewal.reply, WriteFailure::Unavailable),
            Then::Finish => self.state = State::Ended,
        }
    }

    /// Settles a commit whose answer was lost: a new session gets the lock only when Postgres has ended
    /// the former one, and then the rows are there or never will be (F12). Returns the batch unless it
    /// was committed.
    fn settle(&mut self, mut batch: Batch<R>) -> Option<Batch<R>> {
        let in_doubt = batch.in_doubt.take();
        let Some(mut decided) = in_doubt.filter(|it| self.writing.was_committed(it)) else {
            return Some(batch);
        };
        let rows = mem::take(&mut decided.rows);
        self.written(batch, rows, decided.verdicts);
        None
    }

    /// Gives the session up: nothing in memory is believed any more (F14).
    pub(super) fn forget(&mut self) {
        self.is_connected = false;
        self.drop_pipelined();
        self.writing.forget();
    }

    /// Only a start may find out as whom to go on. The file says what was told last, also where the
    /// database lacks it now.
    fn end_as_not_ours(&mut self, not_ours: NotOurs, then: Then<R>) {
        self.effects.push(Effect::NotOurs(not_ours));
        match then {
            Then::Tick | Then::Finish => {}
            Then::Attempt(batch) | Then::Settle(batch, _) => {
                self.give_up(batch, WriteFailure::Unavailable);
            }
            Then::Renew(renewal) => self.fail(renewal.reply, WriteFailure::Unavailable),
        }
        self.record(self.writing.reserved(), AfterFile::End);
    }
}
