//! Carries out the effects of the writer's machine, statement by statement. Each may fail, lose its
//! answer, or be interrupted by a crash.

mod answers;
mod durable;

use std::time::Duration;

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::Origin;
use causeway_domain::writing::machine::{
    Effect, Input, Insertion, Machine, Now, Pacing, Renewal, Session, Statement, StatementFailure,
    Work,
};
use causeway_domain::writing::{Head, Record, Task};

use crate::disk::Durable;
use crate::hits::Hit;
use crate::replica::{Asker, Doing, Fate, Process, Waiter};

use super::{Happening, World};

const RENEW_AGAIN_MS: u64 = 1_000;
/// Turns are short, so that users wait for each other. Runs are short, so every batch of peers counts as a backlog and may be decided while a batch of
/// clients is being inserted.
pub(super) const PACING: Pacing = Pacing {
    backlog_events: 0,
    shared_for: Duration::ZERO,
    quantum: 1,
};

impl World {
    fn process(&mut self, at: usize) -> &mut Process {
        let process = self.replicas[at].process.as_mut();
        process.expect("happenings of a process require that it runs")
    }

    /// Submits a task to the writer.
    pub(super) fn hand_over(&mut self, at: usize, task: Task, asker: Asker) {
        let work = Work::Write {
            task,
            reply: Waiter::Task(asker),
            sent_at_once: 1,
        };
        self.accept(at, work);
    }

    /// Asks for a new epoch.
    pub(super) fn renew(&mut self, at: usize, former: Origin) {
        let renewal = Renewal {
            former,
            fresh_epoch: self.rng.bits(),
            reply: Waiter::Renewal(former),
        };
        self.accept(at, Work::Renew(renewal));
    }

    fn accept(&mut self, at: usize, work: Work<Waiter>) {
        if let Some(machine) = self.process(at).writer.machine_mut() {
            machine.accept(work);
            self.drive(at, Input::Woken);
        }
    }

    pub(super) fn wake_writer(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let wakes_ms = &mut self.process(at).wakes_ms;
        if wakes_ms.take_if(|wakes_ms| *wakes_ms <= now_ms).is_some() {
            self.drive(at, Input::Woken);
        }
    }

    /// The current time as the writer of a replica sees it.
    pub(super) fn moment(&mut self, at: usize) -> Now {
        Now {
            since_start: Duration::from_millis(self.now_ms),
            time: self.time(at),
        }
    }

    /// Passes an input to the writer's machine and carries out its effects.
    pub(super) fn drive(&mut self, at: usize, input: Input) {
        let now = self.moment(at);
        let Some(machine) = self.process(at).writer.machine_mut() else {
            return;
        };
        let is_settling = matches!(input, Input::Connected(_));
        let was_pipelining = machine.is_pipelining();
        let mut effects = Vec::new();
        machine.step(now, input, &mut effects);
        let is_pipelining = machine.is_pipelining();
        self.note_pipelining(was_pipelining, is_pipelining, &effects);
        let is_committed = |effect: &Effect<_>| matches!(effect, Effect::Committed(_));
        if is_settling && effects.iter().any(is_committed) {
            self.hit(Hit::CommittedAfterAll);
        }
        for effect in effects {
            self.carry_out(at, effect);
        }
        self.plan_wake(at);
    }

    fn note_pipelining(&mut self, was: bool, is: bool, effects: &[Effect<Waiter>]) {
        let is_inserted = effects.iter().any(|effect| match effect {
            Effect::Run(Statement::Insert(insertion)) => insertion.is_pipelined,
            _ => false,
        });
        match (was, is) {
            (false, true) => self.hit(Hit::DecidedAhead),
            (true, false) if !is_inserted => self.hit(Hit::AheadFell),
            _ => {}
        }
    }

