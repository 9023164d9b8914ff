//! The tasks of one transaction, and who waits for each.

use crate::writing::{Decided, Task};

pub(super) struct Batch<R> {
    pub tasks: Vec<Task>,
    pub waiters: Vec<Waiter<R>>,
    /// How often it was decided and not committed.
    pub failures: u32,
    /// What was sent to be committed and never answered: the next session tells whether it was.
    pub in_doubt: Option<Decided>,
}

/// Who waits for what becomes of a task.
pub(super) struct Waiter<R> {
    pub reply: R,
    /// With how many events the peer sent this chunk at once.
    pub sent_at_once: usize,
}

impl<R> Batch<R> {
    pub fn with_capacity(tasks: usize) -> Self {
        Self {
            tasks: Vec::with_capacity(tasks),
            waiters: Vec::with_capacity(tasks),
            failures: 0,
            in_doubt: None,
        }
    }

    pub fn push(&mut self, task: Task, waiter: Waiter<R>) {
        self.tasks.push(task);
        self.waiters.push(waiter);
    }

    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub fn into_tasks(self) -> impl DoubleEndedIterator<Item = (Task, Waiter<R>)> {
        self.tasks.into_iter().zip(self.waiters)
    }

    pub fn into_replies(self) -> impl Iterator<Item = R> {
        self.waiters.into_iter().map(|waiter| waiter.reply)
    }

    /// One batch for each task.
    pub fn split(self) -> impl Iterator<Item = Self> {
        self.into_tasks().map(|(task, waiter)| {
            let mut alone = Self::with_capacity(1);
            alone.push(task, waiter);
            alone
        })
    }
}
