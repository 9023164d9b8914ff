//! The log's single writer as a state machine: `step(now, input) -> effects`.
//!
//! It forms batches, handles failures, and decides when a batch is answered and which closed
//! timestamp is promised. It knows no database, file, clock or task. The store's `log/writer`
//! executes its effects; so does the simulator, with a crash between any two of them.
//!
//! At most one statement and at most one write of the file beside the database run at a time. A
//! batch is answered after its rows are committed and the file has recorded the commit.

mod attempt;
mod batch;
mod effect;
mod file;
mod pace;
mod pipeline;
mod queue;
mod session;
#[cfg(test)]
mod tests;
mod throttle;
mod upkeep;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

pub use effect::{
    Effect, Input, Insertion, Now, Session, Statement, StatementFailure, WriteFailure,
};
pub use pace::{Backlog, Conditions};
pub use queue::{Pacing, Renewal, Work, chunks};

pub use throttle::Gate;

use super::{Decided, Head, Writing};
use crate::hlc::Hlc;
use crate::ids::Origin;
use batch::Batch;
use file::{AfterFile, File};
use pipeline::Pipelined;
use queue::Queue;
use session::Connecting;

/// How often an idle writer raises the closed timestamp.
const IDLE_TICK: Duration = Duration::from_millis(500);

/// The writer. `R` identifies the receiver of an answer.
pub struct Machine<R> {
    writing: Writing,
    queue: Queue<R>,
    /// Renewals taken from the queue.
    renewals: VecDeque<Renewal<R>>,
    /// Batches taken from the queue, in order. They are written after the renewals.
    batches: VecDeque<Batch<R>>,
    /// The pipelined batch, which is written next unless more urgent work arrives.
    pipelined: Option<Pipelined<R>>,
    /// Whether the next batch may be decided while one is being inserted.
    may_pipeline: bool,
    state: State<R>,
    file: File,
    is_connected: bool,
    /// Whether no more work will be accepted.
    is_closed: bool,
    next_tick: Duration,
    /// When the database last stored a reservation; `None` until a new session has stored one.
    reserved_at: Option<Duration>,
    /// The time of the current step.
    now: Now,
    effects: Vec<Effect<R>>,
}

/// The event for which the writer waits.
enum State<R> {
    /// Work, or the next tick.
    Idle,
    /// A session.
    Connecting(Connecting<R>),
    /// The time of the next attempt to connect.
    Pausing(Connecting<R>, Duration),
    /// The rows that a batch needs.
    Reading(Batch<R>),
    /// The commit of a batch.
    Inserting(Batch<R>, Decided),
    /// The commit of a reservation: the last one before the end, or one for the closed timestamp.
    Reserving { reserved: Hlc, is_last: bool },
    /// The commit of a new epoch to the identity row.
    Renewing(Origin, R),
    /// The write of the file beside the database, until a deadline.
    Recording(AfterFile<R>, Duration),
    /// Nothing; the machine has ended.
    Ended,
}

impl<R> Machine<R> {
    /// Starts with a session on the database. The identity row and the file must be written.
    pub fn new(now: Now, writing: Writing, pacing: Pacing) -> Self {
        Self {
            writing,
            queue: Queue::new(pacing),
            renewals: VecDeque::new(),
            batches: VecDeque::new(),
            pipelined: None,
            may_pipeline: false,
            state: State::Idle,
            file: File::default(),
            is_connected: true,
            is_closed: false,
            next_tick: now.since_start,
            reserved_at: Some(now.since_start),
            now,
            effects: Vec::new(),
        }
    }

    /// Puts work into the queue, for the next step. The caller bounds the waiting commands, and
    /// respects [`Machine::room`] with other work.
    pub fn accept(&mut self, work: Work<R>) {
        self.queue.push(work);
    }

    /// The free capacity of the queue for work other than commands.
    pub fn room(&self) -> usize {
        self.queue.room()
    }

    /// Whether new work could change the next step. Otherwise the caller may hold it back until
    /// another input has been handled.
    pub fn wants_work(&self) -> bool {
        match self.state {
            State::Idle => true,
            State::Inserting(..) => self.may_pipeline,
            _ => false,
        }
    }

    /// When [`Input::Woken`] is due; a time in the past means immediately.
    pub fn next_wake(&self) -> Option<Duration> {
        match &self.state {
            State::Idle => {
                let paused = self.queue.wakes_at();
                Some(paused.map_or(self.next_tick, |end| end.min(self.next_tick)))
            }
            State::Inserting(..) if self.may_pipeline && !self.queue.is_empty() => {
                Some(self.queue.wakes_at().unwrap_or_default())
            }
            State::Pausing(_, until) | State::Recording(_, until) => Some(*until),
            _ => None,
        }
    }

