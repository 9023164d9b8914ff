//! What the machine is told, and what it wants done.

use std::sync::Arc;
use std::time::Duration;

use crate::hlc::Hlc;
use crate::ids::Origin;
use crate::writing::{Facts, Head, Needs, NewRow, NotOurs, Record, Row, Server, Time, Verdict};

/// A moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time since the process began, on a clock that never goes back.
    pub since_start: Duration,
    /// The replica's clocks.
    pub time: Time,
}

/// What has happened.
#[derive(Debug)]
pub enum Input {
    /// Work was accepted, or the moment of `Machine::next_wake` has come.
    Woken,
    /// Nobody is left who could bring work.
    Closed,
    /// An attempt to connect has ended.
    Connected(Option<Session>),
    /// A reading has ended.
    Read(Needs, Result<Facts, StatementFailure>),
    /// An insertion has ended; tells whether the rows are committed. They are not, without a failure,
    /// where something of [`Insertion::unmet`] was there.
    Inserted(Insertion, Result<bool, StatementFailure>),
    /// A reservation has ended.
    Reserved(Result<(), StatementFailure>),
    /// The writing of the identity row has ended.
    IdentityStored(Result<(), StatementFailure>),
    /// The writing of the file beside the database has ended; tells whether the file is written.
    Recorded(bool),
}

/// What a new session finds.
#[derive(Debug)]
pub struct Session {
    /// The Postgres that answers.
    pub server: Server,
    /// The identity row.
    pub row: Option<Row>,
    /// What the rows say is held.
    pub head: Head,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect<R> {
    /// Run a statement; its end is an input. No other one runs.
    Run(Statement),
    /// Write the file beside the database; the end is [`Input::Recorded`]. No other write of it is under
    /// way.
    Record(Record),
    /// Rows are committed.
    Committed(Vec<NewRow>),
    /// Tell everybody what is held.
    Publish(Arc<Head>),
    /// Tell whoever waits what was decided. Whoever waits no longer does not undo it (F13).
    Answer {
        /// Who waits.
        reply: R,
        /// What was decided.
        verdict: Verdict,
        /// The log at that commit.
        head: Arc<Head>,
    },
    /// Tell whoever waits that it failed.
    Fail {
        /// Who waits.
        reply: R,
        /// Why.
        why: WriteFailure,
    },
    /// The file beside the database can be written no more, or again.
    FileIsStuck(bool),
    /// The database is another one than at the start: nothing more is written.
    NotOurs(NotOurs),
    /// The machine has ended: whatever is accepted from now on fails.
    End,
}

/// A statement, or the several that make a session.
#[derive(Debug)]
pub enum Statement {
    /// Connect, take the lock, and read what a [`Session`] holds.
    Connect {
        /// How long the attempt may take: the database may accept and never answer (F22).
        within: Duration,
        /// How long the former session may take to give the lock up.
        lock: Duration,
    },
    /// Read what a batch is decided on.
    Read(Needs),
    /// Commit a batch.
    Insert(Insertion),
    /// Store a reservation, if the log still ends with this arrival and writes as this origin.
    Reserve {
        /// The reservation.
        reserved: Hlc,
        /// Who writes.
        origin: Origin,
        /// The last event's place in the log.
        arrival: i64,
    },
    /// Write the identity row.
    StoreIdentity(Row),
}

/// Rows to be committed, all of them or none.
#[derive(Debug)]
pub struct Insertion {
    /// The rows: at least one.
    pub rows: Vec<NewRow>,
    /// What they were decided without, as if nothing of it were there: they are to be committed only if
    /// so it is.
    pub unmet: Option<Needs>,
    /// They were decided while the batch before them was being inserted.
    pub is_pipelined: bool,
}

/// Why a statement failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementFailure {
    /// The connection or Postgres: to be decided again in a new session.
    Lost,
    /// Postgres says that its disk is full.
    DiskFull,
    /// Postgres does not take one of the rows.
    Rejected,
}

/// Why something was not written, or cannot be answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// The database does not answer. The write may or may not have happened.
    Unavailable,
    /// The file beside the database cannot be written. The write may or may not have happened.
    FileStuck,
    /// The disk is full.
    DiskFull,
    /// The database does not take such an event.
    Unstorable,
}
