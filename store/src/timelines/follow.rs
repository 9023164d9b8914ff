//! The projection task: reads new events, folds them, and writes the changed rows and the new
//! checkpoint in one transaction.
//!
//! Its commits are asynchronous, so a crash of Postgres may lose the last of them. The task folds
//! the lost steps again before any reader sees the tables (see `session`): an announced checkpoint
//! stands.

mod step;

use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_domain::envelope::LEVEL;
use causeway_domain::timeline::Checkpoint;
use causeway_domain::writing::Head;
use sqlx::PgConnection;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::log::{Log, ReadError, SharedConditions, Tail, connect_reader, is_refused_value};

use super::demand::Demand;
use super::fresh::FreshEntries;
use super::{Following, level, rows};
use step::{Committed, fold_and_commit, quarantine};

/// Maximum events of one step.
const STEP: usize = 250;
/// A step of at least this many events is followed by a delay, because a step costs about the same
/// for thirty events as for three hundred. Without followers every step is delayed.
const LARGE: usize = 16;
/// How long new events accumulate unless a call waits for them: from the start of the previous
/// step, or without followers from the arrival of the first event.
const DELAY: Duration = Duration::from_millis(15);
/// How long a step may take before its connection is dropped.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before a failed step is retried.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The projection task: ends when the log's writer has ended.
pub type FollowTask = tokio::task::JoinHandle<()>;

/// Why a step failed.
enum StepError {
    /// The database is unavailable, or the log cannot be read: the same step is retried.
    Transient(ReadError),
    /// One of its events can never be folded or stored (F27).
    Rejected(String),
}

impl From<ReadError> for StepError {
    fn from(failure: ReadError) -> Self {
        match failure {
            ReadError::Database(failure) if is_refused_value(&failure) => {
                Self::Rejected(failure.to_string())
            }
            other => Self::Transient(other),
        }
    }
}

impl From<sqlx::Error> for StepError {
    fn from(failure: sqlx::Error) -> Self {
        ReadError::from(failure).into()
    }
}

pub(super) struct Followed {
    pub checkpoint: watch::Receiver<Arc<Checkpoint>>,
    /// Notified by a session whose checkpoint row is behind the announced checkpoint.
    pub rolled_back: Arc<Notify>,
    pub demand: Arc<Demand>,
    pub fresh: Arc<FreshEntries>,
    pub following: watch::Receiver<Following>,
    pub task: FollowTask,
}

pub(super) async fn spawn(log: Log, database_url: String) -> Result<Followed, ReadError> {
    let mut connection = connect_reader(&database_url).await?;
    level::upgrade_to(LEVEL, &mut connection).await?;
    level::clear_if_ahead_of(&log.head(), &mut connection).await?;
    let (publish, checkpoint) = watch::channel(Arc::default());
    let (condition, following) = watch::channel(Following::default());
    let commits = log.commits();
    let rolled_back = Arc::new(Notify::new());
    let (demand, fresh) = (Arc::<Demand>::default(), Arc::<FreshEntries>::default());
    let mut follower = Follower {
        tail: log.tail(),
        conditions: log.conditions(),
        database_url,
        connection: None,
        folded: Checkpoint::default(),
        publish,
        rolled_back: rolled_back.clone(),
        demand: demand.clone(),
        fresh: fresh.clone(),
        condition,
        step_limit: STEP,
    };
    // A handle on the log would keep the writer alive, and this task ends when the writer does.
    drop(log);
    follower.reload(&mut connection).await?;
    follower.connection = Some(connection);
    let task = tokio::spawn(follower.run(commits));
    Ok(Followed {
        checkpoint,
        rolled_back,
        demand,
        fresh,
        following,
        task,
    })
}

struct Follower {
    tail: Arc<Tail>,
    conditions: Arc<SharedConditions>,
    database_url: String,
    connection: Option<PgConnection>,
    /// The checkpoint row. After a crash of Postgres it may be behind the announced checkpoint.
    folded: Checkpoint,
    publish: watch::Sender<Arc<Checkpoint>>,
    rolled_back: Arc<Notify>,
    demand: Arc<Demand>,
    fresh: Arc<FreshEntries>,
    condition: watch::Sender<Following>,
    /// Maximum events of the next step: halved after a rejection, until the event is isolated.
    step_limit: usize,
}

