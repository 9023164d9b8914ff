//! The shell of a replica's one writer: what `log/writer` does, statement by statement, each of
//! which may fail, be lost, or be cut short by a crash.

mod ahead;
mod durable;
mod session;

use causeway_domain::ids::Origin;
use causeway_domain::rule::{self, Rule};
use causeway_domain::writing::{Absorbed, Decided, Facts, Task, Verdict};
use causeway_replicator_core::failure::StoreFailure;

use crate::disk::Durable;
use crate::hits::Hit;
use crate::replica::{Asker, Batch, Doing, Fate, Process};

use super::{Happening, World};

/// How long a batch waits for the database to come back.
const PATIENCE_MS: u64 = 3_000;
const RECORD_EVERY_MS: u64 = 20;
const IDLE_TICK_MS: u64 = 500;
const ATTEMPTS: u32 = 3;
const BATCH: usize = 512;
const RENEW_AGAIN_MS: u64 = 1_000;

impl World {
    fn process(&mut self, at: usize) -> &mut Process {
        let process = self.replicas[at].process.as_mut();
        process.expect("a happening of a process comes only while it runs")
    }

    /// Gives the writer something to do.
    pub(super) fn hand_over(&mut self, at: usize, task: Task, asker: Asker) {
        self.process(at).inbox.push((task, asker));
        self.look_for_work(at);
    }

    /// Asks for a new epoch.
    pub(super) fn renew(&mut self, at: usize, former: Origin) {
        self.process(at).renewals.push_back(former);
        self.look_for_work(at);
    }

    pub(super) fn tick(&mut self, at: usize) {
        let life = self.replicas[at].life;
        self.plan(IDLE_TICK_MS, Happening::Tick(at, life));
        self.process(at).is_tick_due = true;
        self.look_for_work(at);
    }

    /// Ends when everything is written that waits.
    pub(super) fn is_writer_idle(&self, at: usize) -> bool {
        let process = self.replicas[at].process.as_ref();
        process.is_none_or(|p| {
            matches!(p.doing, Doing::Nothing) && p.inbox.is_empty() && p.alone.is_empty()
        })
    }

    fn look_for_work(&mut self, at: usize) {
        let process = self.process(at);
        if matches!(process.doing, Doing::Committing(..)) {
            return self.decide_ahead(at);
        }
        if !matches!(process.doing, Doing::Nothing) || process.core.is_none() {
            return;
        }
        if std::mem::take(&mut process.is_tick_due) {
            return self.tick_now(at);
        }
        if process.ahead.is_some() {
            return self.go_on_with_ahead(at);
        }
        if let Some(batch) = process.alone.pop_front() {
            return self.begin(at, batch);
        }
        if let Some(former) = process.renewals.pop_front() {
            return self.begin_renewal(at, former);
        }
        if process.inbox.is_empty() {
            return;
        }
        if !process.writing.may_give_numbers() {
            if !std::mem::take(&mut process.is_file_tried) {
                let record = process.writing.record(process.writing.reserved());
                return self.begin_record(at, record, None);
            }
            self.turn_numbers_away(at);
        }
        let process = self.process(at);
        if process.inbox.is_empty() {
            return;
        }
        let count = process.inbox.len().min(BATCH);
        let (tasks, askers) = process.inbox.drain(..count).unzip();
        if count > 1 {
            self.hit(Hit::GroupCommit);
        }
        let batch = Batch {
            tasks,
            askers,
            attempts: 0,
        };
        self.begin(at, batch);
    }

    fn does(&mut self, at: usize, doing: Doing, in_ms: u64) {
        let life = self.replicas[at].life;
        self.process(at).doing = doing;
        self.plan(in_ms, Happening::Writer(at, life));
        if std::mem::take(&mut self.replicas[at].is_doomed) {
            let dies_ms = self.rng.below(in_ms + 2);
            self.plan(dies_ms, Happening::Dies(at, life));
        }
    }

    fn begin(&mut self, at: usize, batch: Batch) {
        if self.process(at).is_connected {
            let in_ms = self.rng.below(3);
            self.does(at, Doing::Reading(batch), in_ms);
        } else {
            self.connect(at, Some((batch, None)));
        }
    }

