//! Opens the writer's own connection: the lock, the schema, the settings, the identity.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::ids::{Epoch, Origin};
use causeway_domain::writing::{Beginning, Found, Writing};
use futures_util::future::BoxFuture;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::timeout;

use super::durability::{self, Unsafe};
use super::session::{self, Purpose};
use super::sidecar::Sidecar;
use super::{OpenError, Options, ReadError, demand, rows};

/// Timeout of one attempt to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Timeout of one read.
const READ: Duration = Duration::from_secs(10);
/// Connections in the pool of the log's readers.
const READERS: u32 = 4;

/// The state that the writer starts with.
pub(super) struct Opened {
    pub unsafe_settings: Vec<Unsafe>,
    pub connection: PgConnection,
    pub beginning: Beginning,
    pub writing: Writing,
    pub sidecar: Sidecar,
}

/// The state that a start finds, on the connection that holds the lock.
pub(crate) struct Start {
    pub unsafe_settings: Vec<Unsafe>,
    pub connection: PgConnection,
    pub found: Found,
    pub sidecar: Sidecar,
}

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// The newest migration that this version knows.
pub(super) fn newest_migration() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// Takes the lock, migrates the schema, and reads the state that determines the origin.
pub(crate) async fn find(options: &Options, patience: Duration) -> Result<Start, OpenError> {
    let mut connection = connect_and_lock(&options.database_url, patience).await?;
    MIGRATIONS.run(&mut connection).await?;
    let unsafe_settings =
        durability::demand(&mut connection, options.allow_unsafe_postgres).await?;
    let server = rows::server(&mut connection).await?;
    let stored = rows::identity(&mut connection).await?;
    if let Some((cluster, _)) = &stored
        && *cluster != options.cluster
    {
        return Err(OpenError::OtherCluster {
            found: cluster.clone(),
            expected: options.cluster.clone(),
        });
    }
    let sidecar = Sidecar::in_folder(&options.data_dir);
    let file = with_sidecar(&sidecar, |sidecar| {
        sidecar.create_folder()?;
        sidecar.read()
    })
    .await?;
    // A placeholder: the origin is decided from the state found here.
    let undecided = Origin {
        replica: options.replica,
        epoch: Epoch(options.fresh_epoch),
    };
    let found = Found {
        row: stored.map(|(_, row)| row),
        file,
        server,
        head: rows::head(&mut connection, undecided).await?,
    };
    Ok(Start {
        unsafe_settings,
        connection,
        found,
        sidecar,
    })
}

/// Accesses the file beside the database on a blocking thread. A disk that does not answer is an
/// error.
async fn with_sidecar<T: Send + 'static>(
    sidecar: &Sidecar,
    access: impl FnOnce(&Sidecar) -> std::io::Result<T> + Send + 'static,
) -> Result<T, OpenError> {
    let file = sidecar.clone();
    let done = tokio::task::spawn_blocking(move || access(&file));
    let done = match timeout(READ, done).await {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => Err(std::io::Error::other(panic)),
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    };
    done.map_err(|failure| unusable(sidecar, failure))
}

pub(crate) fn unusable(sidecar: &Sidecar, source: std::io::Error) -> OpenError {
    OpenError::Sidecar {
        path: sidecar.path().display().to_string(),
        source,
    }
}

/// Opens the database for writing at the start of this process.
pub(super) async fn open(options: &Options, patience: Duration) -> Result<Opened, OpenError> {
    let Start {
        unsafe_settings,
        mut connection,
        found,
        sidecar,
    } = find(options, patience).await?;
    let wall_ms = (options.order)();
    let (mut writing, beginning) =
        Writing::begin(options.replica, found, wall_ms, options.fresh_epoch);
    let row = writing.row(writing.origin());
    rows::store_identity(&mut connection, &options.cluster, &row).await?;
    let record = writing.record(writing.reserved());
    let first = record.clone();
    with_sidecar(&sidecar, move |sidecar| sidecar.write(&first)).await?;
    writing.recorded(record);
    Ok(Opened {
        unsafe_settings,
        connection,
        beginning,
        writing,
        sidecar,
    })
}

