//! The task that follows the log: reads what is new, folds it, writes the outcome and the new
//! checkpoint in one transaction.
//!
//! Its commits do not wait for the disk, so Postgres may come back from a crash with fewer of them.
//! Then they are made again, before anybody reads (see `session`): what was told stands.

mod step;

use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_domain::envelope::LEVEL;
use causeway_domain::timeline::Checkpoint;
use causeway_domain::writing::Head;
use sqlx::PgConnection;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::log::{Log, ReadError, Tail, connect_reader, is_refused_value};

use super::demand::Demand;
use super::fresh::FreshEntries;
use super::{Following, level, rows};
use step::{TakenIn, pass_over, take_in};

/// Most events of one step.
const STEP: usize = 250;
/// After a step of so many events, a rest: what comes meanwhile is one step, and a step costs much the
/// same whether it folds thirty events in or three hundred. Where nobody follows the steps, each one
/// is rested for.
const MANY: usize = 16;
/// How long what is new gathers, unless somebody waits for it: since the former step began, or since
/// it came where nobody follows.
const REST: Duration = Duration::from_millis(15);
/// How long a step may take before its connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How soon a step is tried again that failed.
const AGAIN: Duration = Duration::from_millis(200);

/// The following task: ends when the log's writer has ended.
pub type FollowTask = tokio::task::JoinHandle<()>;

/// Why a step was not made.
enum Failed {
    /// The database is away, or the log cannot be read: the same step is tried again.
    Later(ReadError),
    /// One of its events cannot be folded or stored, now or ever (F27).
    Refused(String),
}

impl From<ReadError> for Failed {
    fn from(failure: ReadError) -> Self {
        match failure {
            ReadError::Database(refusal) if is_refused_value(&refusal) => {
                Self::Refused(refusal.to_string())
            }
            other => Self::Later(other),
        }
    }
}

impl From<sqlx::Error> for Failed {
    fn from(failure: sqlx::Error) -> Self {
        ReadError::from(failure).into()
    }
}

pub(super) struct Followed {
    pub checkpoint: watch::Receiver<Arc<Checkpoint>>,
    /// To be notified where the rows say less than the checkpoint.
    pub went_back: Arc<Notify>,
    pub demand: Arc<Demand>,
    pub fresh: Arc<FreshEntries>,
    pub following: watch::Receiver<Following>,
    pub task: FollowTask,
}

pub(super) async fn spawn(log: Log, database_url: String) -> Result<Followed, ReadError> {
    let mut connection = connect_reader(&database_url).await?;
    level::rise_to(LEVEL, &mut connection).await?;
    level::fall_to(&log.head(), &mut connection).await?;
    let (publish, checkpoint) = watch::channel(Arc::default());
    let (condition, following) = watch::channel(Following::default());
    let bell = log.bell();
    let went_back = Arc::new(Notify::new());
    let (demand, fresh) = (Arc::<Demand>::default(), Arc::<FreshEntries>::default());
    let mut follower = Follower {
        tail: log.tail(),
        database_url,
        connection: None,
        folded: Checkpoint::default(),
        publish,
        went_back: went_back.clone(),
        demand: demand.clone(),
        fresh: fresh.clone(),
        condition,
        most: STEP,
    };
    // A handle on the log would keep the writer, whose end this task waits for, alive.
    drop(log);
    follower.believe(&mut connection).await?;
    follower.connection = Some(connection);
    let task = tokio::spawn(follower.run(bell));
    Ok(Followed {
        checkpoint,
        went_back,
        demand,
        fresh,
        following,
        task,
    })
}

struct Follower {
    tail: Arc<Tail>,
    database_url: String,
    connection: Option<PgConnection>,
    /// What the rows say, which after a crash of Postgres may be less than what was told.
    folded: Checkpoint,
    publish: watch::Sender<Arc<Checkpoint>>,
    went_back: Arc<Notify>,
    demand: Arc<Demand>,
    fresh: Arc<FreshEntries>,
    condition: watch::Sender<Following>,
    /// How many events the next step takes: fewer after a refusal, until the one is found.
    most: usize,
}

