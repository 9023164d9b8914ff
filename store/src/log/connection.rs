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

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one reading may take.
const READ: Duration = Duration::from_secs(10);
/// Connections that readers of the log share.
const READERS: u32 = 4;

/// How every session plans: by index. A fresh database knows nothing of its tables, and a statement
/// that is prepared while they are empty would read them from end to end until Postgres has next
/// analyzed them, minutes later.
const PLANS: [(&str, &str); 1] = [("enable_seqscan", "off")];

/// How the writer and the read model plan: once per statement. Their few statements look the same
/// whatever is asked for, and planning them anew would cost as much as running them.
const PLANNED_ONCE: [(&str, &str); 1] = [("plan_cache_mode", "force_generic_plan")];

/// What the writer starts with.
pub(super) struct Opened {
    pub unsafe_settings: Vec<Unsafe>,
    pub connection: PgConnection,
    pub beginning: Beginning,
    pub writing: Writing,
    pub sidecar: Sidecar,
}

/// What a start finds, on the connection that holds the lock.
pub(crate) struct Start {
    pub unsafe_settings: Vec<Unsafe>,
    pub connection: PgConnection,
    pub found: Found,
    pub sidecar: Sidecar,
}

static CHANGES: Migrator = sqlx::migrate!("../migrations");

/// The last change of the schema that this version knows.
pub(super) fn newest_change() -> i64 {
    CHANGES
        .iter()
        .map(|change| change.version)
        .max()
        .unwrap_or(0)
}

/// Takes the lock, brings the schema up to date, and looks who may be written as.
pub(crate) async fn find(options: &Options, patience: Duration) -> Result<Start, OpenError> {
    let mut connection = connect_and_lock(&options.database_url, patience).await?;
    CHANGES.run(&mut connection).await?;
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
    let file = at_a_start(&sidecar, |sidecar| {
        sidecar.create_folder()?;
        sidecar.read()
    })
    .await?;
    // Who writes is decided by what is held.
    let nobody = Origin {
        replica: options.replica,
        epoch: Epoch(options.fresh_epoch),
    };
    let found = Found {
        row: stored.map(|(_, row)| row),
        file,
        server,
        head: rows::head(&mut connection, nobody).await?,
    };
    Ok(Start {
        unsafe_settings,
        connection,
        found,
        sidecar,
    })
}

/// Does something with the file beside the database, on a thread that may wait for the disk; a disk that
/// never answers is said.
async fn at_a_start<T: Send + 'static>(
    sidecar: &Sidecar,
    does: impl FnOnce(&Sidecar) -> std::io::Result<T> + Send + 'static,
) -> Result<T, OpenError> {
    let file = sidecar.clone();
    let done = tokio::task::spawn_blocking(move || does(&file));
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

/// Opens the database for writing, the first time in this process.
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
    at_a_start(&sidecar, move |sidecar| sidecar.write(&first)).await?;
    writing.recorded(record);
    Ok(Opened {
        unsafe_settings,
        connection,
        beginning,
        writing,
        sidecar,
    })
}

/// Connects and takes the one lock that lets a session write. The session of a former connection
/// holds it until Postgres has ended that session's last transaction, so whoever gets the lock
/// sees all that was ever committed.
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
    // A standby that is just being promoted takes no writes yet.
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

/// Opens the connections that readers of the log share; none is made before it is needed.
pub(super) fn pool(database_url: &str) -> Result<PgPool, OpenError> {
    Ok(shared(READERS).connect_lazy_with(options(database_url).map_err(unreachable)?))
}

/// Connects for reading alone.
pub(super) async fn read_only(database_url: &str) -> Result<PgPool, OpenError> {
    let options = options(database_url).map_err(unreachable)?;
    let options = options.options([("default_transaction_read_only", "on")]);
    let connecting = shared(1).connect_with(options);
    connecting.await.map_err(unreachable)
}

/// How readers share connections.
pub(crate) fn shared(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(3))
        .idle_timeout(Duration::from_mins(1))
}

/// Bounds one reading: a database that accepts and never answers must hold up nobody for ever (F22).
pub(crate) async fn within<T>(reading: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(READ, reading)
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Connects for a read model's own use: it can be made again from the log, so its commits need not
/// wait for the disk.
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

/// How every session begins that writes, or reads for others.
pub(crate) fn options(database_url: &str) -> sqlx::Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(database_url)?;
    // What keeps a lost client from holding a transaction, and with it the lock, for ever.
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
