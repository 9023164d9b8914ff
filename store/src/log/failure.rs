//! Why the log was not opened, written or read.

use causeway_domain::ids::ReplicaId;
use causeway_domain::post::Refusal;
use sqlx::migrate::MigrateError;

use super::Unsafe;

/// Why a command or batch was not written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much is waiting already.
    #[error("too many writes are waiting")]
    Busy,
    /// The database does not answer. The write may or may not have happened.
    #[error("the database is not reachable")]
    Unavailable,
    /// The file beside the database cannot be written, which must show what was answered (F1). The write
    /// may or may not have happened.
    #[error("the file beside the database cannot be written")]
    FileStuck,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The database does not take such an event (only a peer can make one).
    #[error("the database cannot store this event")]
    Unstorable,
    /// Another writer was faster (only where a caller names the expected sequence).
    #[error("the aggregate has changed since it was read")]
    Conflict,
}

/// Why the log could not be opened, in one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No connection.
    #[error("cannot reach the database: {0}")]
    Unreachable(String),
    /// Another process writes there.
    #[error("another process is using this database; stop it first")]
    InUse,
    /// The database is another cluster's.
    #[error("the database belongs to cluster `{found}`, the configuration says `{expected}`")]
    OtherCluster {
        /// In the database.
        found: String,
        /// In the configuration.
        expected: String,
    },
    /// It takes no writes.
    #[error("the database is a standby; promote it first")]
    Standby,
    /// There is nothing to renew.
    #[error("the database is empty; its first start draws an epoch")]
    Empty,
    /// Postgres may lose what it has acknowledged.
    #[error(
        "Postgres runs with `{} = {}` and can lose acknowledged writes; set it to `{}`, or set `allow_unsafe_postgres = true` to accept that",
        .0.setting, .0.value, .0.safe
    )]
    Unsafe(Unsafe),
    /// The schema is a later version's.
    #[error(
        "a newer version of the server has changed this database ({0}): run that version, or replace this replica by an empty one"
    )]
    NewerSchema(i64),
    /// The database is another replica's: a start would go on there under a number of its own, only
    /// `check` speaks of it.
    #[error("the database was written by replica {found}, the configuration says {expected}")]
    OtherReplica {
        /// In the database.
        found: ReplicaId,
        /// In the configuration.
        expected: ReplicaId,
    },
    /// The schema could not be brought up to date.
    #[error("cannot prepare the database: {0}")]
    Migration(MigrateError),
    /// A statement failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The file beside the database cannot be read or written.
    #[error("cannot use `{path}`: {source}")]
    Sidecar {
        /// Which file.
        path: String,
        /// Why.
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
    /// A stored row is not an event, or an event is missing: never a short history (F14).
    #[error("event {0} of the log cannot be read")]
    Corrupt(i64),
}
