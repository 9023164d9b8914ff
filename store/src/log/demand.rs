//! What a database must be like before the server opens it.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use super::OpenError;
use super::connection::connected;

/// The oldest version of Postgres that still gets corrections, and knows all settings of a session.
const OLDEST: u32 = 14;
/// The most connections of one server: the writer, the projection and a spare one of each while
/// they reconnect, the pools of the log, of the read model and of its large reads.
pub(super) const CONNECTIONS: u32 = 20;

const MAY_USE_SCHEMA: &str = "SELECT (coalesce(has_schema_privilege(schema, 'USAGE'), false)
         AND coalesce(has_schema_privilege(schema, 'CREATE'), false))::text
     FROM to_regnamespace('public') AS schema";

/// Refuses a Postgres that is too old, a database in an encoding that lacks characters or without a
/// schema for the tables, and a pooler that lends its sessions for one transaction. Prepares no statement, so that such a pooler is told
/// apart from a broken database, and changes nothing.
pub(super) async fn suitable(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<(), OpenError> {
    let version = connection.server_version_num().unwrap_or(u32::MAX) / 10_000;
    if version < OLDEST {
        return Err(OpenError::TooOld {
            version,
            oldest: OLDEST,
        });
    }
    if is_lent(connection, options).await? {
        return Err(OpenError::Lent);
    }
    let encoding = text(connection, "SHOW server_encoding").await?;
    // Without an encoding texts are stored as they are sent.
    if !["UTF8", "SQL_ASCII"].contains(&encoding.as_str()) {
        return Err(OpenError::Encoding(encoding));
    }
    if text(connection, MAY_USE_SCHEMA).await? != "true" {
        return Err(OpenError::Schema {
            role: text(connection, "SELECT current_user::text").await?,
        });
    }
    Ok(())
}

/// Whether a pooler hands a session to whoever has the next transaction. The writer's lock, its
/// settings and its prepared statements belong to a session, so it must keep its own.
///
/// Two clients that are connected at once have two sessions, unless they are lent: then a client
/// that begins a transaction gets the session of one that is idle, or another client's next
/// transaction gets another session.
async fn is_lent(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<bool, OpenError> {
    let own = session(connection).await?;
    let mut other = connected(options)
        .await
        .map_err(|failure| OpenError::TooFewConnections {
            said: failure.to_string(),
            needed: CONNECTIONS,
        })?;
    let begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0";
    let lent = match other.execute(begin).await {
        // A pooler that lends a session for one statement refuses transactions.
        Err(sqlx::Error::Database(_)) => true,
        Err(failure) => return Err(failure.into()),
        Ok(_) => session(&mut other).await? == own || session(connection).await? != own,
    };
    let _ = other.close().await;
    Ok(lent)
}

async fn session(connection: &mut PgConnection) -> sqlx::Result<String> {
    text(connection, "SELECT pg_backend_pid()::text").await
}

/// Runs a statement without preparing it, and without the time limit of a role. Changes nothing in
/// a session that may be somebody else's.
async fn text(connection: &mut PgConnection, statement: &str) -> sqlx::Result<String> {
    let statement = format!("SET LOCAL statement_timeout = 0; SET LOCAL jit = off; {statement}");
    let row = connection.fetch_one(statement.as_str()).await?;
    row.try_get(0)
}
