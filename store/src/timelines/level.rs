//! Whether a start may go on with the read model as it is.
//!
//! A former version passed events over whose types it did not know; one that knows more folds the log
//! again, once, at its first start. So does any that finds more shown than the log holds.

use causeway_domain::writing::Head;
use sqlx::{Acquire, PgConnection};

use super::rows;

/// Makes the read model one that a server of this level may go on with.
pub(super) async fn rise_to(level: u32, connection: &mut PgConnection) -> sqlx::Result<()> {
    let level = i32::try_from(level).unwrap_or(i32::MAX);
    let mut transaction = connection.begin().await?;
    let (folded_by, arrival): (i32, i64) =
        sqlx::query_as("SELECT level, arrival FROM timeline_checkpoint")
            .fetch_one(&mut *transaction)
            .await?;
    if folded_by == level {
        return Ok(());
    }
    let has_passed_over: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM events WHERE level > $1 AND arrival <= $2)",
    )
    .bind(folded_by)
    .bind(arrival)
    .fetch_one(&mut *transaction)
    .await?;
    if has_passed_over && folded_by < level {
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

/// Makes it anew where it shows what the log does not hold: somebody took events away. What comes in
/// their place would be passed over.
pub(super) async fn fall_to(head: &Head, connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    let shown = rows::checkpoint(&mut transaction).await?;
    if shown.arrival <= head.arrival && head.vector.covers_all(&shown.vector) {
        return Ok(());
    }
    tracing::warn!("the read model shows more than the log holds; folds the log again");
    rows::clear(&mut transaction).await?;
    transaction.commit().await
}
