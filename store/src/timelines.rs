//! The read model: a projection of the log, which serves pages in order-key order. Each step writes
//! the checkpoint in its own transaction.
//!
//! It does not depend on streams or on callers. The projection can be dropped and rebuilt from the
//! log, so its commits are asynchronous; steps lost in a crash of Postgres are folded again before
//! any reader sees the tables.

mod demand;
mod follow;
mod fresh;
mod history;
mod large;
mod level;
mod pages;
mod people;
mod rows;
mod session;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_domain::timeline::Checkpoint;
use causeway_domain::version_vector::VersionVector;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::timeout;

pub use demand::Attention;
pub use follow::{FollowTask, rebuild};
pub use fresh::Fresh;
pub use history::MessageView;
pub use pages::{Anchor, AnchorPoint, Page, Snapshot};
pub use people::{Group, Groups, Members};
pub(crate) use rows::clear;

use crate::log::{Log, ReadError};

use demand::Demand;
use fresh::FreshEntries;
use large::LargeReads;

/// How long an answer waits for the read model to show the writes acknowledged before it.
const CATCH_UP: Duration = Duration::from_secs(5);

/// The read model did not catch up in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read model is behind the log")]
pub struct Behind;

/// The state of the projection task, for health checks and metrics.
#[derive(Clone, Debug, Default)]
pub struct Following {
    /// Events that could not be folded: stored and relayed, but not shown (F27).
    pub set_aside: u64,
    /// When steps started to fail, while the log is ahead of the checkpoint.
    pub failing_since: Option<Instant>,
}

/// A handle on the read model. Cheap to clone.
#[derive(Clone)]
pub struct Timelines {
    /// For small reads.
    pool: PgPool,
    large: LargeReads,
    log: Log,
    checkpoint: watch::Receiver<Arc<Checkpoint>>,
    following: watch::Receiver<Following>,
    fresh: Arc<FreshEntries>,
    demand: Arc<Demand>,
}

impl Timelines {
    /// Starts the task that projects a log.
    pub async fn follow(log: Log, database_url: &str) -> Result<(Self, FollowTask), ReadError> {
        let followed = follow::spawn(log.clone(), database_url.to_owned()).await?;
        let pool = |connections| {
            let announced = followed.checkpoint.clone();
            let rolled_back = followed.rolled_back.clone();
            session::pool(database_url, connections, announced, rolled_back)
        };
        let timelines = Self {
            pool: pool(session::READERS)?,
            large: LargeReads::new(pool(large::CONNECTIONS)?),
            log,
            checkpoint: followed.checkpoint,
            following: followed.following,
            fresh: followed.fresh,
            demand: followed.demand,
        };
        Ok((timelines, followed.task))
    }

    /// The commit signal of the read model: changes after every step.
    pub fn commits(&self) -> watch::Receiver<Arc<Checkpoint>> {
        self.checkpoint.clone()
    }

    /// Registers a follower of every step. Without followers or waiting calls, a step is delayed
    /// for some milliseconds so that it covers several events.
    pub fn attend(&self) -> Attention {
        self.demand.attend()
    }

    /// Returns the state of the projection task.
    pub fn following(&self) -> Following {
        self.following.borrow().clone()
    }

    /// Returns the current checkpoint.
    pub fn checkpoint(&self) -> Arc<Checkpoint> {
        self.checkpoint.borrow().clone()
    }

    /// Waits until every write acknowledged before this call is shown.
    pub async fn catch_up(&self) -> Result<(), Behind> {
        self.reach(self.log.head().offset).await
    }

    /// Waits until the event at this offset is shown.
    pub async fn reach(&self, offset: i64) -> Result<(), Behind> {
        self.wait(CATCH_UP, |checkpoint| checkpoint.offset >= offset)
            .await
    }

    /// Waits until every event that a vector covers is shown, at most for `patience`.
    pub async fn hold(&self, vector: &VersionVector, patience: Duration) -> Result<(), Behind> {
        self.wait(patience, |checkpoint| checkpoint.vector.covers_all(vector))
            .await
    }

    async fn wait(
        &self,
        patience: Duration,
        is_reached: impl Fn(&Checkpoint) -> bool,
    ) -> Result<(), Behind> {
        let mut commits = self.checkpoint.clone();
        if is_reached(&commits.borrow_and_update()) {
            return Ok(());
        }
        self.demand.request_step();
        match timeout(patience, commits.wait_for(|now| is_reached(now))).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Behind),
        }
    }
}
