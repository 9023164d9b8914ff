//! Errors of opening, writing and reading the log.

use causeway_domain::ids::ReplicaId;
use causeway_domain::post::Refusal;
use sqlx::migrate::MigrateError;

use super::Unsafe;

/// Why a command or batch was not written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// The domain rules refuse the command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The write queue is full.
    #[error("too many writes are waiting")]
    Busy,
    /// The database does not answer. The write may have been committed.
    #[error("the database is not reachable")]
    Unavailable,
    /// The file beside the database, which must cover every acknowledged write, cannot be written
    /// (F1). The write may have been committed.
    #[error("the file beside the database cannot be written")]
    FileStuck,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The database cannot store the event. Only a peer can send such an event.
    #[error("the database cannot store this event")]
    Unstorable,
}

/// Why the log could not be opened, in one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No connection.
    #[error("cannot reach the database: {0}")]
    Unreachable(String),
    /// Another process holds the writer's lock.
    #[error("another process is using this database; stop it first")]
    InUse,
    /// The database is another cluster's.
    #[error("the database belongs to cluster `{found}`, the configuration says `{expected}`")]
    OtherCluster {
        /// The name in the database.
        found: String,
        /// The name in the configuration.
        expected: String,
    },
    /// The database is a standby and accepts no writes.
    #[error("the database is a standby; promote it first")]
    Standby,
    /// The database is empty: it has no epoch to renew.
    #[error("the database is empty; its first start draws an epoch")]
    Empty,
    /// Postgres may lose what it has acknowledged.
    #[error(
        "Postgres runs with `{} = {}` and can lose acknowledged writes; set it to `{}`, or set `allow_unsafe_postgres = true` to accept that",
        .0.setting, .0.value, .0.safe
    )]
    Unsafe(Unsafe),
    /// Postgres is too old.
    #[error("Postgres {version} is too old; use version {oldest} or newer")]
    TooOld {
        /// Its major version.
        version: u32,
        /// The oldest major version that is supported.
        oldest: u32,
    },
    /// The database cannot store every text.
    #[error(
        "the database has the encoding {0}, which cannot store every text; create one with `ENCODING 'UTF8' TEMPLATE template0`"
    )]
    Encoding(String),
    /// The tables cannot be created.
    #[error(
        "the role `{role}` may not create tables in the schema `public`; run `ALTER DATABASE … OWNER TO {role}`, and create the schema if it is missing"
    )]
    Schema {
        /// The role of the session.
        role: String,
    },
    /// A pooler in transaction or statement mode is in front.
    #[error(
        "the pooler in front of the database gives each transaction another session; set `pool_mode = session` for this database, or connect to Postgres directly"
    )]
    Lent,
    /// A second connection fails.
    #[error(
        "the database does not accept a second connection ({said}); allow {needed} connections for this server, in Postgres (`max_connections`, `CONNECTION LIMIT`) and in a pooler (`pool_size`)"
    )]
    TooFewConnections {
        /// Why it fails.
        said: String,
        /// How many connections this server may open.
        needed: u32,
    },
    /// The schema is a later version's.
    #[error(
        "a newer version of the server has changed this database ({0}): run that version, or replace this replica by an empty one"
    )]
    NewerSchema(i64),
    /// The database is another replica's. Only `check` reports this: a start would continue there
    /// with a new origin.
    #[error("the database was written by replica {found}, the configuration says {expected}")]
    OtherReplica {
        /// The number in the database.
        found: ReplicaId,
        /// The number in the configuration.
        expected: ReplicaId,
    },
    /// The migrations failed.
    #[error("cannot prepare the database: {0}")]
    Migration(MigrateError),
    /// A statement failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The file beside the database cannot be read or written.
    #[error("cannot use `{path}`: {source}")]
    Sidecar {
        /// The path of the file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl From<MigrateError> for OpenError {
    fn from(failure: MigrateError) -> Self {
        match failure {
            MigrateError::VersionMissing(change) => Self::NewerSchema(change),
            other => Self::Migration(other),
        }
    }
}

/// Why reading the log failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database does not answer or failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A stored row is not an event, or an event is missing. A read never returns less instead
    /// (F14).
    #[error("event {0} of the log cannot be read")]
    Corrupt(i64),
    /// Too many reads of the same user wait, or they wait too long.
    #[error("too many reads of this user wait")]
    Busy,
}