impl Follower {
    async fn run(mut self, mut bell: watch::Receiver<Arc<Head>>) {
        loop {
            let mut behind = self.behind(&mut bell);
            if self.connection.is_some() && behind == 0 {
                tokio::select! {
                    rung = bell.changed() => if rung.is_err() {
                        return;
                    },
                    () = self.went_back.notified() => self.connection = None,
                }
                continue;
            }
            let steps = self.connection.is_some();
            if steps && behind < self.most && !self.demand.is_attended() {
                self.rest_until(Instant::now() + REST).await;
                behind = self.behind(&mut bell);
            }
            let (begun, before) = (Instant::now(), self.folded.arrival);
            let outcome = timeout(PATIENCE, self.go_on(behind)).await;
            match outcome.unwrap_or(Err(Failed::Later(sqlx::Error::PoolTimedOut.into()))) {
                Ok(()) => {
                    // A new connection alone is no progress: the next step may fail as the last did.
                    if steps || bell.borrow().arrival <= self.folded.arrival {
                        self.condition
                            .send_if_modified(|now| now.failing_since.take().is_some());
                    }
                    self.rest(begun, before).await;
                }
                // The connection may still be in the transaction that failed.
                Err(Failed::Refused(_)) => self.connection = None,
                Err(Failed::Later(failure)) => {
                    self.fail(&failure);
                    tokio::time::sleep(AGAIN).await;
                    if bell.has_changed().is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// How many events it has not folded in of what was told, which may be less than what is there:
    /// nothing is shown before it is told.
    fn behind(&self, bell: &mut watch::Receiver<Arc<Head>>) -> usize {
        let behind = bell.borrow_and_update().arrival - self.folded.arrival;
        usize::try_from(behind).unwrap_or(0)
    }

    /// Lets events gather while many come, and nobody waits to see them. A step that was as large as
    /// it may be is followed by the next at once.
    async fn rest(&self, begun: Instant, before: i64) {
        let folded = usize::try_from(self.folded.arrival - before).unwrap_or(0);
        if self.demand.is_attended() && (MANY..self.most).contains(&folded) {
            self.rest_until(begun + REST).await;
        }
    }

    async fn rest_until(&self, end: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(end.into()) => {}
            () = self.demand.hurried() => {}
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

    /// Makes one step, or connects anew where there is no connection.
    async fn go_on(&mut self, behind: usize) -> Result<(), Failed> {
        let Some(mut connection) = self.connection.take() else {
            let mut open = connect_reader(&self.database_url).await?;
            // The rows are true: a step whose answer was lost may have been committed, and one
            // whose answer came may be gone.
            self.believe(&mut open).await?;
            self.connection = Some(open);
            return Ok(());
        };
        if behind > 0 {
            self.step(&mut connection, behind).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn believe(&mut self, connection: &mut PgConnection) -> Result<(), ReadError> {
        let checkpoint = rows::checkpoint(connection).await?;
        let set_aside = rows::count_set_aside(connection).await?;
        self.condition.send_modify(|now| now.set_aside = set_aside);
        self.folded = checkpoint;
        self.tell();
        Ok(())
    }

    /// Folds the next events in, at most so many. Commits before it tells. An event that Postgres or
    /// the fold refuses is searched for in ever smaller steps, and set aside when it stands alone.
    async fn step(&mut self, connection: &mut PgConnection, behind: usize) -> Result<(), Failed> {
        let former = self.folded.clone();
        let most = self.most.min(behind);
        let limit = i64::try_from(most).unwrap_or(1);
        let events = match self.tail.after(former.arrival, most) {
            Some(events) => events,
            None => crate::log::read_after(&mut *connection, former.arrival, limit).await?,
        };
        if events.is_empty() {
            // What was told is not there: somebody took it away. Nothing may be folded on top of that.
            return Err(Failed::Later(ReadError::Corrupt(former.arrival + 1)));
        }
        match take_in(connection, &former, &events).await {
            Ok(taken) => {
                self.most = (self.most * 2).min(STEP);
                self.publish(taken);
                Ok(())
            }
            Err(Failed::Refused(reason)) if events.len() > 1 => {
                self.most = events.len() / 2;
                Err(Failed::Refused(reason))
            }
            Err(Failed::Refused(reason)) => {
                let mut fresh = connect_reader(&self.database_url).await?;
                let passed = pass_over(&mut fresh, &former, &events, &reason).await;
                self.publish(passed.map_err(ReadError::from).map_err(Failed::Later)?);
                Ok(())
            }
            later => later.map(drop),
        }
    }

    fn publish(&mut self, taken: TakenIn) {
        if taken.set_aside > 0 {
            self.condition
                .send_modify(|now| now.set_aside += taken.set_aside);
        }
        // Before it is told: whoever hears of it looks there.
        let (after, up_to) = (self.folded.arrival, taken.checkpoint.arrival);
        self.fresh.push(after, up_to, taken.step);
        self.folded = taken.checkpoint;
        self.tell();
    }

    /// Tells how far it is, and never less than before.
    fn tell(&self) {
        self.publish.send_if_modified(|told| {
            let is_further = self.folded.arrival > told.arrival;
            if is_further {
                *told = Arc::new(self.folded.clone());
            }
            is_further
        });
    }
}

/// Drops the read model, so that the next start folds the whole log again. The server must not be
/// running: the caller holds the writer's lock.
pub async fn rebuild(log: &Log) -> Result<(), ReadError> {
    let mut transaction = log.pool().begin().await?;
    rows::clear(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}
