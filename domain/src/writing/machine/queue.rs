//! The write queue: what has come and is not written yet, and what is written next.
//!
//! What people write does not wait behind a peer's backlog. While people write, a transaction takes
//! one chunk of what peers sent beside their writes, and after each chunk of a backlog the database and
//! the cores are left to the people for a while. When only peers write, their events are taken as fast
//! as the database stores them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::envelope::RawEvent;
use crate::ids::Origin;
use crate::writing::Task;

use super::batch::{Batch, Waiter};

/// Most tasks in one transaction, and in the queue.
pub(super) const MOST_TASKS: usize = 512;
/// Most events of peers in one transaction while only peers write.
const ALONE_EVENTS: usize = 512;
/// Most events of peers in one task: some milliseconds for Postgres.
const CHUNK_EVENTS: usize = 64;
/// Pause after each backlog chunk, as a multiple of its transaction time. Without a pause the p99 of a
/// post while 100,000 events were caught up with was 18 ms instead of 7, on two cores; with twice the
/// time it was three times that of quiet hours.
const PAUSE_FACTOR: u32 = 3;
/// The longest pause: a database that hardly answers has other reasons.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What is taken for a backlog, and for how long people have precedence.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// A peer that sends at least so many events at once sends a backlog: live traffic comes in fewer.
    pub backlog_events: usize,
    /// How long after a person wrote peers are served chunk by chunk.
    pub shared_for: Duration,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            backlog_events: 256,
            shared_for: Duration::from_secs(1),
        }
    }
}

/// What the writer is asked for. `R` stands for whoever waits for the answer.
#[derive(Debug)]
pub enum Work<R> {
    /// Decide and store a task.
    Write {
        /// The task.
        task: Task,
        /// Who waits.
        reply: R,
        /// With how many events the peer sent this chunk at once; of no meaning for other tasks.
        sent_at_once: usize,
    },
    /// Draw a new epoch.
    Renew(Renewal<R>),
}

/// A new epoch that is asked for.
#[derive(Debug)]
pub struct Renewal<R> {
    /// The origin whose numbers are no longer safe to give.
    pub former: Origin,
    /// 32 fresh random bits.
    pub fresh_epoch: u32,
    /// Who waits.
    pub reply: R,
}

/// What one transaction writes, and the new epochs that are drawn before it.
pub(super) struct Taken<R> {
    pub renewals: VecDeque<Renewal<R>>,
    pub batch: Batch<R>,
}

pub(super) struct Queue<R> {
    pacing: Pacing,
    /// All but what peers sent.
    local: VecDeque<Work<R>>,
    chunks: VecDeque<Chunk<R>>,
    /// When a person's write was last taken.
    person_wrote_at: Option<Duration>,
    /// Since when a chunk of a backlog is being written beside people's writes.
    chunk_since: Option<Duration>,
    /// Until when chunks wait.
    paused_until: Option<Duration>,
}