    fn plan_wake(&mut self, at: usize) {
        let (now_ms, life) = (self.now_ms, self.replicas[at].life);
        let process = self.process(at);
        let wakes = process.writer.machine().and_then(Machine::next_wake);
        let wakes_ms = wakes.map(|at| u64::try_from(at.as_millis()).expect("runs are short"));
        if process.wakes_ms != wakes_ms {
            process.wakes_ms = wakes_ms;
            if let Some(wakes_ms) = wakes_ms {
                let in_ms = wakes_ms.saturating_sub(now_ms);
                self.plan(in_ms, Happening::WriterWakes(at, life));
            }
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect<Waiter>) {
        match effect {
            Effect::Run(statement) => self.run_statement(at, statement),
            Effect::Record(record) => self.record(at, record),
            Effect::Publish(head) => self.published(at, &head),
            Effect::Answer { reply, verdict, .. } => self.answer_waiter(at, reply, verdict),
            Effect::Fail { reply, why } => self.fail_waiter(at, reply, why),
            Effect::FileIsStuck(is_stuck) => {
                let head = self.process(at).writer.head();
                let own = head.vector.get(head.origin);
                self.replicas[at].stuck_at = is_stuck.then_some(own);
            }
            Effect::DatabaseReplaced(not_ours) => {
                self.hit(Hit::RestoredBeneath);
                self.note(format_args!("{} {not_ours}", at + 1));
                let replica = &self.replicas[at];
                let (life, is_exchanged) = (replica.life, replica.is_exchanged);
                self.plan(2_000, Happening::Restart(at, life));
                self.process(at).is_cut_off = true;
                if !is_exchanged && at < self.size {
                    self.violate(|| format!("{} does not know its own database", at + 1));
                }
            }
            Effect::Committed(_) | Effect::End => {}
        }
    }

    fn does(&mut self, at: usize, doing: Doing, in_ms: u64) {
        let life = self.replicas[at].life;
        self.process(at).doing = doing;
        self.plan(in_ms, Happening::Writer(at, life));
        self.may_die_within(at, in_ms);
    }

    fn may_die_within(&mut self, at: usize, in_ms: u64) {
        let life = self.replicas[at].life;
        if std::mem::take(&mut self.replicas[at].is_doomed) {
            let dies_ms = self.rng.below(in_ms + 2);
            self.plan(dies_ms, Happening::Dies(at, life));
        }
    }

    fn run_statement(&mut self, at: usize, statement: Statement) {
        match statement {
            Statement::Connect { .. } => {
                let in_ms = self.rng.between(1, 20);
                self.does(at, Doing::Connecting, in_ms);
            }
            Statement::Read(needs) => {
                let in_ms = self.rng.below(3);
                self.does(at, Doing::Reading(needs), in_ms);
            }
            Statement::Insert(insertion) => self.insert(at, insertion),
            Statement::Reserve { reserved, .. } => {
                let fate = self.fate_in_session(at);
                let in_ms = self.send_to_disk(at, Durable::Reservation(reserved), fate);
                self.does(at, Doing::Reserving(fate), in_ms);
            }
            Statement::StoreIdentity(row) => {
                let fate = self.fate_in_session(at);
                let in_ms = self.send_to_disk(at, Durable::Identity(row), fate);
                self.does(at, Doing::Renewing(fate), in_ms);
            }
        }
    }

    fn insert(&mut self, at: usize, insertion: Insertion) {
        let rows = insertion.rows.clone();
        let mut fate = self.fate_in_session(at);
        let replica = &self.replicas[at];
        let refuses = replica.refuses.as_ref();
        let is_refused = refuses.is_some_and(|id| rows.iter().any(|r| r.event.envelope.id == *id));
        let unmet = insertion.unmet.as_ref();
        let is_known = unmet.is_some_and(|needs| {
            let found = replica.disk.facts(needs);
            !(found.sequences.is_empty() && found.keys.is_empty())
        });
        fate = match fate {
            Fate::Done if is_known => Fate::NotNew,
            Fate::AnswerLost if is_known => Fate::Failed,
            Fate::Done | Fate::AnswerLost | Fate::DiskFull if is_refused => {
                self.hit(Hit::Unstorable);
                Fate::Rejected
            }
            fate => fate,
        };
        let process = self.process(at);
        let tasks = process.writer.machine().map_or(0, Machine::tasks_under_way);
        let machine = process.writer.machine();
        if machine.is_some_and(|machine| machine.waiting_commands() > 0) {
            self.hit(Hit::TookTurns);
        }
        if tasks > 1 {
            self.hit(Hit::GroupCommit);
            if fate == Fate::Rejected {
                self.hit(Hit::SplitBatch);
            }
        }
        let in_ms = self.send_to_disk(at, Durable::Rows(rows), fate);
        self.does(at, Doing::Inserting(insertion, fate), in_ms);
    }

    fn record(&mut self, at: usize, record: Record) {
        let replica = &self.replicas[at];
        let is_stuck = replica.full_until_ms.max(replica.stuck_until_ms) > self.now_ms;
        let fate = if is_stuck { Fate::Failed } else { Fate::Done };
        let in_ms = self.send_to_disk(at, Durable::File(record), fate);
        let life = self.replicas[at].life;
        self.process(at).recording = Some(fate);
        self.plan(in_ms, Happening::FileEnds(at, life));
        self.may_die_within(at, in_ms);
    }

    pub(super) fn file_ends(&mut self, at: usize) {
        if let Some(fate) = self.process(at).recording.take() {
            self.drive(at, Input::Recorded(fate == Fate::Done));
        }
    }

    pub(super) fn writer_goes_on(&mut self, at: usize) {
        let doing = std::mem::replace(&mut self.process(at).doing, Doing::Nothing);
        let input = match doing {
            Doing::Nothing => return,
            Doing::Starting => return self.start_goes_on(at),
            Doing::Connecting => Input::Connected(self.new_session(at)),
            Doing::Reading(needs) => {
                let fate = self.fate(at, false);
                let found = self.outcome(at, fate);
                let found = found.map(|_| self.replicas[at].disk.facts(&needs));
                Input::Read(needs, found)
            }
            Doing::Inserting(insertion, fate) => {
                if fate == Fate::AnswerLost {
                    self.hit(Hit::AnswerLost);
                }
                Input::Inserted(insertion, self.outcome(at, fate))
            }
            Doing::Reserving(fate) => {
                let outcome = self.outcome(at, fate);
                if outcome.is_ok() {
                    self.hit(Hit::Reserved);
                }
                Input::Reserved(outcome.map(drop))
            }
            Doing::Renewing(fate) => Input::IdentityStored(self.outcome(at, fate).map(drop)),
        };
        self.drive(at, input);
    }

    /// Returns whether a statement had its effect. A failure, or the exchange of the database, ends
    /// the session.
    fn outcome(&mut self, at: usize, fate: Fate) -> Result<bool, StatementFailure> {
        let has_session = &mut self.process(at).has_session;
        let outcome = match fate {
            _ if !*has_session => Err(StatementFailure::Lost),
            Fate::Done => Ok(true),
            Fate::NotNew => Ok(false),
            Fate::Failed | Fate::AnswerLost => Err(StatementFailure::Lost),
            Fate::DiskFull => Err(StatementFailure::DiskFull),
            Fate::Rejected => Err(StatementFailure::Rejected),
        };
        *has_session = outcome.is_ok();
        outcome
    }

    fn new_session(&mut self, at: usize) -> Option<Session> {
        if self.fate(at, false) != Fate::Done {
            return None;
        }
        // The lock is released only when the former session has ended.
        self.land(at);
        self.process(at).has_session = true;
        let replica = &self.replicas[at];
        let origin = replica.origin()?;
        Some(Session {
            server: replica.disk.server.clone(),
            row: replica.disk.identity.clone(),
            head: replica.disk.head(origin),
        })
    }

    /// Checks the published head against the rows, and sends the commit signal.
    fn published(&mut self, at: usize, head: &std::sync::Arc<Head>) {
        let replica = &mut self.replicas[at];
        replica.promised = replica.promised.max(head.closed_ts);
        let recount = replica.disk.head(head.origin);
        // The process detects an exchanged database only at the next statement.
        let is_recounted = recount.vector == head.vector
            && recount.hashes == head.hashes
            && recount.highest == head.highest;
        if !is_recounted && !replica.is_exchanged {
            let (told, held) = (head.vector.clone(), recount.vector);
            self.violate(|| format!("{} reports the vector {told:?}, and holds {held:?}", at + 1));
        }
        self.expect_remembered(at, head.closed_ts, recount.highest);
        self.signal_commit(at, std::sync::Arc::clone(head));
    }

    /// Checks that after a crash at any time, a start begins above every reported closed timestamp.
    fn expect_remembered(&mut self, at: usize, closed_ts: Hlc, highest: Hlc) {
        let disk = &self.replicas[at].disk;
        let in_row = disk.identity.as_ref().map(|row| row.reserved);
        let in_file = disk.file.as_ref().map(|file| file.hlc);
        let remembered = in_row.max(in_file).max(Some(highest));
        if Some(closed_ts) > remembered && !self.swarm.loses_state() {
            self.violate(|| format!("{} reports a closed timestamp before it is durable", at + 1));
        }
    }
}
