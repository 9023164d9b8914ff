//! A batch from the queue to its answers: what it is decided on, how it is committed, and what becomes of
//! it after a failure.

use std::mem;
use std::sync::Arc;

use crate::writing::{Decided, Facts, Head, Needs, NewRow, Task, Verdict};

use super::batch::{Batch, Waiter};
use super::file::AfterFile;
use super::session::Then;
use super::{Effect, Insertion, Machine, State, Statement, StatementFailure, WriteFailure};

/// How often a batch whose commit failed is decided again.
const ATTEMPTS: u32 = 3;

impl<R> Machine<R> {
    /// Writes a batch. While the file beside the database cannot be written it is tried once more first.
    pub(super) fn admit(&mut self, batch: Batch<R>) {
        if self.writing.may_give_numbers() {
            self.attempt(batch);
        } else {
            self.record(self.writing.reserved(), AfterFile::Admit(batch));
        }
    }

    /// Writes of a batch what may be written now.
    pub(super) fn admit_after_file(&mut self, mut batch: Batch<R>) {
        if !self.writing.may_give_numbers() {
            let mut kept = Batch::with_capacity(batch.tasks.len());
            for (task, waiter) in batch.into_tasks() {
                if task.gives_numbers() {
                    self.fail(waiter.reply, WriteFailure::FileStuck);
                } else {
                    kept.push(task, waiter);
                }
            }
            batch = kept;
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

    /// Decides a batch, at once where nothing is likely to be there of what it must know: then the
    /// insertion proves that.
    pub(super) fn decide(&mut self, batch: Batch<R>) {
        let needs = self.writing.needs(&batch.tasks);
        if self.writing.is_likely_new(&batch.tasks, &needs) {
            let decided = self.decide_on(&batch, &needs, Facts::default());
            // Where all is refused, nothing would be inserted that proves it.
            if !decided.rows().is_empty() {
                return self.insert(batch, decided, Some(needs), false);
            }
        }
        self.read_for(batch, needs);
    }

    fn read_for(&mut self, batch: Batch<R>, needs: Needs) {
        if needs == Needs::default() {
            self.decide_finally(batch, &needs, Facts::default());
        } else {
            self.run(Statement::Read(needs), State::Reading(batch));
        }
    }

    pub(super) fn read(&mut self, needs: &Needs, found: Result<Facts, StatementFailure>) {
        let State::Reading(batch) = self.take_state() else {
            unreachable!("a reading ends only while one is waited for")
        };
        match found {
            Ok(found) => self.decide_finally(batch, needs, found),
            Err(failure) => {
                self.forget();
                self.failed(batch, failure);
            }
        }
    }

    fn decide_finally(&mut self, batch: Batch<R>, needs: &Needs, found: Facts) {
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
        self.may_pipeline = true;
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
            unreachable!("an insertion ends only while one is waited for")
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

    /// The rows of a batch are there: peers and streams are told at once, whoever wrote it after the file
    /// shows it.
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
        let is_recorded = self.writing.may_give_numbers();
        for ((waiter, verdict), task) in waiters.into_iter().zip(verdicts).zip(tasks) {
            let reply = waiter.reply;
            self.effects.push(if is_recorded || !task.gives_numbers() {
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

    /// A batch was not committed.
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
            // One task that cannot be stored must not cost the others.
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

/// Nobody is answered before the commit.
fn is_answered_before_the_commit() -> bool {
    crate::mutant!(AnsweredAfterCommit => true);
    false
}
