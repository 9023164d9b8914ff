//! The write queue: the work that is not written yet, and the choice of the next batch.
//!
//! Clients' writes do not wait behind a peer's backlog. While clients write, a transaction contains
//! at most one chunk of peers' events beside their writes, and after each chunk of a backlog the
//! queue pauses chunks, which leaves the database and the cores to the clients. While only peers
//! write, their events are taken as fast as the database stores them; so they are while this replica
//! is not ready to serve clients. [`Pace`] decides how long the pauses are. While readers are behind,
//! clients' commands wait after each transaction: see [`throttle`].
//!
//! Among clients, users are served in turn, each in the order of its commands. While several users
//! write, a transaction contains one turn of each of them, so a user's write waits for the
//! transaction of a few commands of another user, however many wait. A user who writes alone fills
//! whole batches.

use std::collections::VecDeque;
use std::time::Duration;

use crate::envelope::RawEvent;
use crate::fairness::{Contention, Turns};
use crate::ids::Origin;
use crate::names::UserId;
use crate::writing::Task;

use super::batch::{Batch, Waiter};
use super::pace::{Backlog, Conditions, Pace};
use super::throttle;

/// Maximum number of local tasks in one transaction, and of peers' chunks in the queue.
pub(super) const MAX_TASKS: usize = 512;
/// Maximum number of peers' events in one transaction while only peers write.
pub(super) const ALONE_EVENTS: usize = 512;
/// Maximum number of peers' events in one task: a few milliseconds for Postgres.
pub(super) const CHUNK_EVENTS: usize = 64;
/// What counts as a backlog, how long clients have precedence, and how they take turns.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// Minimum number of events in a peer's request that counts as a backlog; live traffic has
    /// fewer.
    pub backlog_events: usize,
    /// How long after a client's write peers' events are written chunk by chunk.
    pub shared_for: Duration,
    /// What one user may write in one turn, in rows.
    pub quantum: u32,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            backlog_events: 256,
            shared_for: Duration::from_secs(1),
            quantum: 16,
        }
    }
}

/// Work for the writer. `R` identifies the receiver of the answer.
#[derive(Debug)]
pub enum Work<R> {
    /// Decide and store a task.
    Write {
        /// The task.
        task: Task,
        /// The receiver.
        reply: R,
        /// Number of events in the peer's request that contained this chunk; unused for other
        /// tasks.
        sent_at_once: usize,
    },
    /// Draw a new epoch.
    Renew(Renewal<R>),
}

/// A request for a new epoch.
#[derive(Debug)]
pub struct Renewal<R> {
    /// The origin whose next seq is not safe to issue.
    pub former: Origin,
    /// 32 fresh random bits.
    pub fresh_epoch: u32,
    /// The receiver.
    pub reply: R,
}

/// The batch of the next transaction, and the renewals before it.
pub(super) struct Taken<R> {
    pub renewals: VecDeque<Renewal<R>>,
    pub batch: Batch<R>,
}

pub(super) struct Queue<R> {
    pacing: Pacing,
    /// Clients' commands.
    commands: Turns<UserId, (Task, Waiter<R>)>,
    /// The users who wrote last.
    writers: Contention<UserId>,
    /// All other work except peers' events.
    others: VecDeque<Work<R>>,
    chunks: VecDeque<Chunk<R>>,
    /// When a client's write was last taken.
    client_wrote_at: Option<Duration>,
    conditions: Conditions,
    pace: Pace,
    /// When the backlog chunks in the current transaction were taken, while clients write, and
    /// their events.
    chunk_since: Option<(Duration, usize)>,
    /// The end of the pause for chunks.
    paused_until: Option<Duration>,
    /// Whether the current transaction contains commands.
    has_commands: bool,
    /// Until when commands wait because readers are behind.
    held_until: Option<Duration>,
}

/// A part of a peer's request.
struct Chunk<R> {
    task: Task,
    waiter: Waiter<R>,
}

impl<R> Chunk<R> {
    fn events(&self) -> usize {
        match &self.task {
            Task::Absorb { events, .. } => events.len(),
            _ => 0,
        }
    }
}