impl Follower {
    async fn run(mut self, mut commits: watch::Receiver<Arc<Head>>) {
        loop {
            let mut behind = self.behind(&mut commits);
            if self.connection.is_some() && behind == 0 {
                tokio::select! {
                    rung = commits.changed() => if rung.is_err() {
                        return;
                    },
                    () = self.rolled_back.notified() => self.connection = None,
                }
                continue;
            }
            let steps = self.connection.is_some();
            if steps && behind < self.step_limit && !self.demand.is_attended() {
                self.delay_until(Instant::now() + DELAY).await;
                behind = self.behind(&mut commits);
            }
            let (begun, before) = (Instant::now(), self.folded.offset);
            let outcome = timeout(STEP_TIMEOUT, self.advance(behind)).await;
            match outcome.unwrap_or(Err(StepError::Transient(sqlx::Error::PoolTimedOut.into()))) {
                Ok(()) => {
                    // A new connection alone is no progress: the next step may fail like the last.
                    if steps || commits.borrow().offset <= self.folded.offset {
                        self.condition
                            .send_if_modified(|now| now.failing_since.take().is_some());
                    }
                    self.delay(begun, before).await;
                }
                // The connection may still be in the transaction that failed.
                Err(StepError::Rejected(_)) => self.connection = None,
                Err(StepError::Transient(failure)) => {
                    self.fail(&failure);
                    tokio::time::sleep(RETRY_PAUSE).await;
                    if commits.has_changed().is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Returns how many events up to the announced head are not folded. The table may hold more,
    /// but no event is shown before the log announces it.
    fn behind(&self, commits: &mut watch::Receiver<Arc<Head>>) -> usize {
        let behind = commits.borrow_and_update().offset - self.folded.offset;
        usize::try_from(behind).unwrap_or(0)
    }

    /// Delays the next step after a large one, unless a call waits for it. A step of maximum size
    /// is followed by the next at once.
    async fn delay(&self, begun: Instant, before: i64) {
        let folded = usize::try_from(self.folded.offset - before).unwrap_or(0);
        if self.demand.is_attended() && (LARGE..self.step_limit).contains(&folded) {
            self.delay_until(begun + DELAY).await;
        }
    }

    async fn delay_until(&self, end: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(end.into()) => {}
            () = self.demand.step_requested() => {}
        }
    }

    fn fail(&mut self, failure: &ReadError) {
        tracing::warn!(
            error = failure as &dyn std::error::Error,
            "the read model could not follow the log"
        );
        self.connection = None;
        self.condition.send_modify(|now| {
            now.failing_since.get_or_insert(Instant::now());
        });
    }

    /// Runs one step, or reconnects if there is no connection.
    async fn advance(&mut self, behind: usize) -> Result<(), StepError> {
        let Some(mut connection) = self.connection.take() else {
            let mut open = connect_reader(&self.database_url).await?;
            // Only the rows count: a step whose answer was lost may have been committed, and an
            // acknowledged one may be gone.
            self.reload(&mut open).await?;
            self.connection = Some(open);
            return Ok(());
        };
        if behind > 0 {
            self.step(&mut connection, behind).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn reload(&mut self, connection: &mut PgConnection) -> Result<(), ReadError> {
        let checkpoint = rows::checkpoint(connection).await?;
        let set_aside = rows::count_quarantined(connection).await?;
        self.condition.send_modify(|now| now.set_aside = set_aside);
        self.folded = checkpoint;
        self.announce();
        Ok(())
    }

    /// Folds up to `behind` events and commits before it announces them. If Postgres or the fold
    /// rejects an event, steps are halved until it is alone in one; then it is quarantined.
    async fn step(
        &mut self,
        connection: &mut PgConnection,
        behind: usize,
    ) -> Result<(), StepError> {
        let former = self.folded.clone();
        let most = self.step_limit.min(behind);
        let limit = i64::try_from(most).unwrap_or(1);
        let events = match self.tail.after(former.offset, most) {
            Some(events) => events,
            None => crate::log::read_after(&mut *connection, former.offset, limit).await?,
        };
        if events.is_empty() {
            // Announced events were removed from the table: no step may skip them.
            return Err(StepError::Transient(ReadError::Corrupt(former.offset + 1)));
        }
        match fold_and_commit(connection, &former, &events).await {
            Ok(committed) => {
                self.step_limit = (self.step_limit * 2).min(STEP);
                self.publish(committed);
                Ok(())
            }
            Err(StepError::Rejected(reason)) if events.len() > 1 => {
                self.step_limit = events.len() / 2;
                Err(StepError::Rejected(reason))
            }
            Err(StepError::Rejected(reason)) => {
                let mut fresh = connect_reader(&self.database_url).await?;
                let outcome = quarantine(&mut fresh, &former, &events, &reason).await;
                self.publish(
                    outcome
                        .map_err(ReadError::from)
                        .map_err(StepError::Transient)?,
                );
                Ok(())
            }
            transient => transient.map(drop),
        }
    }

    fn publish(&mut self, committed: Committed) {
        if committed.quarantined > 0 {
            self.condition
                .send_modify(|now| now.set_aside += committed.quarantined);
        }
        // Before the announcement: streams that it wakes read from here.
        let (after, up_to) = (self.folded.offset, committed.checkpoint.offset);
        self.fresh.push(after, up_to, committed.step);
        self.folded = committed.checkpoint;
        self.announce();
    }

    /// Announces the checkpoint. It never goes back.
    fn announce(&self) {
        self.conditions.shown(self.folded.offset);
        self.publish.send_if_modified(|announced| {
            let is_further = self.folded.offset > announced.offset;
            if is_further {
                *announced = Arc::new(self.folded.clone());
            }
            is_further
        });
    }
}

/// Clears the read model, so that the next start folds the whole log again. The server must not be
/// running: the caller holds the writer's lock.
pub async fn rebuild(log: &Log) -> Result<(), ReadError> {
    let mut transaction = log.pool().begin().await?;
    rows::clear(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}
