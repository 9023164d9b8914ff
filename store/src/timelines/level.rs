//! Whether a start can continue from the stored read model.
//!
//! An older version skips events of unknown types. The first start of a version that knows them
//! folds the log again; so does any start that finds the read model ahead of the log.

use causeway_domain::writing::Head;
use sqlx::{Acquire, PgConnection};

use super::rows;

/// Brings the read model to this level; clears it if it skipped events that this level knows.
pub(super) async fn upgrade_to(level: u32, connection: &mut PgConnection) -> sqlx::Result<()> {
    let level = i32::try_from(level).unwrap_or(i32::MAX);
    let mut transaction = connection.begin().await?;
    let (folded_by, offset): (i32, i64) =
        sqlx::query_as("SELECT level, arrival FROM timeline_checkpoint")
            .fetch_one(&mut *transaction)
            .await?;
    if folded_by == level {
        return Ok(());
    }
    let has_skipped: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM events WHERE level > $1 AND arrival <= $2)",
    )
    .bind(folded_by)
    .bind(offset)
    .fetch_one(&mut *transaction)
    .await?;
    if has_skipped && folded_by < level {
        tracing::info!(
            folded_by,
            level,
            "an older version passed events over that this one knows; folds the log again"
        );
        rows::clear(&mut transaction).await?;
    }
    sqlx::query("UPDATE timeline_checkpoint SET level = $1")
        .bind(level)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// Clears the read model if it shows events that the log does not hold. They were removed from the
/// log, and the events that replace them would be skipped.
pub(super) async fn clear_if_ahead_of(
    head: &Head,
    connection: &mut PgConnection,
) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    let shown = rows::checkpoint(&mut transaction).await?;
    if shown.offset <= head.offset && head.vector.covers_all(&shown.vector) {
        return Ok(());
    }
    tracing::warn!("the read model shows more than the log holds; folds the log again");
    rows::clear(&mut transaction).await?;
    transaction.commit().await
}
