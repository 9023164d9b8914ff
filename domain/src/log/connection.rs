//! Opens the writer's own connection: the lock, the schema, the settings, the identity.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::timeout;

use crate::hlc::{Clock, Hlc};
use crate::ids::{Epoch, Origin};

use super::identity::{self, Beginning};
use super::sidecar::{Record, Sidecar};
use super::{Head, OpenError, Options, ReadError, rows};

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How far ahead of the clock floors are promised before a new reservation must be stored.
pub(super) const RESERVATION_MS: u64 = 10_000;
/// Connections that readers share.
const READERS: u32 = 8;

/// What the writer starts with.
pub(super) struct Opened {
    pub connection: PgConnection,
    pub origin: Origin,
    pub beginning: Beginning,
    pub head: Head,
    pub clock: Clock,
    pub reserved: Hlc,
    pub sidecar: Sidecar,
    pub server: identity::Server,
}

/// Opens the database for writing, the first time in this process.
pub(super) async fn open(options: &Options, patience: Duration) -> Result<Opened, OpenError> {
    let mut connection = connect_and_lock(&options.database_url, patience).await?;
    sqlx::migrate!("../migrations").run(&mut connection).await?;
    if !options.allow_unsafe_postgres {
        refuse_unsafe(&mut connection).await?;
    }
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
    let row = stored.map(|(_, row)| row);
    let sidecar = Sidecar::in_folder(&options.data_dir);
    let cannot_use = |source| OpenError::Sidecar {
        path: sidecar.path().display().to_string(),
        source,
    };
    sidecar.create_folder().map_err(cannot_use)?;
    let file = sidecar.read().map_err(cannot_use)?;
    // Who writes is decided below, by what is held.
    let nobody = Origin {
        replica: options.replica,
        epoch: Epoch(options.fresh_epoch),
    };
    let mut head = rows::head(&mut connection, nobody).await?;
    let last_seq = row.as_ref().map_or(0, |row| head.vector.get(row.origin));
    let beginning = identity::judge(
        options.replica,
        row.as_ref(),
        file.as_ref(),
        last_seq,
        &server,
    );
    let origin = match (beginning, &row) {
        (Beginning::Continued, Some(row)) => row.origin,
        _ => identity::draw(options.replica, options.fresh_epoch, |origin| {
            head.vector.get(origin) > 0 || file.as_ref().is_some_and(|file| file.origin == origin)
        }),
    };

    let former = [
        head.highest,
        row.as_ref().map_or(Hlc::default(), |row| row.reserved),
        file.as_ref().map_or(Hlc::default(), |file| file.hlc),
    ];
    let mut clock = Clock::default();
    for reading in former {
        clock.merge(reading);
    }
    let now_ms = (options.wall)().max(clock.last().ms());
    let reserved = Hlc::at_ms(now_ms + RESERVATION_MS);
    head.origin = origin;
    head.floor = clock.last();
    rows::store_identity(&mut connection, &options.cluster, origin, reserved, &server).await?;
    let record = Record {
        origin,
        seq_seen: head.vector.get(origin),
        hlc: reserved,
        system_identifier: server.system_identifier.clone(),
        timeline: server.timeline.clone(),
    };
    sidecar.write(&record).map_err(cannot_use)?;
    Ok(Opened {
        connection,
        origin,
        beginning,
        head,
        clock,
        reserved,
        sidecar,
        server,
    })
}

/// Connects and takes the one lock that lets a session write. The session of a former connection
/// holds it until Postgres has ended that session's last transaction, so whoever gets the lock
/// sees all that was ever committed.
pub(super) async fn connect_and_lock(
    database_url: &str,
    patience: Duration,
) -> Result<PgConnection, OpenError> {
    let options = parse(database_url)?;
    let connected = timeout(CONNECT, PgConnection::connect_with(&options)).await;
    let mut connection = match connected {
        Ok(Ok(connection)) => connection,
        Ok(Err(failure)) => return Err(OpenError::Unreachable(failure.to_string())),
        Err(_) => return Err(OpenError::Unreachable("it does not answer".to_owned())),
    };
    match timeout(patience, rows::lock(&mut connection)).await {
        Ok(locked) => locked?,
        Err(_) => return Err(OpenError::InUse),
    }
    Ok(connection)
}

/// Opens the connections that readers share; none is made before it is needed.
pub(super) fn pool(database_url: &str) -> Result<PgPool, OpenError> {
    Ok(PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(Duration::from_secs(3))
        .idle_timeout(Duration::from_mins(1))
        .connect_lazy_with(parse(database_url)?))
}

/// Connects for a read model's own use. What it commits can be rebuilt, so it does not wait for
/// the disk; the log's own commits always do.
pub(crate) async fn connect_reader(database_url: &str) -> Result<PgConnection, ReadError> {
    let options = PgConnectOptions::from_str(database_url)?
        .application_name("causeway timelines")
        .options([("synchronous_commit", "off")]);
    match timeout(CONNECT, PgConnection::connect_with(&options)).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(ReadError::Database(sqlx::Error::PoolTimedOut)),
    }
}

fn parse(database_url: &str) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(database_url)
        .map_err(|refused| OpenError::Unreachable(refused.to_string()))?;
    // What keeps a lost client from holding a transaction, and with it the lock, for ever.
    Ok(options.application_name("causeway").options([
        ("idle_in_transaction_session_timeout", "5s"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_user_timeout", "10000"),
    ]))
}

async fn refuse_unsafe(connection: &mut PgConnection) -> Result<(), OpenError> {
    for (setting, value) in rows::durability(connection).await? {
        if value == "off" {
            return Err(OpenError::Unsafe { setting, value });
        }
    }
    Ok(())
}