    pub(super) fn writer_goes_on(&mut self, at: usize) {
        let doing = std::mem::replace(&mut self.process(at).doing, Doing::Nothing);
        match doing {
            Doing::Nothing => {}
            Doing::Starting => self.start_goes_on(at),
            Doing::Reading(batch) => self.decide(at, batch),
            Doing::Committing(batch, decided, fate) => self.committed(at, batch, decided, fate),
            Doing::Connecting(waiting, until_ms) => self.connected(at, waiting, until_ms),
            Doing::Reserving(reserved, fate) => {
                if fate == Fate::Done {
                    let record = self.process(at).writing.record(reserved);
                    self.hit(Hit::Reserved);
                    return self.begin_record(at, record, None);
                }
                self.lose_connection(at);
            }
            Doing::Renewing(origin, fate) => self.renewed(at, origin, fate),
            Doing::Recording(record, fate, then) => self.recorded(at, record, fate, then),
        }
        self.look_for_work(at);
    }

    fn decide(&mut self, at: usize, batch: Batch) {
        // A session that has ended meanwhile answers no more.
        if self.fate(at, false) != Fate::Done || !self.process(at).is_connected {
            self.lose_connection(at);
            return self.again(at, batch);
        }
        let time = self.time(at);
        let replica = &mut self.replicas[at];
        let process = replica.process.as_mut().expect("it runs");
        let needs = process.writing.needs(&batch.tasks);
        let facts = replica.disk.facts(&needs);
        let (writing, tasks) = (&mut process.writing, &batch.tasks);
        let mut decided = None;
        if writing.is_likely_new(tasks, &needs) {
            // Decided at once, and for good if the insert finds nothing in its way.
            let presumed = writing.decide(time, tasks, &needs, Facts::default());
            let is_so = facts.sequences.is_empty() && facts.keys.is_empty();
            decided = (is_so && !presumed.rows().is_empty()).then_some(presumed);
        }
        let decided = decided.unwrap_or_else(|| writing.decide(time, tasks, &needs, facts));
        if decided.rows().is_empty() {
            let verdicts = self.process(at).writing.committed(decided);
            return self.written(at, batch, verdicts);
        }
        self.commit(at, batch, decided);
    }

    /// Sends what was decided to the disk.
    fn commit(&mut self, at: usize, batch: Batch, decided: Decided) {
        let rows = decided.rows().to_vec();
        let mut fate = self.fate(at, true);
        let refuses = self.replicas[at].refuses.as_ref();
        let is_refused = refuses.is_some_and(|id| rows.iter().any(|r| r.event.envelope.id == *id));
        if is_refused && fate != Fate::Failed {
            self.hit(Hit::Unstorable);
            fate = Fate::Rejected;
        }
        if !rule::holds(Rule::AnsweredAfterCommit) {
            for asker in &batch.askers {
                self.answer_early(at, asker, &rows);
            }
        }
        let in_ms = self.send_to_disk(at, Durable::Rows(rows), fate);
        self.does(at, Doing::Committing(batch, decided, fate), in_ms);
    }

    fn committed(&mut self, at: usize, batch: Batch, decided: Decided, fate: Fate) {
        match fate {
            Fate::Done => {
                let verdicts = self.process(at).writing.committed(decided);
                self.written(at, batch, verdicts);
            }
            Fate::AnswerLost => {
                self.hit(Hit::AnswerLost);
                self.lose_connection(at);
                self.connect(at, Some((batch, Some(decided))));
            }
            Fate::Failed => {
                self.lose_connection(at);
                self.connect(at, Some((batch, Some(decided))));
            }
            Fate::DiskFull => {
                self.lose_connection(at);
                self.refuse(at, batch, StoreFailure::Unavailable);
            }
            Fate::Rejected => {
                self.lose_connection(at);
                self.split(at, batch);
            }
        }
    }

    /// One piece that cannot be stored must not cost the others.
    fn split(&mut self, at: usize, batch: Batch) {
        if batch.tasks.len() < 2 {
            return self.refuse(at, batch, StoreFailure::Unstorable);
        }
        self.hit(Hit::SplitBatch);
        let pieces = batch.tasks.into_iter().zip(batch.askers);
        let alone: Vec<Batch> = pieces
            .map(|(task, asker)| Batch {
                tasks: vec![task],
                askers: vec![asker],
                attempts: 0,
            })
            .collect();
        self.process(at).alone.extend(alone);
    }