/// A part of what a peer sent.
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
            pacing,
            local: VecDeque::new(),
            chunks: VecDeque::new(),
            person_wrote_at: None,
            chunk_since: None,
            paused_until: None,
        }
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
            work => self.local.push_back(work),
        }
    }

    pub fn len(&self) -> usize {
        self.local.len() + self.chunks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much more may be pushed: the rest waits with whoever brings it.
    pub fn room(&self) -> usize {
        MOST_TASKS.saturating_sub(self.len())
    }

    /// Tells whether there is something to write that does not wait for the end of a pause. `is_closed`
    /// says that nothing comes any more: then there is nobody to pause for.
    pub fn is_ready(&mut self, now: Duration, is_closed: bool) -> bool {
        if self.is_pausing() && (is_closed || self.paused_until.is_some_and(|end| end <= now)) {
            self.paused_until = None;
        }
        !self.is_empty() && !self.is_pausing()
    }

    /// When the pause ends that alone keeps the queue from being ready.
    pub fn wakes_at(&self) -> Option<Duration> {
        self.paused_until
            .filter(|_| !self.is_empty() && self.is_pausing())
    }

    fn is_pausing(&self) -> bool {
        self.paused_until.is_some() && self.local.is_empty() && self.len() < MOST_TASKS
    }

    /// Takes what the next transaction writes.
    pub fn take(&mut self, now: Duration) -> Taken<R> {
        let mut taken = self.take_local(now);
        let is_paused = self.paused_until.is_some_and(|end| now < end);
        if is_paused && !(taken.batch.is_empty() && taken.renewals.is_empty()) {
            return taken;
        }
        let is_shared = self.is_shared(now);
        self.paused_until = None;
        let room = if is_shared {
            CHUNK_EVENTS
        } else {
            ALONE_EVENTS
        };
        let is_backlog = self.take_chunks(room, &mut taken.batch);
        if is_shared && is_backlog {
            self.chunk_since = Some(now);
        }
        taken
    }

    fn take_local(&mut self, now: Duration) -> Taken<R> {
        let count = self.local.len().min(MOST_TASKS);
        let mut taken = Taken {
            renewals: VecDeque::new(),
            batch: Batch::with_capacity(count),
        };
        for work in self.local.drain(..count) {
            match work {
                Work::Renew(renewal) => taken.renewals.push_back(renewal),
                Work::Write { task, reply, .. } => {
                    if matches!(task, Task::Submit(_)) {
                        self.person_wrote_at = Some(now);
                    }
                    let waiter = Waiter {
                        reply,
                        sent_at_once: 0,
                    };
                    taken.batch.push(task, waiter);
                }
            }
        }
        taken
    }

    /// Takes what the next transaction writes if that is a peer's backlog and nothing else.
    pub fn take_backlog(&mut self, now: Duration) -> Option<Batch<R>> {
        if !self.is_of_backlog(self.chunks.front()?) || !self.is_of_peers_alone(now) {
            return None;
        }
        let mut batch = Batch::with_capacity(0);
        self.take_chunks(ALONE_EVENTS, &mut batch);
        Some(batch)
    }

    /// Puts what was taken so back in its place.
    pub fn put_back(&mut self, batch: Batch<R>) {
        for (task, waiter) in batch.into_tasks().rev() {
            self.chunks.push_front(Chunk { task, waiter });
        }
    }

    /// Tells whether only peers write now.
    pub fn is_of_peers_alone(&self, now: Duration) -> bool {
        self.local.is_empty() && self.paused_until.is_none() && !self.is_shared(now)
    }

    fn is_shared(&self, now: Duration) -> bool {
        self.person_wrote_at
            .is_some_and(|at| now < at + self.pacing.shared_for)
    }

    fn is_of_backlog(&self, chunk: &Chunk<R>) -> bool {
        chunk.waiter.sent_at_once >= self.pacing.backlog_events
    }

    /// Tells whether any of what it took is of a backlog.
    fn take_chunks(&mut self, mut room: usize, batch: &mut Batch<R>) -> bool {
        let (mut is_first, mut is_backlog) = (true, false);
        while let Some(chunk) = self
            .chunks
            .pop_front_if(|chunk| is_first || chunk.events() <= room)
        {
            is_first = false;
            is_backlog |= self.is_of_backlog(&chunk);
            room = room.saturating_sub(chunk.events());
            batch.push(chunk.task, chunk.waiter);
        }
        is_backlog
    }

    /// What was taken is written.
    pub fn written(&mut self, now: Duration) {
        if let Some(since) = self.chunk_since.take() {
            let took = now.saturating_sub(since);
            self.paused_until = Some(now + (PAUSE_FACTOR * took).min(LONGEST_PAUSE));
        }
    }

    /// Empties the queue; returns who waits.
    pub fn drain(&mut self) -> impl Iterator<Item = R> {
        let local = self.local.drain(..).map(|work| match work {
            Work::Write { reply, .. } | Work::Renew(Renewal { reply, .. }) => reply,
        });
        local.chain(self.chunks.drain(..).map(|chunk| chunk.waiter.reply))
    }
}

/// Cuts what a peer sent into chunks that are written one after the other; at least one.
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
