//! The sessions that read the read model: none shows less than the announced checkpoint.
//!
//! The commits of the read model are asynchronous, so a crash of Postgres may lose the last of
//! them. No session outlives a crash. So one check at the start of each session is enough; it waits
//! until the lost steps are folded again.

use std::sync::Arc;
use std::time::Duration;

use causeway_domain::timeline::Checkpoint;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::log::pool_of;

use super::rows;

/// Connections that small reads share.
pub(super) const READERS: u32 = 8;
/// How often a session that is behind checks again.
const RECHECK: Duration = Duration::from_millis(10);

/// Creates the pool that readers share. A connection is opened on demand, and used only once it
/// shows the announced checkpoint; if it does not yet, `rolled_back` is notified.
pub(super) fn pool(
    database_url: &str,
    connections: u32,
    announced: watch::Receiver<Arc<Checkpoint>>,
    rolled_back: Arc<Notify>,
) -> sqlx::Result<PgPool> {
    pool_of(database_url, connections, move |connection| {
        let (announced, rolled_back) = (announced.clone(), rolled_back.clone());
        Box::pin(async move { shows_all(connection, &announced, &rolled_back).await })
    })
}

/// Waits until a session shows the checkpoint announced when it began. The caller sets a timeout.
async fn shows_all(
    connection: &mut PgConnection,
    announced: &watch::Receiver<Arc<Checkpoint>>,
    rolled_back: &Notify,
) -> sqlx::Result<()> {
    let announced = announced.borrow().offset;
    if rows::checkpoint(connection).await?.offset >= announced {
        return Ok(());
    }
    tracing::warn!("Postgres has lost steps of the read model; they are folded again");
    rolled_back.notify_one();
    while rows::checkpoint(connection).await?.offset < announced {
        sleep(RECHECK).await;
    }
    Ok(())
}
