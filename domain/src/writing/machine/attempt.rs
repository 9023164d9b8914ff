//! The life of a batch: it is decided, committed and answered, or retried after a failure.

use std::mem;
use std::sync::Arc;

use crate::writing::{Decided, Facts, Head, Needs, NewRow, Task, Verdict};

use super::batch::{Batch, Waiter};
use super::file::AfterFile;
use super::session::Then;
use super::{Effect, Insertion, Machine, State, Statement, StatementFailure, WriteFailure};

/// Maximum number of attempts to commit a batch.
const ATTEMPTS: u32 = 3;

impl<R> Machine<R> {
    /// Writes a batch. If the last write of the file beside the database failed, it is retried
    /// first.
    pub(super) fn admit(&mut self, batch: Batch<R>) {
        if self.writing.may_issue_seqs() {
            self.attempt(batch);
        } else {
            self.record(self.writing.reserved(), AfterFile::Admit(batch));
        }
    }

    /// Writes those tasks of a batch that may be written now, and fails the others.
    pub(super) fn admit_after_file(&mut self, mut batch: Batch<R>) {
        if !self.writing.may_issue_seqs() {
            let mut writable = Batch::with_capacity(batch.tasks.len());
            for (task, waiter) in batch.into_tasks() {
                if task.issues_seqs() {
                    self.fail(waiter.reply, WriteFailure::FileStuck);
                } else {
                    writable.push(task, waiter);
                }
            }
            batch = writable;
        }
        if !batch.is_empty() {
            self.attempt(batch);
        }
    }

    pub(super) fn attempt(&mut self, batch: Batch<R>) {
        if self.is_connected {
            self.decide(batch);
        } else {
            self.connect(Then::Attempt(batch));
        }
    }

    /// Decides a batch. If none of the rows that it needs is likely to exist, it is decided without
    /// reading them, and the insertion verifies that none does.
    pub(super) fn decide(&mut self, batch: Batch<R>) {
        let needs = self.writing.needs(&batch.tasks);
        if self.writing.is_likely_new(&batch.tasks, &needs) {
            let decided = self.decide_on(&batch, &needs, Facts::default());
            // If every task is refused, there is no insertion that could verify it.
            if !decided.rows().is_empty() {
                return self.insert(batch, decided, Some(needs), false);
            }
        }
        self.read_for(batch, needs);
    }

    fn read_for(&mut self, batch: Batch<R>, needs: Needs) {
        if needs == Needs::default() {
            self.decide_on_facts(batch, &needs, Facts::default());
        } else {
            self.run(Statement::Read(needs), State::Reading(batch));
        }
    }

    pub(super) fn read(&mut self, needs: &Needs, found: Result<Facts, StatementFailure>) {
        let State::Reading(batch) = self.take_state() else {
            unreachable!("a read ends only in `Reading`")
        };
        match found {
            Ok(found) => self.decide_on_facts(batch, needs, found),
            Err(failure) => {
                self.forget();
                self.failed(batch, failure);
            }
        }
    }

    fn decide_on_facts(&mut self, batch: Batch<R>, needs: &Needs, found: Facts) {
        let decided = self.decide_on(&batch, needs, found);
        if decided.rows().is_empty() {
            self.committed(batch, decided);
        } else {
            self.insert(batch, decided, None, false);
        }
    }

    fn decide_on(&mut self, batch: &Batch<R>, needs: &Needs, found: Facts) -> Decided {
        self.writing
            .decide(self.now.time, &batch.tasks, needs, found)
    }

    pub(super) fn insert(
        &mut self,
        mut batch: Batch<R>,
        mut decided: Decided,
        unmet: Option<Needs>,
        is_pipelined: bool,
    ) {
        if is_answered_before_the_commit() {
            let head = Arc::new(self.writing.head().clone());
            let waiters = mem::take(&mut batch.waiters);
            self.answer(&batch.tasks, waiters, decided.verdicts.clone(), &head);
        }
        let insertion = Insertion {
            rows: mem::take(&mut decided.rows),
            unmet,
            is_pipelined,
        };
        // The parts of a split batch and renewals come first: then the next head is another one.
        self.may_pipeline = self.batches.is_empty() && self.renewals.is_empty();
        self.run(
            Statement::Insert(insertion),
            State::Inserting(batch, decided),
        );
    }