    /// Sets what concerns the pace from the next step on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.queue.set_conditions(conditions);
    }

    /// The head of the log at the last commit.
    pub fn head(&self) -> &Head {
        self.writing.head()
    }

    /// The origin of own events.
    pub fn origin(&self) -> Origin {
        self.writing.origin()
    }

    /// Whether nothing is in flight or queued.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.queue.is_empty()
    }

    /// The number of tasks and renewals in the queue.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The number of clients' commands in the queue.
    pub fn waiting_commands(&self) -> usize {
        self.queue.commands()
    }

    /// The number of tasks in the batch that is being read for or inserted.
    pub fn tasks_under_way(&self) -> usize {
        match &self.state {
            State::Reading(batch) | State::Inserting(batch, _) => batch.tasks.len(),
            _ => 0,
        }
    }

    /// Whether a pipelined batch waits for the insertion of the previous one.
    pub fn is_pipelining(&self) -> bool {
        self.pipelined.is_some()
    }

    /// Handles an input and appends the effects to execute, in order.
    pub fn step(&mut self, now: Now, input: Input, effects: &mut Vec<Effect<R>>) {
        self.now = now;
        mem::swap(&mut self.effects, effects);
        self.handle(input);
        while matches!(self.state, State::Idle) && self.start_next() {}
        if matches!(self.state, State::Ended) {
            self.fail_all_waiting();
            self.effects.push(Effect::End);
        }
        mem::swap(&mut self.effects, effects);
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Woken => self.woken(),
            Input::Closed => self.is_closed = true,
            Input::Connected(session) => self.connected(session),
            Input::Read(needs, found) => self.read(&needs, found),
            Input::Inserted(insertion, outcome) => self.inserted(insertion, outcome),
            Input::Reserved(outcome) => self.reserved(outcome),
            Input::IdentityStored(outcome) => self.renewed(outcome),
            Input::Recorded(is_written) => self.recorded(is_written),
        }
    }

    fn woken(&mut self) {
        match self.take_state() {
            State::Inserting(batch, decided) => {
                self.pipeline(&decided);
                self.state = State::Inserting(batch, decided);
            }
            State::Pausing(connecting, until) if until <= self.now.since_start => {
                self.try_to_connect(connecting);
            }
            State::Recording(then, until) if until <= self.now.since_start => {
                self.time_out_file(then);
            }
            state => self.state = state,
        }
    }

    /// Starts the next piece of work. Returns whether there was one.
    fn start_next(&mut self) -> bool {
        if let Some(renewal) = self.renewals.pop_front() {
            self.renew(renewal);
            return true;
        }
        if let Some(batch) = self.batches.pop_front() {
            self.admit(batch);
            return true;
        }
        let now = self.now.since_start;
        self.queue.written(now);
        if self.next_tick <= now {
            self.tick();
        } else if let Some(pipelined) = self.pipelined.take() {
            self.insert_pipelined(pipelined);
        } else if self.queue.is_ready(now, self.is_closed) {
            let taken = self.queue.take(now);
            self.renewals = taken.renewals;
            self.batches
                .extend(Some(taken.batch).filter(|it| !it.is_empty()));
        } else if self.is_closed {
            self.finish();
        } else {
            return false;
        }
        true
    }

    /// Publishes the head, with a new closed timestamp.
    fn publish(&mut self) -> Arc<Head> {
        let head = Arc::new(self.writing.publish(self.now.time.order_ms));
        self.effects.push(Effect::Publish(Arc::clone(&head)));
        head
    }

    fn run(&mut self, statement: Statement, state: State<R>) {
        self.effects.push(Effect::Run(statement));
        self.state = state;
    }

    fn fail(&mut self, reply: R, why: WriteFailure) {
        self.effects.push(Effect::Fail { reply, why });
    }

    fn take_state(&mut self) -> State<R> {
        mem::replace(&mut self.state, State::Idle)
    }

    fn fail_all_waiting(&mut self) {
        let batches = self
            .batches
            .drain(..)
            .chain(self.pipelined.take().map(|it| it.batch));
        let taken = batches.flat_map(Batch::into_replies);
        let renewals = self.renewals.drain(..).map(|renewal| renewal.reply);
        let replies = renewals.chain(taken).chain(self.queue.drain());
        let why = WriteFailure::Unavailable;
        self.effects
            .extend(replies.map(|reply| Effect::Fail { reply, why }));
    }
}
