//! The session on the database: how it is made, given up and proven to be the same one.

use std::time::Duration;

use causeway_domain::writing::{NotOurs, Verdict};
use tokio::time::{Instant, timeout};

use crate::log::{OpenError, connection, durability, rows};

use super::{Writer, stored};

/// How long a batch waits for the database to come back before it is answered `Unavailable`.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long one attempt to reach it may take: it may accept and never answer (F22).
const RECONNECT: Duration = Duration::from_secs(5);

/// Why a batch was not committed.
pub(super) enum Failed {
    /// The connection or Postgres: decide again on a fresh connection.
    Lost,
    /// Postgres says its disk is full.
    DiskFull,
    /// Postgres does not take one of the rows.
    Rejected,
}

/// Why there is no connection to write on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("the former session has not ended yet, or another process uses the database")]
    StillThere,
    #[error(transparent)]
    NotOpened(OpenError),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// Only a start may find out as whom to go on.
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
}

impl From<OpenError> for Lost {
    fn from(failure: OpenError) -> Self {
        match failure {
            OpenError::InUse => Self::StillThere,
            other => Self::NotOpened(other),
        }
    }
}

impl Writer {
    /// Makes sure there is a connection that holds the lock, and that what is in memory is what
    /// the rows say.
    pub(super) async fn connect(&mut self) -> Result<(), ()> {
        if self.connection.is_some() {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.reaches(RECONNECT, PATIENCE).await {
            if self.trouble.is_not_ours() || Instant::now() >= deadline {
                return Err(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Tries once to get a session, and notes what became of it. `lock` is how long the former one may
    /// take to end.
    pub(super) async fn reaches(&mut self, within: Duration, lock: Duration) -> bool {
        let why = match timeout(within, self.reconnect(lock)).await {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => {
                if matches!(failure, Lost::NotOurs(_)) {
                    self.trouble.is_not_ours_any_more();
                }
                Some(failure.to_string())
            }
            Err(_) => Some("the database takes connections and does not answer".to_owned()),
        };
        if let Some(why) = &why {
            tracing::warn!(%why, "the database cannot be written to");
        }
        let is_reached = why.is_none();
        // A session alone is no proof that anything is taken: a write is, or the next look.
        self.looked_at = None;
        if why.is_some() {
            self.trouble.session(why);
        }
        is_reached
    }

    async fn reconnect(&mut self, patience: Duration) -> Result<(), Lost> {
        let url = &self.options.database_url;
        let mut connection = connection::connect_and_lock(url, patience).await?;
        durability::demand(&mut connection, self.options.allow_unsafe_postgres).await?;
        let server = rows::server(&mut connection).await?;
        let stored = rows::identity(&mut connection).await?;
        let row = stored.map(|(_, row)| row);
        let head = rows::head(&mut connection, self.writing.origin()).await?;
        self.writing.resume(&server, row.as_ref(), head)?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Gives the session up: nothing in memory is believed any more.
    pub(super) fn forget(&mut self, failure: &sqlx::Error) -> Failed {
        tracing::warn!(
            error = failure as &dyn std::error::Error,
            "a batch could not be written"
        );
        self.connection = None;
        self.trouble.session(Some(failure.to_string()));
        self.let_ahead_fall();
        self.writing.forget();
        let sqlx::Error::Database(said) = failure else {
            return Failed::Lost;
        };
        // The classes of https://www.postgresql.org/docs/15/errcodes-appendix.html: 22 is a value
        // that no column takes, 54 a limit of the program.
        match said.code().as_deref() {
            Some("53100") => Failed::DiskFull,
            Some(code) if code.starts_with("22") || code.starts_with("54") => Failed::Rejected,
            _ => Failed::Lost,
        }
    }

    /// Settles a commit whose answer was lost: a new session gets the lock only when Postgres has
    /// ended the former one, and then the rows are there or never will be (F12).
    pub(super) fn settle(&mut self) -> Option<Vec<Verdict>> {
        let decided = self.in_doubt.take()?;
        let rows = stored(&decided);
        let verdicts = self.writing.was_committed(decided)?;
        self.tail.push(rows);
        Some(verdicts)
    }
}

/// Why a statement did not come to its end.
pub(super) fn failed<T>(
    outcome: Result<sqlx::Result<T>, tokio::time::error::Elapsed>,
) -> Option<sqlx::Error> {
    match outcome {
        Ok(Ok(_)) => None,
        Ok(Err(failure)) => Some(failure),
        Err(_) => Some(sqlx::Error::PoolTimedOut),
    }
}
