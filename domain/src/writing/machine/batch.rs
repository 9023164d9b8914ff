//! The tasks of one transaction, and the receivers of their results.

use crate::writing::{Decided, Task};

pub(super) struct Batch<R> {
    pub tasks: Vec<Task>,
    pub waiters: Vec<Waiter<R>>,
    /// Number of failed attempts to commit it.
    pub failures: u32,
    /// The decision whose commit is in doubt, until the next session settles it.
    pub in_doubt: Option<Decided>,
}

/// The receiver of a task's result.
pub(super) struct Waiter<R> {
    pub reply: R,
    /// Number of events in the peer's request that contained this chunk.
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

    /// Splits the batch into one batch per task.
    pub fn split(self) -> impl Iterator<Item = Self> {
        self.into_tasks().map(|(task, waiter)| {
            let mut alone = Self::with_capacity(1);
            alone.push(task, waiter);
            alone
        })
    }
}
