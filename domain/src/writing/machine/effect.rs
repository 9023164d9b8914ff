//! The machine's inputs and effects.

use std::sync::Arc;
use std::time::Duration;

use crate::hlc::Hlc;
use crate::ids::Origin;
use crate::writing::{
    DatabaseReplaced, Facts, Head, Needs, NewRow, Record, Row, Server, Time, Verdict,
};

/// A point in time.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time since the start of the process, on a monotonic clock.
    pub since_start: Duration,
    /// The replica's clocks.
    pub time: Time,
}

/// An input of the machine.
#[derive(Debug)]
pub enum Input {
    /// Work was accepted, or the time of `Machine::next_wake` is reached.
    Woken,
    /// No more work will be accepted.
    Closed,
    /// An attempt to connect has ended; `None` if it failed.
    Connected(Option<Session>),
    /// A read has ended.
    Read(Needs, Result<Facts, StatementFailure>),
    /// An insertion has ended. `Ok(true)`: the rows are committed. `Ok(false)`: they are not,
    /// because a row of [`Insertion::unmet`] exists.
    Inserted(Insertion, Result<bool, StatementFailure>),
    /// A reservation has ended.
    Reserved(Result<(), StatementFailure>),
    /// The write of the identity row has ended.
    IdentityStored(Result<(), StatementFailure>),
    /// The write of the file beside the database has ended: whether it succeeded.
    Recorded(bool),
}

/// The stored state that a new session finds.
#[derive(Debug)]
pub struct Session {
    /// The Postgres instance.
    pub server: Server,
    /// The identity row.
    pub row: Option<Row>,
    /// The head of the log, derived from the rows.
    pub head: Head,
}

/// An effect for the caller to execute.
#[derive(Debug)]
pub enum Effect<R> {
    /// Run a statement; its end is an input. No other statement runs meanwhile.
    Run(Statement),
    /// Write the file beside the database; its end is [`Input::Recorded`]. No other write of the
    /// file runs meanwhile.
    Record(Record),
    /// Hand on rows that are committed.
    Committed(Vec<NewRow>),
    /// Publish the head.
    Publish(Arc<Head>),
    /// Answer with a verdict. The write stands even if the receiver is gone (F13).
    Answer {
        /// The receiver.
        reply: R,
        /// The verdict.
        verdict: Verdict,
        /// The head of the log at that commit.
        head: Arc<Head>,
    },
    /// Report a failure.
    Fail {
        /// The receiver.
        reply: R,
        /// The reason.
        why: WriteFailure,
    },
    /// The file beside the database can no longer be written (`true`), or can be again (`false`).
    FileIsStuck(bool),
    /// The database is not the same as at the start: the machine writes no more.
    DatabaseReplaced(DatabaseReplaced),
    /// The machine has ended: all work accepted from now on fails.
    End,
}

/// A statement, or the statements that open a session.
#[derive(Debug)]
pub enum Statement {
    /// Connect, acquire the lock, and read the content of a [`Session`].
    Connect {
        /// Timeout of the attempt: the database may accept a connection and never answer (F22).
        within: Duration,
        /// Timeout for the previous session to release the lock.
        lock: Duration,
    },
    /// Read the rows that a batch needs.
    Read(Needs),
    /// Commit a batch.
    Insert(Insertion),
    /// Store a reservation, if the log still ends at this offset and the identity row has this
    /// origin.
    Reserve {
        /// The reservation.
        reserved: Hlc,
        /// The origin of own events.
        origin: Origin,
        /// The offset of the last event.
        offset: i64,
    },
    /// Write the identity row.
    StoreIdentity(Row),
}

/// Rows to commit atomically.
#[derive(Debug)]
pub struct Insertion {
    /// The rows, at least one.
    pub rows: Vec<NewRow>,
    /// The needed rows that were not read. The insertion commits only if none of them exists.
    pub unmet: Option<Needs>,
    /// Whether they were decided while the previous batch was being inserted.
    pub is_pipelined: bool,
}

/// Why a statement failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementFailure {
    /// The connection or Postgres failed. The batch is decided again in a new session.
    Lost,
    /// The disk of Postgres is full.
    DiskFull,
    /// Postgres rejects one of the rows.
    Rejected,
}

/// Why a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// The database does not answer. The write may or may not have happened.
    Unavailable,
    /// The file beside the database cannot be written. The write may or may not have happened.
    FileStuck,
    /// The disk is full.
    DiskFull,
    /// The database rejects the event.
    Unstorable,
}
