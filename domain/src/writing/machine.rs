//! The one writer as a machine: `step(now, input) -> effects`.
//!
//! It decides what is written next and with what else, what a failure means, whom to answer when, and
//! what is promised. It knows no database, file, clock or task. The store's `log/writer` carries its
//! effects out; the simulator does so too, with crashes between any two of them.
//!
//! At most one statement runs at a time, and at most one write of the file beside the database. A batch
//! is answered after its rows are committed, and after the file shows that.

mod attempt;
mod batch;
mod effect;
mod file;
mod pipeline;
mod queue;
mod session;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

pub use effect::{
    Effect, Input, Insertion, Now, Session, Statement, StatementFailure, WriteFailure,
};
pub use queue::{Pacing, Renewal, Work, chunks};

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

/// The writer. `R` stands for whoever waits for an answer.
pub struct Machine<R> {
    writing: Writing,
    queue: Queue<R>,
    /// New epochs that were taken from the queue.
    renewals: VecDeque<Renewal<R>>,
    /// Batches that were taken from the queue: written after the renewals, in this order.
    batches: VecDeque<Batch<R>>,
    /// What is written next where nothing comes in between.
    pipelined: Option<Pipelined<R>>,
    /// While a batch is being inserted: the next one may be decided.
    may_pipeline: bool,
    state: State<R>,
    file: File,
    is_connected: bool,
    /// Nobody is left who could ask for anything.
    is_closed: bool,
    next_tick: Duration,
    /// When the database last took a reservation; nothing where it has still to prove that it does.
    reserved_at: Option<Duration>,
    /// Of the step under way.
    now: Now,
    effects: Vec<Effect<R>>,
}

/// What the writer waits for.
enum State<R> {
    /// For work, or the next tick.
    Idle,
    /// For a session.
    Connecting(Connecting<R>),
    /// For the next attempt to get one.
    Pausing(Connecting<R>, Duration),
    /// For what a batch must be decided on.
    Reading(Batch<R>),
    /// For the commit of a batch.
    Inserting(Batch<R>, Decided),
    /// For a reservation: the last one before the end, or one that keeps the closed timestamp rising.
    Reserving { reserved: Hlc, is_last: bool },
    /// For a new epoch in the identity row.
    Renewing(Origin, R),
    /// For the file beside the database, until then.
    Recording(AfterFile<R>, Duration),
    /// For nothing any more.
    Ended,
}

impl<R> Machine<R> {
    /// Begins with a session on the database, the identity row and the file written.
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

    /// Puts work into the queue; the next step looks at it. Bounded by [`Machine::room`].
    pub fn accept(&mut self, work: Work<R>) {
        self.queue.push(work);
    }

    /// How much more work is accepted now.
    pub fn room(&self) -> usize {
        self.queue.room()
    }

    /// Tells whether new work could change what happens next: otherwise it may wait with whoever
    /// brings it until something else has happened.
    pub fn wants_work(&self) -> bool {
        let is_of_use = match self.state {
            State::Idle => true,
            State::Inserting(..) => self.may_pipeline,
            _ => false,
        };
        is_of_use && self.queue.room() > 0
    }

    /// When [`Input::Woken`] is due; a moment that has passed means at once.
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

    /// What is held, as far as it is committed.
    pub fn head(&self) -> &Head {
        self.writing.head()
    }

    /// Who is written as.
    pub fn origin(&self) -> Origin {
        self.writing.origin()
    }

    /// Tells whether nothing is under way and nothing waits.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.queue.is_empty()
    }

    /// How many tasks and renewals wait in the queue.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many tasks the statement under way is for.
    pub fn tasks_under_way(&self) -> usize {
        match &self.state {
            State::Reading(batch) | State::Inserting(batch, _) => batch.tasks.len(),
            _ => 0,
        }
    }

    /// Tells whether a batch is decided while the one before it is being inserted.
    pub fn is_pipelining(&self) -> bool {
        self.pipelined.is_some()
    }

    /// Takes in what has happened; adds to `effects` what is to be done, in this order.
    pub fn step(&mut self, now: Now, input: Input, effects: &mut Vec<Effect<R>>) {
        self.now = now;
        mem::swap(&mut self.effects, effects);
        self.take_in(input);
        while matches!(self.state, State::Idle) && self.go_on() {}
        if matches!(self.state, State::Ended) {
            self.fail_all_that_wait();
            self.effects.push(Effect::End);
        }
        mem::swap(&mut self.effects, effects);
    }

    fn take_in(&mut self, input: Input) {
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
                self.lose_patience_with_the_file(then);
            }
            state => self.state = state,
        }
    }

    /// Begins what is next; tells whether there was something.
    fn go_on(&mut self) -> bool {
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
            self.go_on_with(pipelined);
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

    /// Tells everybody what is held now, with a fresh closed timestamp.
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

    fn fail_all_that_wait(&mut self) {
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
