//! What the log's one writer decides, without the database, the file, the clock and the tasks
//! around it: who may be written as, what a batch yields, what is believed after a failure, what
//! is promised about the future.
//!
//! The shell (the store's `log/writer`) does what is said here, in this order; the simulator drives
//! the same code through crashes at each of its steps.

mod batch;
mod hot;
mod identity;
pub mod machine;
mod promises;
#[cfg(test)]
mod tests;
mod work;

pub use batch::{Facts, Needs};
pub use identity::{Beginning, Doubt, Record, Row, Server, draw};
pub use work::{Absorbed, Action, Command, Conflict, Head, NewRow, Task, Unstamped, Verdict};

use crate::hlc::{Clock, Hlc};
use crate::ids::{Origin, ReplicaId};
use crate::rule::{self, Rule};
use batch::Batch;
use hot::Hot;

/// What a start finds.
#[derive(Clone, Debug)]
pub struct Found {
    /// The identity row.
    pub row: Option<Row>,
    /// The file beside the database.
    pub file: Option<Record>,
    /// The Postgres that answers.
    pub server: Server,
    /// What the rows say is held.
    pub head: Head,
}

/// A moment, on the two clocks of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// The wall clock: what people are shown.
    pub wall_ms: u64,
    /// What the events' own clock follows: the wall, as far as it is let lead (F15).
    pub order_ms: u64,
}

impl From<u64> for Time {
    /// The wall as it is.
    fn from(wall_ms: u64) -> Self {
        Self {
            wall_ms,
            order_ms: wall_ms,
        }
    }
}

/// A batch that is decided, and true once its rows are committed.
#[derive(Debug)]
pub struct Decided {
    verdicts: Vec<Verdict>,
    rows: Vec<NewRow>,
    head: Head,
}

impl Decided {
    /// What to commit, all of it or nothing. The verdicts are to be had only after that.
    pub fn rows(&self) -> &[NewRow] {
        &self.rows
    }
}

/// Somebody restored, promoted or exchanged the database beneath us: going on could give numbers
/// out twice (F32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database is not the one this process began with")]
pub struct NotOurs;

/// What the writer knows: a copy of what the rows say, and what it has promised beyond them.
#[derive(Debug)]
pub struct Writing {
    replica: ReplicaId,
    server: Server,
    head: Head,
    clock: Clock,
    reserved: Hlc,
    recorded: Option<Record>,
    /// The file beside the database could not be written the last time.
    is_file_stuck: bool,
    /// The new epoch that may be in the identity row already: its answer is still to come.
    renewing: Option<Origin>,
    hot: Hot,
}

