//! Supervision: if any critical task ends, the process exits so that its supervisor restarts it.

use std::sync::{Arc, OnceLock};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tasks that are stopped together, and must not end before that.
#[derive(Clone)]
pub(super) struct CriticalTasks {
    tasks: TaskTracker,
    /// Cancelled when these tasks should stop.
    pub stop: CancellationToken,
    first_end: FirstEnd,
}

/// The first critical task that ended, of all groups.
#[derive(Clone, Default)]
pub(super) struct FirstEnd {
    name: Arc<OnceLock<&'static str>>,
    happened: CancellationToken,
}

impl FirstEnd {
    /// Waits until a critical task returns or panics, and returns its name.
    pub async fn wait(&self) -> &'static str {
        self.happened.cancelled().await;
        self.name.get().expect("a name is set before the signal")
    }

    fn record(&self, name: &'static str) {
        let _ = self.name.set(name);
        self.happened.cancel();
    }
}

impl CriticalTasks {
    /// Returns an empty group whose tasks report their end to `first_end`.
    pub fn new(first_end: &FirstEnd) -> Self {
        Self {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            first_end: first_end.clone(),
        }
    }

    /// Spawns a task that watches `stop` itself.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let on_end = OnEnd(self.first_end.clone(), name);
        self.tasks.spawn(async move {
            let _on_end = on_end;
            task.await;
        });
    }

    /// Spawns a task that is dropped at its next `await` after `stop`.
    pub fn spawn_until_stop(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            stop.run_until_cancelled_owned(task).await;
        });
    }

    /// Supervises a task that ends by itself once it is no longer needed, and is aborted on `stop`.
    pub fn adopt(&self, name: &'static str, mut task: JoinHandle<()>) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            if stop.run_until_cancelled_owned(&mut task).await.is_none() {
                task.abort();
                let _ = task.await;
            }
        });
    }

    /// Waits until all tasks have ended.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Stops all tasks and waits for their end.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.ended().await;
    }
}

/// Records the end of a task when it is dropped, so that a panic counts too.
struct OnEnd(FirstEnd, &'static str);

impl Drop for OnEnd {
    fn drop(&mut self) {
        self.0.record(self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn each_task_that_panics_or_returns_is_named() {
        for panics in [true, false] {
            let first_end = FirstEnd::default();
            let (one, other) = (
                CriticalTasks::new(&first_end),
                CriticalTasks::new(&first_end),
            );
            one.spawn("lasting", pending());
            one.adopt("adopted", tokio::spawn(pending()));
            other.spawn_until_stop("ending", async move { assert!(!panics, "as asked") });

            assert_eq!(timeout(DEADLINE, first_end.wait()).await, Ok("ending"));
        }
    }

    #[tokio::test]
    async fn an_adopted_task_that_panics_or_returns_is_named() {
        for panics in [true, false] {
            let first_end = FirstEnd::default();
            let tasks = CriticalTasks::new(&first_end);
            tasks.spawn("lasting", pending());
            let ending = tokio::spawn(async move { assert!(!panics, "as asked") });
            tasks.adopt("adopted", ending);

            assert_eq!(timeout(DEADLINE, first_end.wait()).await, Ok("adopted"));
        }
    }

    #[tokio::test]
    async fn a_shutdown_waits_until_adopted_tasks_are_gone() {
        let tasks = CriticalTasks::new(&FirstEnd::default());
        let held = Arc::new(());
        let holder = held.clone();
        let lasting = async move {
            pending::<()>().await;
            drop(holder);
        };
        tasks.adopt("adopted", tokio::spawn(lasting));
        tasks.spawn_until_stop("lasting", pending());

        timeout(DEADLINE, tasks.shutdown()).await.expect("an end");

        assert_eq!(Arc::strong_count(&held), 1);
    }
}
