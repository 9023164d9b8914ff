//! The tasks of a running replicator, and their end.

use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// What tasks are started with.
#[derive(Clone)]
pub(super) struct Tasks {
    stop: CancellationToken,
    ended: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// The tasks stop when the last clone of the guard is dropped.
    pub fn new() -> (Self, Arc<DropGuard>) {
        let tasks = Self {
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
            tracker: TaskTracker::new(),
        };
        let guard = Arc::new(tasks.stop.clone().drop_guard());
        (tasks, guard)
    }

    /// Runs a task until it is stopped.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Runs a task that does not end by itself: where it does, or panics, [`Tasks::ended`] tells.
    pub fn spawn_critical(&self, task: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone().drop_guard();
        self.spawn(async move {
            let _ended = ended;
            task.await;
        });
    }

    /// Waits until a critical task ends.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Waits until the tasks are told to stop.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Stops all tasks and waits for their end.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
