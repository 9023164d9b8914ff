//! Runs the machine's statements on the session that holds the lock.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::ids::Origin;
use causeway_domain::writing::machine::{Input, Insertion, Session, Statement, StatementFailure};
use sqlx::PgConnection;
use tokio::time::timeout;

use crate::log::trouble::Trouble;
use crate::log::{OpenError, Options, connection, durability, facts, rows, within};

/// The outcome of a statement.
pub(super) struct Ended {
    /// The session, unless it was dropped.
    pub session: Option<PgConnection>,
    pub input: Input,
}

/// The context of a statement.
pub(super) struct Runner {
    pub options: Arc<Options>,
    pub trouble: Arc<Trouble>,
}

impl Runner {
    /// Connects after a session was dropped. `origin` is the writer's.
    pub async fn connect(self, origin: Origin, within: Duration, lock: Duration) -> Ended {
        let why = match timeout(within, self.new_session(origin, lock)).await {
            Ok(Ok((session, found))) => {
                return Ended {
                    session: Some(session),
                    input: Input::Connected(Some(found)),
                };
            }
            Ok(Err(OpenError::InUse)) => {
                "the previous session has not ended yet, or another process uses the database"
                    .into()
            }
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "the database accepts connections and does not answer".to_owned(),
        };
        self.trouble.has_no_session(why);
        Ended {
            session: None,
            input: Input::Connected(None),
        }
    }

    async fn new_session(
        &self,
        origin: Origin,
        lock: Duration,
    ) -> Result<(PgConnection, Session), OpenError> {
        let options = &self.options;
        let mut session = connection::connect_and_lock(&options.database_url, lock).await?;
        durability::demand(&mut session, options.allow_unsafe_postgres).await?;
        let server = rows::server(&mut session).await?;
        let identity = rows::identity(&mut session).await?;
        let found = Session {
            server,
            row: identity.map(|(_, row)| row),
            head: rows::head(&mut session, origin).await?,
        };
        Ok((session, found))
    }

    /// Runs a statement on a session. Any failure drops the session.
    pub async fn run(self, mut session: PgConnection, statement: Statement) -> Ended {
        match statement {
            Statement::Connect { .. } => unreachable!("there is a session"),
            Statement::Read(needs) => {
                let found = within(facts::read(&mut session, &needs)).await;
                self.ended(session, found, |found| Input::Read(needs, found))
            }
            Statement::Insert(insertion) => {
                let outcome = within(insert(&mut session, &insertion)).await;
                if let Ok(true) = outcome {
                    self.trouble.session(None);
                }
                self.ended(session, outcome, |outcome| {
                    Input::Inserted(insertion, outcome)
                })
            }
            Statement::Reserve {
                reserved,
                origin,
                offset,
            } => {
                let allow_unsafe = self.options.allow_unsafe_postgres;
                let outcome = within(async {
                    // A setting can change under an open session.
                    if let Err(refused) = durability::demand(&mut session, allow_unsafe).await {
                        return Err(sqlx::Error::Configuration(refused.into()));
                    }
                    rows::reserve(&mut session, reserved, origin, offset).await
                });
                let outcome = outcome.await;
                if outcome.is_ok() {
                    self.trouble.session(None);
                }
                self.ended(session, outcome, Input::Reserved)
            }
            Statement::StoreIdentity(row) => {
                let cluster = &self.options.cluster;
                let stored = within(rows::store_identity(&mut session, cluster, &row)).await;
                self.ended(session, stored, Input::IdentityStored)
            }
        }
    }

    fn ended<T>(
        &self,
        session: PgConnection,
        outcome: sqlx::Result<T>,
        input: impl FnOnce(Result<T, StatementFailure>) -> Input,
    ) -> Ended {
        match outcome {
            Ok(value) => Ended {
                session: Some(session),
                input: input(Ok(value)),
            },
            Err(failure) => {
                tracing::warn!(
                    error = &failure as &dyn Error,
                    "a batch could not be written"
                );
                self.trouble.session(Some(failure.to_string()));
                Ended {
                    session: None,
                    input: input(Err(kind(&failure))),
                }
            }
        }
    }
}

async fn insert(session: &mut PgConnection, insertion: &Insertion) -> sqlx::Result<bool> {
    match &insertion.unmet {
        Some(needs) => facts::insert_if_new(session, needs, &insertion.rows).await,
        None => rows::insert(session, &insertion.rows).await.map(|()| true),
    }
}

/// Classifies a failure by the classes of
/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>: 22 is a data exception, 54 an
/// exceeded program limit.
fn kind(failure: &sqlx::Error) -> StatementFailure {
    let sqlx::Error::Database(error) = failure else {
        return StatementFailure::Lost;
    };
    match error.code().as_deref() {
        Some("53100") => StatementFailure::DiskFull,
        Some(code) if code.starts_with("22") || code.starts_with("54") => {
            StatementFailure::Rejected
        }
        _ => StatementFailure::Lost,
    }
}
