//! The sessions that read the read model: none of them shows less than was told.
//!
//! The commits of the read model do not wait for the disk, so a Postgres that comes back from a
//! crash may lack the last of them. No session outlives a crash, so it is enough to look once, when
//! a session begins, and to wait until the lost steps are made again.

use std::sync::Arc;
use std::time::Duration;

use causeway_domain::timeline::Checkpoint;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::log::{options, shared};

use super::rows;

/// Connections that readers share.
const READERS: u32 = 8;
/// How often a session that shows too little looks again.
const AGAIN: Duration = Duration::from_millis(10);

/// Opens the connections that readers share; none is made before it is needed, and each begins only
/// when it shows what was told. `went_back` is notified where it does not.
pub(super) fn pool(
    database_url: &str,
    told: watch::Receiver<Arc<Checkpoint>>,
    went_back: Arc<Notify>,
) -> sqlx::Result<PgPool> {
    let readers = shared(READERS).after_connect(move |connection, _| {
        let (told, went_back) = (told.clone(), went_back.clone());
        Box::pin(async move { shows_all(connection, &told, &went_back).await })
    });
    Ok(readers.connect_lazy_with(options(database_url)?))
}

/// Waits until a session shows what was told when it began. Whoever waits for the session bounds it.
async fn shows_all(
    connection: &mut PgConnection,
    told: &watch::Receiver<Arc<Checkpoint>>,
    went_back: &Notify,
) -> sqlx::Result<()> {
    let told = told.borrow().arrival;
    if rows::checkpoint(connection).await?.arrival >= told {
        return Ok(());
    }
    tracing::warn!("Postgres has lost steps of the read model, which are made again");
    went_back.notify_one();
    while rows::checkpoint(connection).await?.arrival < told {
        sleep(AGAIN).await;
    }
    Ok(())
}
