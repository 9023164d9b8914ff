//! Read-only checks of a database, for `check`.

use causeway_domain::ids::ReplicaId;
use sqlx::PgConnection;

use super::connection::newest_migration;
use super::{OpenError, rows};

/// Checks for what a start on this database would refuse or should not find, without changing it.
/// `is_running`: whether the server of this replica has the database open.
pub async fn look(
    connection: &mut PgConnection,
    cluster: &str,
    replica: ReplicaId,
    is_running: bool,
) -> Result<(), OpenError> {
    let is_standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()")
        .fetch_one(&mut *connection)
        .await?;
    if is_standby {
        return Err(OpenError::Standby);
    }
    let is_used: bool = sqlx::query_scalar("SELECT to_regclass('identity') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !is_running && rows::is_locked(connection).await? {
        return Err(OpenError::InUse);
    }
    if !is_used {
        return Ok(());
    }
    let changed: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await?;
    if let Some(change) = changed.filter(|&change| change > newest_migration()) {
        return Err(OpenError::NewerSchema(change));
    }
    let Some((found, row)) = rows::identity(connection).await? else {
        return Ok(());
    };
    if found != cluster {
        let expected = cluster.to_owned();
        return Err(OpenError::OtherCluster { found, expected });
    }
    if row.origin.replica != replica {
        return Err(OpenError::OtherReplica {
            found: row.origin.replica,
            expected: replica,
        });
    }
    Ok(())
}
