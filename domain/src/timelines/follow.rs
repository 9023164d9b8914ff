//! The task that follows the log: reads what is new, folds it, writes the outcome and the new
//! checkpoint in one transaction.
//!
//! Its commits do not wait for the disk, so Postgres may come back from a crash with fewer of them.
//! Then they are made again, before anybody reads (see `session`): what was told stands.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::envelope::{LEVEL, RawEvent};
use crate::log::{Log, ReadError, connect_reader, is_refused_value};
use crate::timeline::{Fact, Needs, Step};

use super::{Checkpoint, Following, level, rows};

/// Most events of one step.
const STEP: usize = 1_000;
/// How long a step may take before its connection is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon a step is tried again that failed.
const AGAIN: Duration = Duration::from_millis(200);

/// The following task: ends when the log's writer has ended.
pub type FollowTask = tokio::task::JoinHandle<()>;

/// An event that was set aside.
type SetAside = (i64, String);

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
    pub following: watch::Receiver<Following>,
    pub task: FollowTask,
}

pub(super) async fn spawn(log: Log, database_url: String) -> Result<Followed, ReadError> {
    let mut connection = connect_reader(&database_url).await?;
    level::rise_to(LEVEL, &mut connection).await?;
    let (publish, checkpoint) = watch::channel(Arc::default());
    let (condition, following) = watch::channel(Following::default());
    let bell = log.bell();
    let went_back = Arc::new(Notify::new());
    let mut follower = Follower {
        database_url,
        connection: None,
        folded: Checkpoint::default(),
        publish,
        went_back: went_back.clone(),
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
        following,
        task,
    })
}

struct Follower {
    database_url: String,
    connection: Option<PgConnection>,
    /// What the rows say, which after a crash of Postgres may be less than what was told.
    folded: Checkpoint,
    publish: watch::Sender<Arc<Checkpoint>>,
    went_back: Arc<Notify>,
    condition: watch::Sender<Following>,
    /// How many events the next step takes: fewer after a refusal, until the one is found.
    most: usize,
}