impl Writing {
    /// Begins with what a start finds. Before anything else the identity row must be written, then
    /// the file.
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
        let former = [Some(found.head.highest), reserved, recorded];
        for reading in former
            .into_iter()
            .filter(|_| rule::holds(Rule::ClockIsSeeded))
        {
            clock.merge(reading.unwrap_or_default());
        }
        let mut head = found.head;
        head.origin = origin;
        head.floor = clock.last();
        let writing = Self {
            replica,
            server: found.server,
            reserved: promises::ahead_of(clock, wall_ms),
            head,
            clock,
            recorded: None,
            is_file_stuck: false,
            renewing: None,
            hot: Hot::default(),
        };
        (writing, beginning)
    }

    /// What is held, as far as it is committed.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Who is written as.
    pub fn origin(&self) -> Origin {
        self.head.origin
    }

    /// The Postgres this process began with.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What the identity row is to say where `origin` is who writes.
    pub fn row(&self, origin: Origin) -> Row {
        Row {
            origin,
            reserved: self.reserved,
            system_identifier: self.server.system_identifier.clone(),
            timeline: self.server.timeline.clone(),
        }
    }

    /// Says what must be read before a batch can be decided.
    pub fn needs(&self, tasks: &[Task]) -> Needs {
        Needs::of(tasks, &self.hot)
    }

    /// Tells whether a batch may be decided without what it needs, as if nothing of that were there: to
    /// be committed and answered only if so it is and there is something to commit; otherwise it is to
    /// be decided once more.
    pub fn is_likely_new(&self, tasks: &[Task], needs: &Needs) -> bool {
        needs.is_likely_new(tasks, &self.hot)
    }

    /// Decides a batch on what was read for it.
    pub fn decide(
        &mut self,
        time: impl Into<Time>,
        tasks: &[Task],
        needs: &Needs,
        facts: Facts,
    ) -> Decided {
        self.decide_on(self.head.clone(), time.into(), tasks, needs, facts)
    }

    /// Decides what peers sent on what the log will hold after `before`, while that is being committed,
    /// as if nothing it needs were there. All of it falls where `before` is not committed: then it is
    /// to be decided once more.
    pub fn decide_ahead(
        &mut self,
        before: &Decided,
        time: impl Into<Time>,
        tasks: &[Task],
        needs: &Needs,
    ) -> Decided {
        // An event of our own takes a reading of the clock now, and the floor that is told with the
        // commit of `before` would lie above it.
        debug_assert!(!tasks.iter().any(Task::gives_numbers), "of peers only");
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
        let mut batch = Batch::new(time, head, self.clock, &mut self.hot);
        batch.learn(needs, facts);
        let verdicts = tasks.iter().map(|task| batch.decide(task)).collect();
        let Batch {
            rows, head, clock, ..
        } = batch;
        // Kept also when the batch fails: readings may be skipped, never given twice.
        self.clock = clock;
        if !rule::holds(Rule::HeldAfterCommit) {
            self.head = head.clone();
        }
        Decided {
            verdicts,
            rows,
            head,
        }
    }

    /// The rows of a batch are committed: from now on it may be told. Returns what to tell whoever
    /// asked, in the order of the tasks.
    pub fn committed(&mut self, decided: Decided) -> Vec<Verdict> {
        // What was decided ahead does not know the floor that was told since.
        let floor = self.head.floor.max(decided.head.floor);
        self.head = Head {
            floor,
            ..decided.head
        };
        self.hot.trim();
        decided.verdicts
    }

    /// A statement failed: nothing at hand is believed any more (F14). Before the next batch the
    /// rows are to be read again and given to [`Writing::resume`].
    pub fn forget(&mut self) {
        if rule::holds(Rule::MemoryIsForgotten) {
            self.hot.clear();
        }
    }

    /// Goes on after a failure, on a new session that holds the lock, with what the rows say.
    pub fn resume(&mut self, found: &Server, row: Option<&Row>, head: Head) -> Result<(), NotOurs> {
        let stored = row.map(|row| row.origin);
        // Where the answer to a new epoch was lost, the row tells whether it counts.
        let is_renewed = stored.is_some() && stored == self.renewing;
        let is_ours = is_renewed || stored == Some(self.head.origin);
        // All that was ever told from here was committed: it must still be there.
        let has_all = head.vector.covers_all(&self.head.vector);
        let is_proven = is_ours && *found == self.server && has_all;
        if !is_proven && rule::holds(Rule::SessionIsProven) {
            return Err(NotOurs);
        }
        if let Some(origin) = self.renewing.take_if(|_| is_renewed) {
            self.head.origin = origin;
        }
        self.clock.merge(head.highest);
        self.head = Head {
            floor: self.head.floor,
            origin: self.head.origin,
            ..head
        };
        Ok(())
    }

    /// Tells, after [`Writing::resume`], whether a batch whose answer was lost had been committed after
    /// all (F12).
    pub fn was_committed(&self, decided: &Decided) -> bool {
        crate::mutant!(LostAnswerIsSettled => false);
        decided.rows.last().is_some_and(|row| {
            let stamp = &row.event.envelope.stamp;
            self.head.arrival == row.arrival
                && self.head.hashes.get(&stamp.origin) == Some(&row.event.hash)
        })
    }
}