    pub(super) fn inserted(
        &mut self,
        insertion: Insertion,
        outcome: Result<bool, StatementFailure>,
    ) {
        let State::Inserting(mut batch, mut decided) = self.take_state() else {
            unreachable!("an insertion ends only in `Inserting`")
        };
        decided.rows = insertion.rows;
        match (outcome, insertion.unmet) {
            (Ok(true), _) => self.committed(batch, decided),
            (Ok(false), Some(_)) if insertion.is_pipelined => {
                self.drop_pipelined();
                self.decide(batch);
            }
            (Ok(false), Some(needs)) => {
                self.drop_pipelined();
                self.read_for(batch, needs);
            }
            (Ok(false), None) => self.failed(batch, StatementFailure::Lost),
            (Err(failure), _) => {
                self.forget();
                batch.in_doubt = Some(decided);
                self.connect(Then::Settle(batch, failure));
            }
        }
    }

    /// Handles the commit of a batch: peers and streams are notified at once, the clients after the
    /// file has recorded it.
    fn committed(&mut self, batch: Batch<R>, mut decided: Decided) {
        let rows = mem::take(&mut decided.rows);
        let verdicts = self.writing.committed(decided);
        self.written(batch, rows, verdicts);
    }

    pub(super) fn written(&mut self, batch: Batch<R>, rows: Vec<NewRow>, verdicts: Vec<Verdict>) {
        if !rows.is_empty() {
            self.effects.push(Effect::Committed(rows));
        }
        let head = self.publish();
        if self.is_record_due() {
            let then = AfterFile::Answer(batch, verdicts, head);
            self.record(self.writing.reserved(), then);
        } else {
            self.answer(&batch.tasks, batch.waiters, verdicts, &head);
        }
    }

    /// Answers a batch, in the order of its tasks.
    pub(super) fn answer(
        &mut self,
        tasks: &[Task],
        waiters: Vec<Waiter<R>>,
        verdicts: Vec<Verdict>,
        head: &Arc<Head>,
    ) {
        let is_recorded = self.writing.may_issue_seqs();
        for ((waiter, verdict), task) in waiters.into_iter().zip(verdicts).zip(tasks) {
            let reply = waiter.reply;
            self.effects.push(if is_recorded || !task.issues_seqs() {
                let head = Arc::clone(head);
                Effect::Answer {
                    reply,
                    verdict,
                    head,
                }
            } else {
                let why = WriteFailure::FileStuck;
                Effect::Fail { reply, why }
            });
        }
    }

    /// Retries, splits or fails a batch that was not committed.
    pub(super) fn failed(&mut self, mut batch: Batch<R>, failure: StatementFailure) {
        match failure {
            StatementFailure::Lost => {
                batch.failures += 1;
                if batch.failures < ATTEMPTS {
                    self.attempt(batch);
                } else {
                    self.give_up(batch, WriteFailure::Unavailable);
                }
            }
            StatementFailure::DiskFull => self.give_up(batch, WriteFailure::DiskFull),
            // One task that cannot be stored must not fail the others.
            StatementFailure::Rejected if batch.tasks.len() > 1 => {
                self.batches.extend(batch.split());
            }
            StatementFailure::Rejected => self.give_up(batch, WriteFailure::Unstorable),
        }
    }

    pub(super) fn give_up(&mut self, batch: Batch<R>, why: WriteFailure) {
        let replies = batch.into_replies();
        self.effects
            .extend(replies.map(|reply| Effect::Fail { reply, why }));
    }
}

/// Whether answers precede the commit: never.
fn is_answered_before_the_commit() -> bool {
    crate::mutant!(AnsweredAfterCommit => true);
    false
}
