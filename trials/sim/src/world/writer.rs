//! The shell of a replica's one writer: what `log/writer` does, statement by statement, each of
//! which may fail, be lost, or be cut short by a crash.

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::Origin;
use causeway_domain::rule::{self, Rule};
use causeway_domain::writing::{Decided, Record, Row, Task, Verdict};
use causeway_replicator::core::Taken;

use super::{Happening, World};
use crate::disk::Durable;
use crate::hits::Hit;
use crate::replica::{Asker, Batch, Doing, Fate, Process};

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
        if !matches!(process.doing, Doing::Nothing) || process.core.is_none() {
            return;
        }
        if std::mem::take(&mut process.is_tick_due) {
            return self.tick_now(at);
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
    }

    fn begin(&mut self, at: usize, batch: Batch) {
        if self.process(at).is_connected {
            let in_ms = self.rng.below(3);
            self.does(at, Doing::Reading(batch), in_ms);
        } else {
            self.connect(at, Some((batch, None)));
        }
    }

    fn connect(&mut self, at: usize, waiting: Option<(Batch, Option<Decided>)>) {
        let until_ms = self.now_ms + PATIENCE_MS;
        let in_ms = self.rng.between(1, 20);
        self.does(at, Doing::Connecting(waiting, until_ms), in_ms);
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

    /// How the next statement ends.
    fn fate(&mut self, at: usize, writes: bool) -> Fate {
        let every = self.swarm.failing_statements;
        let now_ms = self.now_ms;
        let is_healed = self.is_healed;
        let replica = &mut self.replicas[at];
        replica.statements += 1;
        if replica.away_until_ms > now_ms {
            return Fate::Failed;
        }
        if writes && replica.full_until_ms > now_ms {
            return Fate::DiskFull;
        }
        if every == 0 || is_healed || !replica.statements.is_multiple_of(every) {
            return Fate::Done;
        }
        self.hit(Hit::StatementFailed);
        if writes && self.rng.permille(500) {
            return Fate::AnswerLost;
        }
        Fate::Failed
    }

    /// Sends something to the disk; tells how long its answer takes. It is durable some time
    /// before.
    fn send_to_disk(&mut self, at: usize, step: Durable, fate: Fate) -> u64 {
        let life = self.replicas[at].life;
        let lands_ms = self.rng.below(4);
        if matches!(fate, Fate::Done | Fate::AnswerLost) {
            self.process(at).pending = Some(step);
            self.plan(lands_ms, Happening::Lands(at, life));
        }
        lands_ms + self.rng.below(3)
    }

    pub(super) fn land(&mut self, at: usize) {
        let Some(step) = self.process(at).pending.take() else {
            return;
        };
        self.make_durable(at, step);
    }

    pub(super) fn make_durable(&mut self, at: usize, step: Durable) {
        if let Durable::Rows(rows) = &step {
            self.note_rows(at, rows);
        }
        let own = self.replicas[at]
            .disk
            .identity
            .as_ref()
            .map(|row| row.origin);
        let settled = self.replicas[at].settled;
        let promised = self.replicas[at].promised;
        if let Durable::Rows(rows) = &step {
            for row in rows.clone() {
                let envelope = &row.event.envelope;
                let (dot, hlc) = (envelope.stamp.dot(), envelope.stamp.hlc);
                let is_own = Some(dot.origin) == own;
                if let Err(wrong) = self.ledger.commit(&row.event) {
                    self.violate(|| wrong);
                }
                if !self.swarm.loses_state() && hlc <= settled {
                    self.violate(|| format!("{dot} came to {} below what was settled", at + 1));
                }
                if is_own && !self.swarm.loses_state() && hlc <= promised {
                    self.violate(|| format!("{dot} lies below a floor that {} told", at + 1));
                }
                let known = row.key_digest.as_ref();
                let known = known.and_then(|key| self.replicas[at].disk.sent_under(key));
                if is_own && known.is_some() {
                    self.violate(|| format!("{dot} repeats what is held under its key"));
                }
            }
        }
        if let Err(broken) = self.replicas[at].disk.apply(step) {
            self.violate(|| format!("at {}: {broken}", at + 1));
        }
        if !self.ledger.rewritten.is_empty() && !self.swarm.can_fork() {
            let origins = self.ledger.rewritten.clone();
            self.violate(|| format!("numbers of {origins:?} were given out twice"));
        }
    }

    pub(super) fn note_rows(&mut self, at: usize, rows: &[causeway_domain::writing::NewRow]) {
        for row in rows {
            let envelope = &row.event.envelope;
            let (dot, kind, id) = (envelope.stamp.dot(), &envelope.kind, &envelope.id);
            let id = id.get(..8).unwrap_or(id);
            let user = row.member.as_deref().unwrap_or_default();
            let user = user.get(..4).unwrap_or_default();
            self.note(format_args!("{} commits {dot} {kind} {id} {user}", at + 1));
        }
    }

    fn decide(&mut self, at: usize, batch: Batch) {
        if self.fate(at, false) != Fate::Done {
            self.lose_connection(at);
            return self.again(at, batch);
        }
        let wall_ms = self.wall_ms(at);
        let replica = &mut self.replicas[at];
        let process = replica.process.as_mut().expect("it runs");
        let needs = process.writing.needs(&batch.tasks);
        let facts = replica.disk.facts(&needs);
        let decided = process.writing.decide(wall_ms, &batch.tasks, &needs, facts);
        let rows = decided.rows().to_vec();
        if rows.is_empty() {
            let verdicts = self.process(at).writing.committed(decided);
            return self.written(at, batch, verdicts);
        }
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
                self.refuse(at, batch);
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
            return self.leave_out(at, batch);
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

    /// One event of a peer that cannot be stored must not cost the others: what its origin wrote
    /// after it waits, all else is taken in.
    fn leave_out(&mut self, at: usize, mut batch: Batch) {
        let Some(Task::Absorb { events, .. }) = batch.tasks.first_mut() else {
            return self.refuse(at, batch);
        };
        let refused = self.replicas[at].refuses.clone();
        events.retain(|event| Some(&event.envelope.id) != refused.as_ref());
        self.hit(Hit::LeftOut);
        if events.is_empty() {
            for asker in batch.askers {
                self.absorbed(at, &asker, Some(Taken::default()));
            }
        } else {
            self.process(at).alone.push_back(batch);
        }
    }

    pub(super) fn lose_connection(&mut self, at: usize) {
        let process = self.process(at);
        process.is_connected = false;
        process.writing.forget();
    }

    fn again(&mut self, at: usize, mut batch: Batch) {
        batch.attempts += 1;
        if batch.attempts >= ATTEMPTS {
            self.refuse(at, batch);
        } else {
            self.begin(at, batch);
        }
    }

    fn connected(&mut self, at: usize, waiting: Option<(Batch, Option<Decided>)>, until_ms: u64) {
        let is_reachable = self.fate(at, false) == Fate::Done && !self.process(at).is_cut_off;
        if !is_reachable {
            let Some((batch, decided)) = waiting else {
                return;
            };
            if self.now_ms < until_ms {
                let doing = Doing::Connecting(Some((batch, decided)), until_ms);
                return self.does(at, doing, 100);
            }
            self.hit(Hit::GaveUp);
            if decided.is_some() {
                self.again(at, batch);
            } else {
                self.refuse(at, batch);
            }
            return;
        }
        // The lock is free only when the former session has ended.
        self.land(at);
        let replica = &mut self.replicas[at];
        let process = replica.process.as_mut().expect("it runs");
        let head = replica.disk.head(process.writing.origin());
        let (server, row) = (&replica.disk.server, replica.disk.identity.as_ref());
        if let Err(not_ours) = process.writing.resume(server, row, head) {
            process.is_cut_off = true;
            let life = replica.life;
            let is_exchanged = replica.is_exchanged;
            self.plan(2_000, Happening::Restart(at, life));
            if !is_exchanged && at < self.size {
                self.violate(|| format!("{} does not know its own database", at + 1));
            }
            self.hit(Hit::RestoredBeneath);
            self.note(format_args!("{} {not_ours}", at + 1));
            if let Some((batch, _)) = waiting {
                self.refuse(at, batch);
            }
            return;
        }
        process.is_connected = true;
        match waiting {
            None => self.tick_now(at),
            Some((batch, Some(decided))) => {
                let process = self.process(at);
                match process.writing.was_committed(decided) {
                    Some(verdicts) => {
                        self.hit(Hit::CommittedAfterAll);
                        self.written(at, batch, verdicts);
                    }
                    None => self.again(at, batch),
                }
            }
            Some((batch, None)) => self.begin(at, batch),
        }
    }

    /// A batch is in the rows: first the file, unless that was done just now, then the answers.
    fn written(&mut self, at: usize, batch: Batch, verdicts: Vec<Verdict>) {
        let now_ms = self.now_ms;
        let process = self.process(at);
        let is_due = process
            .recorded_at_ms
            .is_none_or(|at_ms| now_ms >= at_ms + RECORD_EVERY_MS);
        if is_due && !process.writing.is_recorded() {
            let record = process.writing.record(process.writing.reserved());
            return self.begin_record(at, record, Some((batch, verdicts)));
        }
        self.respond(at, batch, verdicts);
    }

    fn begin_record(&mut self, at: usize, record: Record, then: Option<(Batch, Vec<Verdict>)>) {
        let is_full = self.replicas[at].full_until_ms > self.now_ms;
        let fate = if is_full { Fate::DiskFull } else { Fate::Done };
        let in_ms = self.send_to_disk(at, Durable::File(record.clone()), fate);
        self.does(at, Doing::Recording(record, fate, then), in_ms);
    }

    fn recorded(
        &mut self,
        at: usize,
        record: Record,
        fate: Fate,
        then: Option<(Batch, Vec<Verdict>)>,
    ) {
        let now_ms = self.now_ms;
        let process = self.process(at);
        process.recorded_at_ms = Some(now_ms);
        if fate == Fate::Done {
            process.writing.recorded(record);
        }
        match then {
            Some((batch, verdicts)) => self.respond(at, batch, verdicts),
            None => self.publish(at),
        }
    }

    fn tick_now(&mut self, at: usize) {
        let wall_ms = self.wall_ms(at);
        let process = self.process(at);
        if !process.is_connected {
            return self.connect(at, None);
        }
        let writing = &process.writing;
        if let Some(reserved) = writing.due_reservation(wall_ms) {
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

    fn begin_renewal(&mut self, at: usize, former: Origin) {
        let fresh_epoch = self.rng.bits();
        let process = self.process(at);
        let Some(origin) = process.writing.renew(former, fresh_epoch) else {
            return self.look_for_work(at);
        };
        if !process.is_connected {
            process.renewals.push_back(former);
            return self.connect(at, None);
        }
        let row = Row {
            origin,
            reserved: process.writing.reserved(),
            system_identifier: process.writing.server().system_identifier.clone(),
            timeline: process.writing.server().timeline.clone(),
        };
        let fate = self.fate(at, true);
        let in_ms = self.send_to_disk(at, Durable::Identity(row), fate);
        self.does(at, Doing::Renewing(origin, fate), in_ms);
    }

    fn renewed(&mut self, at: usize, origin: Origin, fate: Fate) {
        if fate != Fate::Done {
            // Who it writes as is in doubt then: it must be started again.
            self.replicas[at].is_exchanged |= fate == Fate::AnswerLost;
            let former = self.process(at).writing.origin();
            let life = self.replicas[at].life;
            self.plan(RENEW_AGAIN_MS, Happening::RenewAgain(at, life, former));
            return self.lose_connection(at);
        }
        self.hit(Hit::Renewed);
        let process = self.process(at);
        process.writing.renewed(origin);
        let record = process.writing.record(process.writing.reserved());
        self.begin_record(at, record, None);
    }

    pub(super) fn publish(&mut self, at: usize) {
        let wall_ms = self.wall_ms(at);
        let replica = &mut self.replicas[at];
        let process = replica.process.as_mut().expect("it runs");
        let head = process.writing.publish(wall_ms);
        replica.promised = replica.promised.max(head.floor);
        let recount = replica.disk.head(head.origin);
        // A database exchanged beneath it is noticed with the next statement.
        let is_recounted = recount.vector == head.vector && recount.hashes == head.hashes;
        if !is_recounted && !replica.is_exchanged {
            let (told, held) = (head.vector.clone(), recount.vector);
            self.violate(|| format!("{} says it holds {told:?}, and holds {held:?}", at + 1));
        }
        self.expect_remembered(at, head.floor, recount.highest);
        self.ring(at, head);
    }

    /// A start begins above every floor that was ever told, whenever the crash comes.
    fn expect_remembered(&mut self, at: usize, floor: Hlc, highest: Hlc) {
        let disk = &self.replicas[at].disk;
        let in_row = disk.identity.as_ref().map(|row| row.reserved);
        let in_file = disk.file.as_ref().map(|file| file.hlc);
        let remembered = in_row.max(in_file).max(Some(highest));
        if Some(floor) > remembered && !self.swarm.loses_state() {
            self.violate(|| format!("{} tells a floor that a crash makes it forget", at + 1));
        }
    }

    fn respond(&mut self, at: usize, batch: Batch, verdicts: Vec<Verdict>) {
        self.publish(at);
        for (asker, verdict) in batch.askers.into_iter().zip(verdicts) {
            match (asker, verdict) {
                (Asker::Client(request), Verdict::Submitted(answer)) => {
                    self.answer_client(at, request, answer);
                }
                (
                    asker,
                    Verdict::Absorbed {
                        stored,
                        missing,
                        forked,
                        unknown_own,
                    },
                ) => {
                    if !missing.is_empty() {
                        self.hit(Hit::Early);
                    }
                    let taken = Taken {
                        stored,
                        missing,
                        forked,
                        unknown_own,
                    };
                    self.absorbed(at, &asker, Some(taken));
                }
                _ => {}
            }
        }
    }

    fn absorbed(&mut self, at: usize, asker: &Asker, taken: Option<Taken>) {
        match *asker {
            Asker::Pull(call) => self.pull_absorbed(at, call, taken),
            Asker::Push(call) => self.push_absorbed(at, call, taken),
            Asker::Client(_) | Asker::Nobody => {}
        }
    }

    fn refuse(&mut self, at: usize, batch: Batch) {
        for asker in batch.askers {
            if let Asker::Client(request) = asker {
                self.fail_client(request);
            }
            self.absorbed(at, &asker, None);
        }
    }
}