    fn again(&mut self, at: usize, mut batch: Batch) {
        batch.attempts += 1;
        if batch.attempts >= ATTEMPTS {
            self.refuse(at, batch, StoreFailure::Unavailable);
        } else {
            self.begin(at, batch);
        }
    }

    /// A batch is in the rows: peers are told, then comes the file, unless that was written just now,
    /// then the answers.
    fn written(&mut self, at: usize, batch: Batch, verdicts: Vec<Verdict>) {
        let now_ms = self.now_ms;
        let process = self.process(at);
        let is_due = process
            .recorded_at_ms
            .is_none_or(|at_ms| now_ms >= at_ms + RECORD_EVERY_MS);
        if is_due && !process.writing.is_recorded() {
            let record = process.writing.record(process.writing.reserved());
            self.begin_record(at, record, Some((batch, verdicts)));
            return self.publish(at);
        }
        self.publish(at);
        self.respond(at, batch, verdicts);
    }

    fn tick_now(&mut self, at: usize) {
        let order_ms = self.time(at).order_ms;
        let process = self.process(at);
        if !process.is_connected {
            return self.connect(at, None);
        }
        let writing = &process.writing;
        if let Some(reserved) = writing.due_reservation(order_ms) {
            let fate = self.fate(at, true);
            let in_ms = self.send_to_disk(at, Durable::Reservation(reserved), fate);
            return self.does(at, Doing::Reserving(reserved, fate), in_ms);
        }
        if !writing.is_recorded() {
            let record = writing.record(writing.reserved());
            return self.begin_record(at, record, None);
        }
        self.publish(at);
        self.look_for_work(at);
    }

    pub(super) fn publish(&mut self, at: usize) {
        let order_ms = self.time(at).order_ms;
        let replica = &mut self.replicas[at];
        let process = replica.process.as_mut().expect("it runs");
        let head = process.writing.publish(order_ms);
        replica.promised = replica.promised.max(head.floor);
        let recount = replica.disk.head(head.origin);
        // A database exchanged beneath it is noticed with the next statement.
        let is_recounted = recount.vector == head.vector
            && recount.hashes == head.hashes
            && recount.highest == head.highest;
        if !is_recounted && !replica.is_exchanged {
            let (told, held) = (head.vector.clone(), recount.vector);
            self.violate(|| format!("{} says it holds {told:?}, and holds {held:?}", at + 1));
        }
        self.expect_remembered(at, head.floor, recount.highest);
        self.ring(at, head);
    }

    fn respond(&mut self, at: usize, batch: Batch, verdicts: Vec<Verdict>) {
        let may_answer = self.process(at).writing.may_give_numbers();
        for (asker, verdict) in batch.askers.into_iter().zip(verdicts) {
            match (asker, verdict) {
                (Asker::Client(request), _) if !may_answer => self.fail_client(request),
                (Asker::Client(request), Verdict::Submitted(answer)) => {
                    self.answer_client(at, request, answer);
                }
                (asker, Verdict::Absorbed(absorbed)) => {
                    if !absorbed.missing.is_empty() {
                        self.hit(Hit::Early);
                    }
                    self.absorbed(at, &asker, Ok(absorbed));
                }
                _ => {}
            }
        }
    }

    fn absorbed(&mut self, at: usize, asker: &Asker, result: Result<Absorbed, StoreFailure>) {
        if let Asker::Store(store) = *asker {
            self.stored(at, store, result);
        }
    }

    /// While the file cannot be written nothing of our own is.
    fn turn_numbers_away(&mut self, at: usize) {
        let inbox = &mut self.process(at).inbox;
        let own: Vec<_> = inbox
            .extract_if(.., |(task, _)| task.gives_numbers())
            .collect();
        for (_, asker) in own {
            self.hit(Hit::NumbersHeld);
            if let Asker::Client(request) = asker {
                self.fail_client(request);
            }
        }
    }

    fn refuse(&mut self, at: usize, batch: Batch, failure: StoreFailure) {
        for asker in batch.askers {
            if let Asker::Client(request) = asker {
                self.fail_client(request);
            }
            self.absorbed(at, &asker, Err(failure));
        }
    }
}
