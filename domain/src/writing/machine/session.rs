//! The session on the database: its timeouts, and how a new session recovers after a failure.

use std::mem;
use std::time::Duration;

use crate::writing::DatabaseReplaced;

use super::batch::Batch;
use super::file::AfterFile;
use super::{Effect, Machine, Renewal, Session, State, Statement, StatementFailure, WriteFailure};

/// How long work waits for a session before it fails as unavailable.
const SESSION_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout of one attempt to connect: the database may accept and never answer (F22).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between attempts to connect.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Timeout of an idle writer's attempt to connect. It is short, because writes wait meanwhile.
const IDLE_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an idle writer waits for the previous session to release the lock.
const IDLE_LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// A session that is being opened.
pub(super) struct Connecting<R> {
    then: Then<R>,
    until: Duration,
}

/// The work that continues in a new session.
pub(super) enum Then<R> {
    /// Raise the closed timestamp.
    Tick,
    /// Write a batch.
    Attempt(Batch<R>),
    /// Settle whether a batch was committed after its insertion has failed.
    Settle(Batch<R>, StatementFailure),
    /// Draw a new epoch.
    Renew(Renewal<R>),
    /// Shut down.
    Finish,
}

impl<R> Machine<R> {
    pub(super) fn connect(&mut self, then: Then<R>) {
        let timeout = match then {
            Then::Tick => Duration::ZERO,
            _ => SESSION_TIMEOUT,
        };
        let until = self.now.since_start + timeout;
        self.try_to_connect(Connecting { then, until });
    }

    pub(super) fn try_to_connect(&mut self, connecting: Connecting<R>) {
        let (within, lock) = match connecting.then {
            Then::Tick => (IDLE_CONNECT_TIMEOUT, IDLE_LOCK_TIMEOUT),
            _ => (CONNECT_TIMEOUT, SESSION_TIMEOUT),
        };
        let statement = Statement::Connect { within, lock };
        self.run(statement, State::Connecting(connecting));
    }

    pub(super) fn connected(&mut self, session: Option<Session>) {
        let State::Connecting(connecting) = self.take_state() else {
            unreachable!("an attempt to connect ends only in `Connecting`")
        };
        // A session does not prove that the database accepts writes; the next reservation does.
        self.reserved_at = None;
        let now = self.now.since_start;
        let Some(session) = session else {
            if now < connecting.until {
                self.state = State::Pausing(connecting, now + RETRY_PAUSE);
            } else {
                self.continue_without_session(connecting.then);
            }
            return;
        };
        let Session { server, row, head } = session;
        match self.writing.resume(&server, row.as_ref(), head) {
            Ok(()) => {
                self.is_connected = true;
                self.continue_in_session(connecting.then);
            }
            Err(not_ours) => self.end_as_not_ours(not_ours, connecting.then),
        }
    }

    fn continue_in_session(&mut self, then: Then<R>) {
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

    fn continue_without_session(&mut self, then: Then<R>) {
        match then {
            Then::Tick => {}
            Then::Attempt(batch) => self.give_up(batch, WriteFailure::Unavailable),
            Then::Settle(batch, failure) => self.failed(batch, failure),
            Then::Renew(renewal) => self.fail(renewal.reply, WriteFailure::Unavailable),
            Then::Finish => self.state = State::Ended,
        }
    }

    /// Settles a commit that is in doubt. A new session acquires the lock only after Postgres has
    /// ended the previous one, so the rows exist now or never will (F12). Returns the batch unless
    /// it was committed.
    fn settle(&mut self, mut batch: Batch<R>) -> Option<Batch<R>> {
        let in_doubt = batch.in_doubt.take();
        let Some(mut decided) = in_doubt.filter(|it| self.writing.was_committed(it)) else {
            return Some(batch);
        };
        let rows = mem::take(&mut decided.rows);
        self.written(batch, rows, decided.verdicts);
        None
    }

    /// Drops the session and the cache (F14).
    pub(super) fn forget(&mut self) {
        self.is_connected = false;
        self.drop_pipelined();
        self.writing.forget();
    }

    /// Ends the machine, because only a start may choose the origin to continue with. The file
    /// records everything that was reported, even if the database lacks it now.
    fn end_as_not_ours(&mut self, not_ours: DatabaseReplaced, then: Then<R>) {
        self.effects.push(Effect::DatabaseReplaced(not_ours));
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