impl Follower {
    async fn run(mut self, mut bell: watch::Receiver<Arc<crate::log::Head>>) {
        loop {
            let is_behind = bell.borrow_and_update().arrival > self.folded.arrival;
            if self.connection.is_some() && !is_behind {
                tokio::select! {
                    rung = bell.changed() => if rung.is_err() {
                        return;
                    },
                    () = self.went_back.notified() => self.connection = None,
                }
                continue;
            }
            let outcome = timeout(PATIENCE, self.go_on(is_behind)).await;
            match outcome.unwrap_or(Err(Failed::Later(sqlx::Error::PoolTimedOut.into()))) {
                Ok(()) => {
                    self.condition
                        .send_if_modified(|now| now.failing_since.take().is_some());
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
    async fn go_on(&mut self, is_behind: bool) -> Result<(), Failed> {
        let Some(mut connection) = self.connection.take() else {
            let mut open = connect_reader(&self.database_url).await?;
            // The rows are true: a step whose answer was lost may have been committed, and one
            // whose answer came may be gone.
            self.believe(&mut open).await?;
            self.connection = Some(open);
            return Ok(());
        };
        if is_behind {
            self.step(&mut connection).await?;
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

    /// Folds the next events in. Commits before it tells. An event that Postgres or the fold refuses
    /// is searched for in ever smaller steps, and set aside when it stands alone.
    async fn step(&mut self, connection: &mut PgConnection) -> Result<(), Failed> {
        let former = self.folded.clone();
        let limit = i64::try_from(self.most).unwrap_or(1);
        let events = crate::log::read_after(&mut *connection, former.arrival, limit).await?;
        match take_in(connection, &former, &events).await {
            Ok((checkpoint, set_aside)) => {
                self.most = (self.most * 2).min(STEP);
                self.publish(checkpoint, set_aside);
                Ok(())
            }
            Err(Failed::Refused(reason)) if events.len() > 1 => {
                self.most = events.len() / 2;
                Err(Failed::Refused(reason))
            }
            Err(Failed::Refused(reason)) => {
                let mut fresh = connect_reader(&self.database_url).await?;
                let passed = pass_over(&mut fresh, &former, &events, &reason).await;
                self.publish(passed.map_err(ReadError::from).map_err(Failed::Later)?, 1);
                Ok(())
            }
            later => later.map(drop),
        }
    }

    fn publish(&mut self, checkpoint: Checkpoint, set_aside: u64) {
        if set_aside > 0 {
            self.condition.send_modify(|now| now.set_aside += set_aside);
        }
        self.folded = checkpoint;
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

/// Folds events in and commits; returns the new checkpoint and how many were set aside.
async fn take_in(
    connection: &mut PgConnection,
    former: &Checkpoint,
    events: &[(i64, RawEvent)],
) -> Result<(Checkpoint, u64), Failed> {
    let checkpoint = after(former, events);
    let mut facts = Vec::with_capacity(events.len());
    let mut set_aside: Vec<SetAside> = Vec::new();
    for (arrival, event) in events {
        match Fact::read(*arrival, event) {
            Ok(fact) => facts.extend(fact),
            Err(reason) => {
                tracing::error!(arrival, %reason, "an event was set aside");
                set_aside.push((*arrival, reason.to_string()));
            }
        }
    }
    let step = load(connection, &Needs::of(&facts)).await?;
    let step = folded(step, facts, Step::fold)?;
    store(connection, &step, &set_aside, &checkpoint).await?;
    Ok((checkpoint, u64::try_from(set_aside.len()).unwrap_or(0)))
}

/// Folds; a defect that panics over one event is that event's refusal, not the end of the task.
fn folded<S, F>(mut step: S, facts: Vec<F>, fold: fn(&mut S, F)) -> Result<S, Failed> {
    let folding = AssertUnwindSafe(move || {
        for fact in facts {
            fold(&mut step, fact);
        }
        step
    });
    catch_unwind(folding).map_err(|_| Failed::Refused("the fold panicked".to_owned()))
}

/// Sets the one event aside that was refused, and goes on behind it.
async fn pass_over(
    connection: &mut PgConnection,
    former: &Checkpoint,
    events: &[(i64, RawEvent)],
    reason: &str,
) -> sqlx::Result<Checkpoint> {
    let checkpoint = after(former, events);
    let refused: Vec<SetAside> = events
        .iter()
        .map(|(arrival, _)| (*arrival, reason.to_owned()))
        .collect();
    let mut transaction = connection.begin().await?;
    rows::set_aside(&mut transaction, &refused).await?;
    rows::store_checkpoint(&mut transaction, &checkpoint).await?;
    transaction.commit().await?;
    for (arrival, _) in refused {
        tracing::error!(arrival, %reason, "an event was set aside");
    }
    Ok(checkpoint)
}

fn after(former: &Checkpoint, events: &[(i64, RawEvent)]) -> Checkpoint {
    let mut checkpoint = former.clone();
    for (arrival, event) in events {
        checkpoint.arrival = *arrival;
        checkpoint.vector.record(event.envelope.stamp.dot());
        checkpoint.highest = checkpoint.highest.max(event.envelope.stamp.hlc);
    }
    checkpoint
}

async fn load(connection: &mut PgConnection, needs: &Needs) -> sqlx::Result<Step> {
    let mut step = Step::default();
    if !needs.messages.is_empty() {
        (step.former, step.early_likes) = rows::former(connection, &needs.messages).await?;
    }
    if !needs.likes.is_empty() {
        step.likes = rows::likes(connection, &needs.likes).await?;
    }
    if !needs.members.is_empty() {
        step.members = rows::members(connection, &needs.members).await?;
    }
    Ok(step)
}

/// Writes what has changed, with the checkpoint, in one transaction: mostly one statement.
async fn store(
    connection: &mut PgConnection,
    step: &Step,
    set_aside: &[SetAside],
    checkpoint: &Checkpoint,
) -> sqlx::Result<()> {
    let is_all = set_aside.is_empty()
        && step.likes_counts.is_empty()
        && step.changed_likes.is_empty()
        && step.changed_members.is_empty()
        && step.growth.is_empty()
        && step.contested.is_empty()
        && step.copied.is_empty();
    if is_all {
        return rows::store_news(connection, step, checkpoint).await;
    }
    let mut transaction = connection.begin().await?;
    rows::store_news(&mut transaction, step, checkpoint).await?;
    store_changes(&mut transaction, step).await?;
    if !set_aside.is_empty() {
        rows::set_aside(&mut transaction, set_aside).await?;
    }
    transaction.commit().await
}

async fn store_changes(connection: &mut PgConnection, step: &Step) -> sqlx::Result<()> {
    if !step.likes_counts.is_empty() {
        rows::store_likes_counts(connection, &step.likes_counts).await?;
    }
    if !step.changed_likes.is_empty() {
        rows::store_likes(connection, step).await?;
    }
    if !step.changed_members.is_empty() {
        rows::store_members(connection, step).await?;
    }
    if !step.growth.is_empty() {
        rows::store_growth(connection, step).await?;
    }
    if !step.contested.is_empty() {
        rows::contest(connection, &step.contested).await?;
    }
    if !step.copied.is_empty() {
        rows::contest_copies(connection, &step.copied).await?;
    }
    Ok(())
}

/// Drops the read model, so that the next start folds the whole log again. The server must not be
/// running: the caller holds the writer's lock.
pub async fn rebuild(log: &Log) -> Result<(), ReadError> {
    let mut transaction = log.pool().begin().await?;
    rows::clear(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_that_panics_is_a_refusal() {
        let fold = |sum: &mut u32, fact: u32| {
            assert!(fact != 3, "as asked");
            *sum += fact;
        };

        assert!(matches!(folded(0, vec![1, 2], fold), Ok(3)));
        assert!(matches!(
            folded(0, vec![1, 3], fold),
            Err(Failed::Refused(_))
        ));
    }
}
