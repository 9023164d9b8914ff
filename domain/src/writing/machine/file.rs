//! The file beside the database: when it is written, how long it is waited for, and what is not done while
//! it cannot be written.

use std::sync::Arc;
use std::time::Duration;

use crate::hlc::Hlc;
use crate::writing::{Head, Record, Verdict};

use super::batch::Batch;
use super::{Effect, Machine, State};

/// At most once in this time the file is written before batches are answered. Under load the file lags
/// by as much, far less than any dump of the database takes.
const RECORD_EVERY: Duration = Duration::from_millis(20);
/// How long the file may take to be written before it counts as one that cannot be: a disk that is
/// reached through a network may never answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is waited for once it counts as such.
const GLANCE: Duration = Duration::from_millis(10);

#[derive(Default)]
pub(super) struct File {
    /// What is being written.
    under_way: Option<Record>,
    /// What is to be written after that: it hangs, and could otherwise come last.
    next: Option<Hlc>,
    /// When a write last ended, or was given up.
    ended_at: Option<Duration>,
}

/// What the file is waited for.
pub(super) enum AfterFile<R> {
    /// Writing a batch that gives numbers.
    Admit(Batch<R>),
    /// Answering a batch.
    Answer(Batch<R>, Vec<Verdict>, Arc<Head>),
    /// Answering that the new epoch is drawn.
    Renewed(R),
    /// Raising the closed timestamp.
    Tick,
    /// The end.
    End,
}

impl<R> Machine<R> {
    /// Tells whether the file is to be brought up to date before a write is answered: a database that
    /// comes back without what was answered must be seen to lack it (F1).
    pub(super) fn is_record_due(&self) -> bool {
        let now = self.now.since_start;
        let is_due = |at| now >= at + RECORD_EVERY;
        self.file.ended_at.is_none_or(is_due) && !self.writing.is_recorded()
    }

    /// Brings the file up to date; `reserved` is in the database already.
    pub(super) fn record(&mut self, reserved: Hlc, then: AfterFile<R>) {
        if self.file.under_way.is_some() {
            self.file.next = Some(reserved);
        } else {
            let record = self.writing.record(reserved);
            self.file.under_way = Some(record.clone());
            self.effects.push(Effect::Record(record));
        }
        let patience = if self.writing.is_file_stuck() {
            GLANCE
        } else {
            PATIENCE
        };
        self.state = State::Recording(then, self.now.since_start + patience);
    }

    pub(super) fn recorded(&mut self, is_written: bool) {
        let record = self.file.under_way.take();
        let record = record.expect("a write of the file ends only while one is under way");
        self.end_record(is_written.then_some(record));
        match (self.take_state(), self.file.next.take()) {
            (State::Recording(then, _), Some(reserved)) => self.record(reserved, then),
            (State::Recording(then, _), None) => self.go_on_after_file(then),
            // It was given up, and is done all the same.
            (state, _) => self.state = state,
        }
    }

    pub(super) fn lose_patience_with_the_file(&mut self, then: AfterFile<R>) {
        self.file.next = None;
        self.end_record(None);
        self.go_on_after_file(then);
    }

    fn end_record(&mut self, record: Option<Record>) {
        self.file.ended_at = Some(self.now.since_start);
        let was_stuck = self.writing.is_file_stuck();
        match record {
            Some(record) => self.writing.recorded(record),
            None => self.writing.not_recorded(),
        }
        let is_stuck = self.writing.is_file_stuck();
        if is_stuck != was_stuck {
            self.effects.push(Effect::FileIsStuck(is_stuck));
        }
    }

    fn go_on_after_file(&mut self, then: AfterFile<R>) {
        match then {
            AfterFile::Admit(batch) => self.admit_after_file(batch),
            AfterFile::Answer(batch, verdicts, head) => {
                self.answer(&batch.tasks, batch.waiters, verdicts, &head);
            }
            AfterFile::Renewed(reply) => self.tell_origin(reply),
            AfterFile::Tick => {
                self.publish();
            }
            AfterFile::End => self.state = State::Ended,
        }
    }
}
