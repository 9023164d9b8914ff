//! The read model: follows the log by a checkpoint that is kept in the transaction of each step,
//! and answers with pages in the one order.
//!
//! It knows nothing of streams or of who asks. What it holds can be dropped and rebuilt from the
//! log, so its own commits do not wait for the disk; what a crash of Postgres takes back is made
//! again before anybody reads.

mod demand;
mod follow;
mod fresh;
mod history;
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
pub use history::Seen;
pub use pages::{Anchor, Page, Place, Snapshot};
pub use people::{Group, Groups, Members};
pub(crate) use rows::clear;

use crate::log::{Log, ReadError};

use demand::Demand;
use fresh::FreshEntries;

/// How long an answer waits for the read model to show what was acknowledged before.
const CATCH_UP: Duration = Duration::from_secs(5);

/// The read model does not catch up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read model is behind the log")]
pub struct Behind;

/// How the following goes, for whoever looks after the server.
#[derive(Clone, Debug, Default)]
pub struct Following {
    /// Events that could not be folded: kept, passed on, shown by nobody (F27).
    pub set_aside: u64,
    /// Since when no step succeeds, though there is something to follow.
    pub failing_since: Option<Instant>,
}

/// A handle on the read model. Cheap to clone.
#[derive(Clone)]
pub struct Timelines {
    pool: PgPool,
    log: Log,
    checkpoint: watch::Receiver<Arc<Checkpoint>>,
    following: watch::Receiver<Following>,
    fresh: Arc<FreshEntries>,
    demand: Arc<Demand>,
}

impl Timelines {
    /// Starts to follow a log.
    pub async fn follow(log: Log, database_url: &str) -> Result<(Self, FollowTask), ReadError> {
        let followed = follow::spawn(log.clone(), database_url.to_owned()).await?;
        let told = followed.checkpoint.clone();
        let timelines = Self {
            pool: session::pool(database_url, told, followed.went_back)?,
            log,
            checkpoint: followed.checkpoint,
            following: followed.following,
            fresh: followed.fresh,
            demand: followed.demand,
        };
        Ok((timelines, followed.task))
    }

    /// The bell: rings after every step.
    pub fn bell(&self) -> watch::Receiver<Arc<Checkpoint>> {
        self.checkpoint.clone()
    }

    /// Follows each step as it comes: as long as nobody does, and nobody waits, what is new gathers for
    /// some milliseconds.
    pub fn attend(&self) -> Attention {
        self.demand.attend()
    }

    /// How the following goes.
    pub fn following(&self) -> Following {
        self.following.borrow().clone()
    }

    /// How far it is now.
    pub fn checkpoint(&self) -> Arc<Checkpoint> {
        self.checkpoint.borrow().clone()
    }

    /// Waits until all is shown that was acknowledged before this call.
    pub async fn catch_up(&self) -> Result<(), Behind> {
        self.reach(self.log.head().arrival).await
    }

    /// Waits until the event at this place in the log is shown.
    pub async fn reach(&self, arrival: i64) -> Result<(), Behind> {
        self.wait(CATCH_UP, |checkpoint| checkpoint.arrival >= arrival)
            .await
    }

    /// Waits until all that a vector names is shown, at most for `patience`.
    pub async fn hold(&self, vector: &VersionVector, patience: Duration) -> Result<(), Behind> {
        self.wait(patience, |checkpoint| checkpoint.vector.covers_all(vector))
            .await
    }

    async fn wait(
        &self,
        patience: Duration,
        is_reached: impl Fn(&Checkpoint) -> bool,
    ) -> Result<(), Behind> {
        let mut bell = self.checkpoint.clone();
        if is_reached(&bell.borrow_and_update()) {
            return Ok(());
        }
        self.demand.hurry();
        match timeout(patience, bell.wait_for(|now| is_reached(now))).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Behind),
        }
    }
}
