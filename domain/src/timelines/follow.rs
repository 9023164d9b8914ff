//! The task that follows the log: reads what is new, folds it, writes the outcome and the new
//! checkpoint in one transaction.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::watch;

use crate::envelope::LEVEL;
use crate::log::{Log, ReadError, connect_reader};
use crate::timeline::{Fact, Needs, Step};

use super::{Checkpoint, level, rows};

/// Most events of one step.
const STEP: i64 = 1_000;

/// The following task: ends when the log's writer has ended.
pub type FollowTask = tokio::task::JoinHandle<()>;

/// An event that was set aside.
type SetAside = (i64, String);

pub(super) async fn spawn(
    log: Log,
    database_url: String,
) -> Result<(watch::Receiver<Arc<Checkpoint>>, FollowTask), ReadError> {
    let mut connection = connect_reader(&database_url).await?;
    level::rise_to(LEVEL, &mut connection).await?;
    let checkpoint = rows::checkpoint(&mut connection).await?;
    let (publish, published) = watch::channel(Arc::new(checkpoint));
    let task = tokio::spawn(run(log, database_url, connection, publish));
    Ok((published, task))
}

async fn run(
    log: Log,
    database_url: String,
    connection: PgConnection,
    publish: watch::Sender<Arc<Checkpoint>>,
) {
    let mut bell = log.bell();
    // A handle of its own would keep the writer, whose end this task waits for, alive.
    let pool = log.pool().clone();
    drop(log);
    let mut connection = Some(connection);
    loop {
        let is_behind = bell.borrow_and_update().arrival > publish.borrow().arrival;
        if !is_behind {
            if bell.changed().await.is_err() {
                return;
            }
            continue;
        }
        let outcome = match connection.as_mut() {
            Some(open) => step(&pool, open, &publish).await,
            None => match connect_reader(&database_url).await {
                Ok(mut open) => {
                    // The rows are true: a step whose answer was lost may have been committed.
                    let stored = rows::checkpoint(&mut open).await;
                    connection = Some(open);
                    stored.map_err(ReadError::from).map(|checkpoint| {
                        publish.send_replace(Arc::new(checkpoint));
                    })
                }
                Err(failure) => Err(failure),
            },
        };
        if let Err(failure) = outcome {
            tracing::warn!(
                error = &failure as &dyn std::error::Error,
                "the read model could not follow the log"
            );
            connection = None;
            tokio::time::sleep(Duration::from_millis(200)).await;
            if bell.has_changed().is_err() {
                return;
            }
        }
    }
}

/// Folds the next events in. Commits before it tells.
async fn step(
    pool: &sqlx::PgPool,
    connection: &mut PgConnection,
    publish: &watch::Sender<Arc<Checkpoint>>,
) -> Result<(), ReadError> {
    let former = publish.borrow().clone();
    let events = crate::log::read_after(pool, former.arrival, STEP).await?;
    let mut checkpoint = (*former).clone();
    let mut facts = Vec::with_capacity(events.len());
    let mut set_aside: Vec<SetAside> = Vec::new();
    for (arrival, event) in &events {
        checkpoint.arrival = *arrival;
        checkpoint.vector.record(event.envelope.stamp.dot());
        checkpoint.highest = checkpoint.highest.max(event.envelope.stamp.hlc);
        match Fact::read(*arrival, event) {
            Ok(fact) => facts.extend(fact),
            Err(reason) => {
                tracing::error!(arrival, %reason, "an event was set aside");
                set_aside.push((*arrival, reason.to_string()));
            }
        }
    }
    let mut transaction = connection.begin().await?;
    let mut step = load(&mut transaction, &Needs::of(&facts)).await?;
    for fact in facts {
        step.fold(fact);
    }
    store(&mut transaction, &step).await?;
    if !set_aside.is_empty() {
        rows::set_aside(&mut transaction, &set_aside).await?;
    }
    rows::store_checkpoint(&mut transaction, &checkpoint).await?;
    transaction.commit().await?;
    publish.send_replace(Arc::new(checkpoint));
    Ok(())
}

async fn load(connection: &mut PgConnection, needs: &Needs) -> sqlx::Result<Step> {
    let mut step = Step::default();
    if !needs.messages.is_empty() {
        step.former = rows::former(connection, &needs.messages).await?;
    }
    if !needs.likes.is_empty() {
        step.likes = rows::likes(connection, &needs.likes).await?;
    }
    if !needs.members.is_empty() {
        step.members = rows::members(connection, &needs.members).await?;
    }
    Ok(step)
}

async fn store(connection: &mut PgConnection, step: &Step) -> sqlx::Result<()> {
    if !step.messages.is_empty() {
        rows::store_messages(connection, step.messages.values()).await?;
    }
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
    if !step.feed.is_empty() {
        rows::store_feed(connection, &step.feed).await?;
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
