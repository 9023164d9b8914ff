//! The decisions of the log's single writer, without database, file, clock and tasks: which origin
//! it writes as, what a batch yields, which state is valid after a failure, and which closed
//! timestamps it may promise.
//!
//! [`machine`] puts the decisions in order. The shell (the store's `log/writer`) carries them out;
//! the simulator drives the same code through a crash at each step.

mod batch;
mod cache;
mod identity;
pub mod machine;
mod promises;

#[cfg(test)]
mod tests;
mod work;

pub use batch::{Facts, Needs};
pub use identity::{Beginning, Doubt, Record, Row, Server, draw};
pub use work::{Absorbed, Action, Command, Head, NewRow, Task, Verdict};

use crate::hlc::{Clock, Hlc};
use crate::ids::{Origin, ReplicaId};
use crate::mutant;
use crate::version_vector::VersionVector;
use batch::Batch;
use cache::Cache;

/// The stored state that a start finds.
#[derive(Clone, Debug)]
pub struct Found {
    /// The identity row.
    pub row: Option<Row>,
    /// The file beside the database.
    pub file: Option<Record>,
    /// The Postgres instance in use.
    pub server: Server,
    /// The head of the log, derived from the rows.
    pub head: Head,
}

/// A point in time, on the two clocks of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// The wall clock, for display.
    pub wall_ms: u64,
    /// The input of the hybrid logical clock: the wall clock, with its lead limited (F15).
    pub order_ms: u64,
}

impl From<u64> for Time {
    /// A time whose lead is not limited.
    fn from(wall_ms: u64) -> Self {
        Self {
            wall_ms,
            order_ms: wall_ms,
        }
    }
}

/// A decided batch. It takes effect when its rows are committed.
#[derive(Debug)]
pub struct Decided {
    verdicts: Vec<Verdict>,
    rows: Vec<NewRow>,
    head: Head,
}

impl Decided {
    /// The rows to commit atomically. [`Writing::committed`] returns the verdicts after that.
    pub fn rows(&self) -> &[NewRow] {
        &self.rows
    }
}

/// The database was restored, promoted or replaced while in use: continuing could issue a seq twice
/// (F32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database is not the one that this process started with")]
pub struct DatabaseReplaced;

/// The writer's state: a copy of the stored state, and the promises beyond it.
#[derive(Debug)]
pub struct Writing {
    replica: ReplicaId,
    server: Server,
    head: Head,
    clock: Clock,
    reserved: Hlc,
    recorded: Option<Record>,
    /// Whether the last write of the file beside the database failed.
    is_file_stuck: bool,
    /// A new epoch whose commit to the identity row is not confirmed yet.
    renewing: Option<Origin>,
    cache: Cache,
}

impl Writing {
    /// Starts from the stored state. The caller must write the identity row, then the file, before
    /// anything else.
    pub fn begin(
        replica: ReplicaId,
        found: Found,
        wall_ms: u64,
        fresh_epoch: u32,
    ) -> (Self, Beginning) {
        let (beginning, origin) = found.judge(replica, fresh_epoch);
        let mut clock = Clock::default();
        let reserved = found.row.as_ref().map(|row| row.reserved);
        let recorded = found.file.as_ref().map(|file| file.hlc);
        seed(&mut clock, [Some(found.head.highest), reserved, recorded]);
        let mut head = found.head;
        head.origin = origin;
        head.closed_ts = clock.last();
        let writing = Self {
            replica,
            server: found.server,
            reserved: promises::ahead_of(clock, wall_ms),
            head,
            clock,
            recorded: None,
            is_file_stuck: false,
            renewing: None,
            cache: Cache::default(),
        };
        (writing, beginning)
    }

    /// The head of the log at the last commit.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The origin of own events.
    pub fn origin(&self) -> Origin {
        self.head.origin
    }

    /// The Postgres instance that this process started with.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The identity row for an origin.
    pub fn row(&self, origin: Origin) -> Row {
        Row {
            origin,
            reserved: self.reserved,
            system_identifier: self.server.system_identifier.clone(),
            timeline: self.server.timeline.clone(),
        }
    }

    /// Returns what must be read before a batch can be decided.
    pub fn needs(&self, tasks: &[Task]) -> Needs {
        Needs::of(tasks, &self.cache)
    }

    /// Whether a batch may be decided optimistically, as if no row that it needs existed. Commit
    /// and answer it only if the insertion finds none of them and inserts at least one row;
    /// otherwise read the rows and decide again.
    pub fn is_likely_new(&self, tasks: &[Task], needs: &Needs) -> bool {
        needs.is_likely_new(tasks, &self.cache)
    }