impl<R> Queue<R> {
    pub fn new(pacing: Pacing) -> Self {
        Self {
            commands: Turns::new(pacing.quantum),
            writers: Contention::default(),
            pacing,
            others: VecDeque::new(),
            chunks: VecDeque::new(),
            client_wrote_at: None,
            conditions: Conditions::default(),
            pace: Pace::default(),
            chunk_since: None,
            paused_until: None,
            has_commands: false,
            held_until: None,
        }
    }

    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    pub fn push(&mut self, work: Work<R>) {
        match work {
            Work::Write {
                task: task @ Task::Absorb { .. },
                reply,
                sent_at_once,
            } => {
                let waiter = Waiter {
                    reply,
                    sent_at_once,
                };
                self.chunks.push_back(Chunk { task, waiter });
            }
            Work::Write {
                task: Task::Submit(command),
                reply,
                ..
            } => {
                let waiter = Waiter {
                    reply,
                    sent_at_once: 0,
                };
                let (user, cost) = (command.user().clone(), command.cost());
                let item = (Task::Submit(command), waiter);
                self.commands.push(user, cost, item);
            }
            work => self.others.push_back(work),
        }
    }

    pub fn len(&self) -> usize {
        self.commands.len() + self.others.len() + self.chunks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The free capacity for work other than commands, which the caller bounds. It holds back
    /// further work.
    pub fn room(&self) -> usize {
        MAX_TASKS.saturating_sub(self.others.len() + self.chunks.len())
    }

    /// The number of commands in the queue.
    pub fn commands(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is work other than chunks that may be taken now.
    fn has_local(&self, now: Duration) -> bool {
        !self.others.is_empty() || (!self.commands.is_empty() && !self.holds_commands(now))
    }

    fn holds_commands(&self, now: Duration) -> bool {
        self.held_until.is_some_and(|end| now < end)
    }

    /// Whether there is work that does not wait for the end of a pause. If `is_closed`, no more
    /// work arrives, and a pause is pointless.
    pub fn is_ready(&mut self, now: Duration, is_closed: bool) -> bool {
        if is_closed || !self.holds_commands(now) {
            self.held_until = None;
        }
        if self.is_pausing(now) && (is_closed || self.paused_until.is_some_and(|end| end <= now)) {
            self.paused_until = None;
        }
        self.has_local(now) || (!self.chunks.is_empty() && !self.is_pausing(now))
    }

    /// When the next piece of work may be taken, if all of it waits for a time.
    pub fn wakes_at(&self) -> Option<Duration> {
        let is_command_free = !self.commands.is_empty() && self.held_until.is_none();
        if is_command_free || !self.others.is_empty() {
            return None;
        }
        let has_chunks = !self.chunks.is_empty() && self.len() < MAX_TASKS;
        let chunks = self.paused_until.filter(|_| has_chunks);
        let commands = self.held_until.filter(|_| !self.commands.is_empty());
        chunks.into_iter().chain(commands).min()
    }

    fn is_pausing(&self, now: Duration) -> bool {
        self.paused_until.is_some() && !self.has_local(now) && self.len() < MAX_TASKS
    }

    /// Takes the work of the next transaction.
    pub fn take(&mut self, now: Duration) -> Taken<R> {
        let mut taken = self.take_local(now);
        let is_paused = self.paused_until.is_some_and(|end| now < end);
        if is_paused && !(taken.batch.is_empty() && taken.renewals.is_empty()) {
            return taken;
        }
        let is_shared = self.is_shared(now);
        self.paused_until = None;
        let room = if is_shared {
            self.pace.room()
        } else {
            ALONE_EVENTS
        };
        let of_backlog = self.take_chunks(room, &mut taken.batch);
        if is_shared && of_backlog > 0 {
            self.chunk_since = Some((now, of_backlog));
        }
        taken
    }

    fn take_local(&mut self, now: Duration) -> Taken<R> {
        let count = (self.commands.len() + self.others.len()).min(MAX_TASKS);
        let mut taken = Taken {
            renewals: VecDeque::new(),
            batch: Batch::with_capacity(count),
        };
        for work in self.others.drain(..self.others.len().min(MAX_TASKS)) {
            match work {
                Work::Renew(renewal) => taken.renewals.push_back(renewal),
                Work::Write { task, reply, .. } => {
                    let waiter = Waiter {
                        reply,
                        sent_at_once: 0,
                    };
                    taken.batch.push(task, waiter);
                }
            }
        }
        self.take_commands(now, &mut taken.batch);
        taken
    }

    /// Moves commands into a batch: while several users write, one turn of each of them.
    fn take_commands(&mut self, now: Duration, batch: &mut Batch<R>) {
        if self.commands.is_empty() || self.holds_commands(now) {
            return;
        }
        self.held_until = None;
        self.has_commands = true;
        self.client_wrote_at = Some(now);
        let is_contended = self.commands.users() > 1 || self.writers.is_contended(now);
        let room = MAX_TASKS.saturating_sub(batch.tasks.len()).max(1);
        let writers = &mut self.writers;
        self.commands
            .take(room, is_contended, |user, (task, waiter)| {
                writers.note(now, user);
                batch.push(task, waiter);
            });
    }

    /// Takes the work of the next transaction, if that is a peer's backlog alone.
    pub fn take_backlog(&mut self, now: Duration) -> Option<Batch<R>> {
        if !self.is_of_backlog(self.chunks.front()?) || !self.has_only_peers(now) {
            return None;
        }
        let mut batch = Batch::with_capacity(0);
        self.take_chunks(ALONE_EVENTS, &mut batch);
        Some(batch)
    }

    /// Returns a batch of [`Queue::take_backlog`] to its place.
    pub fn put_back(&mut self, batch: Batch<R>) {
        for (task, waiter) in batch.into_tasks().rev() {
            self.chunks.push_front(Chunk { task, waiter });
        }
    }

    /// Whether only peers write now.
    pub fn has_only_peers(&self, now: Duration) -> bool {
        !self.has_local(now) && self.paused_until.is_none() && !self.is_shared(now)
    }

    fn is_shared(&self, now: Duration) -> bool {
        let is_recent = |at: Duration| now < at + self.pacing.shared_for;
        self.conditions.backlog != Backlog::First && self.client_wrote_at.is_some_and(is_recent)
    }

    fn is_of_backlog(&self, chunk: &Chunk<R>) -> bool {
        chunk.waiter.sent_at_once >= self.pacing.backlog_events
    }

    /// Moves chunks into a batch. Returns the number of events that belong to a backlog.
    fn take_chunks(&mut self, mut room: usize, batch: &mut Batch<R>) -> usize {
        let (mut is_first, mut of_backlog) = (true, 0);
        while let Some(chunk) = self
            .chunks
            .pop_front_if(|chunk| is_first || chunk.events() <= room)
        {
            is_first = false;
            if self.is_of_backlog(&chunk) {
                of_backlog += chunk.events();
            }
            room = room.saturating_sub(chunk.events());
            batch.push(chunk.task, chunk.waiter);
        }
        of_backlog
    }

    /// Notes the end of the transaction. Pauses chunks if it contained some of a backlog, and holds
    /// commands if it contained some and readers are behind.
    pub fn written(&mut self, now: Duration) {
        let Conditions { lag, max_lag, .. } = self.conditions;
        if std::mem::take(&mut self.has_commands) {
            let wait = throttle::wait(lag, max_lag);
            self.held_until = Some(now + wait).filter(|_| !wait.is_zero());
        }
        if let (Some((since, events)), Backlog::AtLeast(per_s)) =
            (self.chunk_since.take(), self.conditions.backlog)
        {
            self.paused_until = Some(now + self.pace.stored(per_s, events, since, now));
        }
    }

    /// Empties the queue. Returns the receivers.
    pub fn drain(&mut self) -> impl Iterator<Item = R> {
        let others = self.others.drain(..).map(|work| match work {
            Work::Write { reply, .. } | Work::Renew(Renewal { reply, .. }) => reply,
        });
        let commands = self.commands.drain().map(|(_, waiter)| waiter.reply);
        let chunks = self.chunks.drain(..).map(|chunk| chunk.waiter.reply);
        others.chain(commands).chain(chunks)
    }
}

/// Splits a peer's events into chunks that are written in order; at least one.
pub fn chunks(mut events: Vec<RawEvent>) -> Vec<Vec<RawEvent>> {
    let mut chunks = Vec::new();
    while events.len() > CHUNK_EVENTS {
        let rest = events.split_off(CHUNK_EVENTS);
        chunks.push(std::mem::replace(&mut events, rest));
    }
    chunks.push(events);
    chunks
}

#[cfg(test)]
mod tests;
