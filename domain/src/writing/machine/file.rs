//! The file beside the database: when it is written, its timeouts, and what fails while it cannot
//! be written.

use std::sync::Arc;
use std::time::Duration;

use crate::hlc::Hlc;
use crate::writing::{Head, Record, Verdict};

use super::batch::Batch;
use super::{Effect, Machine, State};

/// Minimum interval between writes of the file before answers. Under load the file lags by this
/// much, which is far less than a dump of the database takes.
const RECORD_EVERY: Duration = Duration::from_millis(20);
/// Timeout of a write, after which the file counts as stuck: a network disk may never answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a write while the file is stuck.
const STUCK_TIMEOUT: Duration = Duration::from_millis(10);

#[derive(Default)]
pub(super) struct File {
    /// The content that is being written.
    in_flight: Option<Record>,
    /// The reservation to write after that, because a write that hangs may still finish later.
    next: Option<Hlc>,
    /// When a write last ended or timed out.
    ended_at: Option<Duration>,
}

/// The work that continues after a write of the file.
pub(super) enum AfterFile<R> {
    /// Write a batch that may yield own events.
    Admit(Batch<R>),
    /// Answer a batch.
    Answer(Batch<R>, Vec<Verdict>, Arc<Head>),
    /// Answer a renewal.
    Renewed(R),
    /// Raise the closed timestamp.
    Tick,
    /// End.
    End,
}

impl<R> Machine<R> {
    /// Whether the file must be updated before a write is answered, so that a later restore of the
    /// database can be detected (F1).
    pub(super) fn is_record_due(&self) -> bool {
        let now = self.now.since_start;
        let is_due = |at| now >= at + RECORD_EVERY;
        self.file.ended_at.is_none_or(is_due) && !self.writing.is_recorded()
    }

    /// Updates the file; `reserved` is in the database already.
    pub(super) fn record(&mut self, reserved: Hlc, then: AfterFile<R>) {
        if self.file.in_flight.is_some() {
            self.file.next = Some(reserved);
        } else {
            let record = self.writing.record(reserved);
            self.file.in_flight = Some(record.clone());
            self.effects.push(Effect::Record(record));
        }
        let timeout = if self.writing.is_file_stuck() {
            STUCK_TIMEOUT
        } else {
            TIMEOUT
        };
        self.state = State::Recording(then, self.now.since_start + timeout);
    }

    pub(super) fn recorded(&mut self, is_written: bool) {
        let record = self.file.in_flight.take();
        let record = record.expect("a write of the file ends only while one is in flight");
        self.end_record(is_written.then_some(record));
        match (self.take_state(), self.file.next.take()) {
            (State::Recording(then, _), Some(reserved)) => self.record(reserved, then),
            (State::Recording(then, _), None) => self.continue_after_file(then),
            // The write timed out before, and has finished after all.
            (state, _) => self.state = state,
        }
    }

    pub(super) fn time_out_file(&mut self, then: AfterFile<R>) {
        self.file.next = None;
        self.end_record(None);
        self.continue_after_file(then);
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

    fn continue_after_file(&mut self, then: AfterFile<R>) {
        match then {
            AfterFile::Admit(batch) => self.admit_after_file(batch),
            AfterFile::Answer(batch, verdicts, head) => {
                self.answer(&batch.tasks, batch.waiters, verdicts, &head);
            }
            AfterFile::Renewed(reply) => self.answer_origin(reply),
            AfterFile::Tick => {
                self.publish();
            }
            AfterFile::End => self.state = State::Ended,
        }
    }
}