    /// Decides a batch on the rows that were read for it.
    pub fn decide(
        &mut self,
        time: impl Into<Time>,
        tasks: &[Task],
        needs: &Needs,
        facts: Facts,
    ) -> Decided {
        self.decide_on(self.head.clone(), time.into(), tasks, needs, facts)
    }

    /// Decides a batch of peers' events on the head after `before`, while `before` is being
    /// committed, as if no row that it needs existed. If `before` is not committed, the result is
    /// invalid and the batch must be decided again.
    pub fn decide_ahead(
        &mut self,
        before: &Decided,
        time: impl Into<Time>,
        tasks: &[Task],
        needs: &Needs,
    ) -> Decided {
        // An own event would get a clock reading now, below the closed timestamp that is published
        // with the commit of `before`.
        debug_assert!(
            !tasks.iter().any(Task::issues_seqs),
            "only events of peers are decided ahead"
        );
        let head = before.head.clone();
        self.decide_on(head, time.into(), tasks, needs, Facts::default())
    }

    fn decide_on(
        &mut self,
        head: Head,
        time: Time,
        tasks: &[Task],
        needs: &Needs,
        facts: Facts,
    ) -> Decided {
        let mut batch = Batch::new(time, head, self.clock, &mut self.cache);
        batch.load(needs, facts);
        let verdicts = tasks.iter().map(|task| batch.decide(task)).collect();
        let Batch {
            rows, head, clock, ..
        } = batch;
        // Kept even if the batch fails: readings may be skipped, but never issued twice.
        self.clock = clock;
        self.leave_head_to_the_commit(&head);
        Decided {
            verdicts,
            rows,
            head,
        }
    }

    /// Does nothing: the head changes with the commit. The mutant changes it with the decision.
    fn leave_head_to_the_commit(&mut self, decided: &Head) {
        mutant!(HeldAfterCommit => self.head = decided.clone());
    }

    /// Applies a batch whose rows are committed. Returns its verdicts, in the order of the tasks.
    pub fn committed(&mut self, decided: Decided) -> Vec<Verdict> {
        // A batch decided ahead does not include a closed timestamp published since.
        let closed_ts = self.head.closed_ts.max(decided.head.closed_ts);
        self.head = Head {
            closed_ts,
            ..decided.head
        };
        self.cache.trim();
        decided.verdicts
    }

    /// Drops the cache after a failed statement (F14). Before the next batch the head must be read
    /// again and passed to [`Writing::resume`].
    pub fn forget(&mut self) {
        mutant!(MemoryIsForgotten);
        self.cache.clear();
    }

    /// Resumes after a failure, in a new session that holds the lock, with the stored state.
    ///
    /// # Errors
    /// If the database cannot be proven to be the same.
    pub fn resume(
        &mut self,
        found: &Server,
        row: Option<&Row>,
        head: Head,
    ) -> Result<(), DatabaseReplaced> {
        let stored = row.map(|row| row.origin);
        // If the commit of a new epoch was not confirmed, the row shows whether it succeeded.
        let is_renewed = stored.is_some() && stored == self.renewing;
        let is_ours = is_renewed || stored == Some(self.head.origin);
        if !self.is_continued(found, is_ours, &head.vector) {
            return Err(DatabaseReplaced);
        }
        if let Some(origin) = self.renewing.take_if(|_| is_renewed) {
            self.head.origin = origin;
        }
        self.clock.merge(head.highest);
        self.head = Head {
            closed_ts: self.head.closed_ts,
            origin: self.head.origin,
            ..head
        };
        Ok(())
    }

    /// Whether a session is proven to be on the database of before. Everything reported was
    /// committed before, so the database must still hold it.
    fn is_continued(&self, found: &Server, is_ours: bool, held: &VersionVector) -> bool {
        mutant!(SessionIsProven => true);
        is_ours && *found == self.server && held.covers_all(&self.head.vector)
    }

    /// Whether a batch whose commit was not confirmed was committed (F12). Call it after
    /// [`Writing::resume`].
    pub fn was_committed(&self, decided: &Decided) -> bool {
        mutant!(LostAnswerIsSettled => false);
        decided.rows.last().is_some_and(|row| {
            let stamp = &row.event.envelope.stamp;
            self.head.offset == row.offset
                && self.head.hashes.get(&stamp.origin) == Some(&row.event.hash)
        })
    }
}

/// Starts the clock above everything that was written, reserved or recorded before.
fn seed(clock: &mut Clock, earlier: [Option<Hlc>; 3]) {
    mutant!(ClockIsSeeded);
    for reading in earlier.into_iter().flatten() {
        clock.merge(reading);
    }
}