/// Connects and takes the writer's lock. The session of a previous connection holds it until
/// Postgres has ended that session's last transaction, so the new holder sees every commit.
pub(super) async fn connect_and_lock(
    database_url: &str,
    patience: Duration,
) -> Result<PgConnection, OpenError> {
    let options = options(database_url).map_err(unreachable)?;
    let mut connection = connected(&options).await.map_err(unreachable)?;
    demand::suitable(&mut connection, &options).await?;
    settled(&mut connection, Purpose::Writing).await?;
    // A standby that is being promoted accepts no writes yet.
    match timeout(patience, rows::recovered(&mut connection)).await {
        Ok(recovered) => recovered?,
        Err(_) => return Err(OpenError::Standby),
    }
    match timeout(patience, rows::lock(&mut connection)).await {
        Ok(locked) => locked?,
        Err(_) => return Err(OpenError::InUse),
    }
    Ok(connection)
}

/// Opens one session that can change nothing, on a database that a start would accept.
pub async fn connect_read_only(database_url: &str) -> Result<PgConnection, OpenError> {
    let options = options(database_url).map_err(unreachable)?;
    let mut connection = connected(&options).await.map_err(unreachable)?;
    demand::suitable(&mut connection, &options).await?;
    settled(&mut connection, Purpose::Looking).await?;
    Ok(connection)
}

/// Connects, within a time limit.
pub(super) async fn connected(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    timeout(CONNECT, PgConnection::connect_with(options))
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(no_answer())))
}

async fn settled(connection: &mut PgConnection, purpose: Purpose) -> Result<(), OpenError> {
    match timeout(CONNECT, session::settle(connection, purpose)).await {
        Ok(settled) => settled.map_err(unreachable),
        Err(_) => Err(OpenError::Unreachable(NO_ANSWER.to_owned())),
    }
}

/// Creates the pool of the log's readers. Connections are opened on demand.
pub(super) fn pool(database_url: &str) -> Result<PgPool, OpenError> {
    pool_of(database_url, READERS, |_| Box::pin(async { Ok(()) })).map_err(unreachable)
}

/// Opens a pool of one read-only connection.
pub(super) async fn read_only(database_url: &str) -> Result<PgPool, OpenError> {
    let options = options(database_url).map_err(unreachable)?;
    let looking = sized(1).after_connect(|connection, _| {
        Box::pin(async move { session::settle(connection, Purpose::Looking).await })
    });
    looking.connect_with(options).await.map_err(unreachable)
}

/// Creates a pool for readers. `then` prepares each new connection further. Connections are opened
/// on demand.
pub(crate) fn pool_of(
    database_url: &str,
    connections: u32,
    then: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<()>>
    + Send
    + Sync
    + 'static,
) -> sqlx::Result<PgPool> {
    let then = Arc::new(then);
    let readers = sized(connections).after_connect(move |connection, _| {
        let then = Arc::clone(&then);
        Box::pin(async move {
            session::settle(connection, Purpose::Reading).await?;
            then(connection).await
        })
    });
    Ok(readers.connect_lazy_with(options(database_url)?))
}

fn sized(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(3))
        .idle_timeout(Duration::from_mins(1))
}

/// Limits the time of one read, for a database that accepts connections and never answers (F22).
pub(crate) async fn within<T>(reading: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(READ, reading)
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Connects for the projection task.
pub(crate) async fn connect_reader(database_url: &str) -> Result<PgConnection, ReadError> {
    let options = options(database_url)?.application_name("causeway timelines");
    let connecting = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        session::settle(&mut connection, Purpose::Projecting).await?;
        Ok(connection)
    };
    match timeout(CONNECT, connecting).await {
        Ok(connected) => connected.map_err(ReadError::Database),
        Err(_) => Err(ReadError::Database(sqlx::Error::PoolTimedOut)),
    }
}

const NO_ANSWER: &str = "it does not answer";

fn no_answer() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, NO_ANSWER)
}

fn unreachable(failure: sqlx::Error) -> OpenError {
    OpenError::Unreachable(match failure {
        sqlx::Error::Io(failure) if failure.kind() == std::io::ErrorKind::TimedOut => {
            NO_ANSWER.to_owned()
        }
        failure => failure.to_string(),
    })
}

/// The options of every connection. Each has to be settled after it is opened.
fn options(database_url: &str) -> sqlx::Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(database_url)?.application_name("causeway");
    Ok(session::portable(options))
}
