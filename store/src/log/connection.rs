//! Opens the writer's own connection: the lock, the schema, the settings, the identity.

use std::str::FromStr;
use std::time::Duration;

use causeway_domain::ids::{Epoch, Origin};
use causeway_domain::writing::{Beginning, Found, Writing};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::timeout;

use super::durability::{self, Unsafe};
use super::sidecar::Sidecar;
use super::{OpenError, Options, ReadError, rows};

/// Timeout of one attempt to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Timeout of one read.
const READ: Duration = Duration::from_secs(10);
/// Connections in the pool of the log's readers.
const READERS: u32 = 4;

/// Every session prefers indexes. A new database has no statistics, and a statement prepared while
/// the tables are empty would use sequential scans until Postgres analyzes them, minutes later.
const PLANS: [(&str, &str); 1] = [("enable_seqscan", "off")];

/// The writer and the read model plan each statement once. Their few statements have the same plan
/// for all parameters, and planning costs as much as execution.
const PLANNED_ONCE: [(&str, &str); 1] = [("plan_cache_mode", "force_generic_plan")];

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
    let options = options.options(PLANNED_ONCE);
    let connected = timeout(CONNECT, PgConnection::connect_with(&options)).await;
    let mut connection = match connected {
        Ok(Ok(connection)) => connection,
        Ok(Err(failure)) => return Err(unreachable(failure)),
        Err(_) => return Err(OpenError::Unreachable("it does not answer".to_owned())),
    };
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

/// Creates the pool of the log's readers. Connections are opened on demand.
pub(super) fn pool(database_url: &str) -> Result<PgPool, OpenError> {
    Ok(shared(READERS).connect_lazy_with(options(database_url).map_err(unreachable)?))
}

/// Opens a pool of one read-only connection.
pub(super) async fn read_only(database_url: &str) -> Result<PgPool, OpenError> {
    let options = options(database_url).map_err(unreachable)?;
    let options = options.options([("default_transaction_read_only", "on")]);
    let connecting = shared(1).connect_with(options);
    connecting.await.map_err(unreachable)
}

/// The options of the readers' pools.
pub(crate) fn shared(connections: u32) -> PgPoolOptions {
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

/// Connects for the projection task. The read model can be rebuilt from the log, so its commits are
/// asynchronous.
pub(crate) async fn connect_reader(database_url: &str) -> Result<PgConnection, ReadError> {
    let options = PgConnectOptions::from_str(database_url)?
        .application_name("causeway timelines")
        .options(PLANS)
        .options(PLANNED_ONCE)
        .options([("synchronous_commit", "off")]);
    match timeout(CONNECT, PgConnection::connect_with(&options)).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(ReadError::Database(sqlx::Error::PoolTimedOut)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn unreachable(failure: sqlx::Error) -> OpenError {
    OpenError::Unreachable(failure.to_string())
}

/// The connection options of the writer and of the readers' pools.
pub(crate) fn options(database_url: &str) -> sqlx::Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(database_url)?;
    // The timeouts end the transaction of a lost client, which would keep the lock otherwise.
    Ok(options
        .application_name("causeway")
        .options(PLANS)
        .options([
            ("idle_in_transaction_session_timeout", "5s"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "10000"),
        ]))
}
