//! The SQL statements of the log: events to rows and back.

mod batch;
mod reads;

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_domain::chain::Hash;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::writing::{Head, Row, Server};
use sqlx::{PgConnection, Row as _};

pub(super) use batch::{insert, insert_unless_sent_before, look_up};
pub(crate) use reads::read_after;
pub(super) use reads::{hash_at, of_type, offsets, read_ranges};

/// The advisory lock that the writer's session holds, drawn once at random for this program.
const WRITER_LOCK: i64 = 0x6361_7573_6577_6179;

/// Whether Postgres rejects a value permanently. The classes of
/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>: 22 is a data exception, 23 a
/// constraint violation, 54 an exceeded program limit. Any other failure may be transient.
pub(crate) fn is_refused_value(failure: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = failure else {
        return false;
    };
    let code = error.code().unwrap_or_default();
    ["22", "23", "54"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// Waits for the lock by polling. A session that queues for it in Postgres would hold a snapshot
/// open.
pub(super) async fn lock(connection: &mut PgConnection) -> sqlx::Result<()> {
    loop {
        let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(WRITER_LOCK)
            .fetch_one(&mut *connection)
            .await?;
        if is_ours {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether any session holds the lock.
pub(super) async fn is_locked(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = pg_locks.database
             WHERE locktype = 'advisory' AND d.datname = current_database()
               AND classid::int8 << 32 | objid::int8 = $1)",
    )
    .bind(WRITER_LOCK)
    .fetch_one(connection)
    .await
}

/// Waits until Postgres accepts writes.
pub(super) async fn recovered(connection: &mut PgConnection) -> sqlx::Result<()> {
    loop {
        let is_in_recovery: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()")
            .fetch_one(&mut *connection)
            .await?;
        if !is_in_recovery {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Reads the system identifier and the timeline of Postgres.
pub(super) async fn server(connection: &mut PgConnection) -> sqlx::Result<Server> {
    let (system_identifier, timeline) = sqlx::query_as(
        "SELECT system_identifier::text, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
         FROM pg_control_system()",
    )
    .fetch_one(connection)
    .await?;
    Ok(Server {
        system_identifier,
        timeline,
    })
}

/// Reads the identity row: the cluster's name, and the origin of this database.
pub(super) async fn identity(connection: &mut PgConnection) -> sqlx::Result<Option<(String, Row)>> {
    let row = sqlx::query(
        "SELECT cluster, replica, epoch, reserved_hlc, system_identifier, timeline FROM identity",
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let identity = Row {
        origin: origin_from(row.try_get(1)?, row.try_get(2)?)?,
        reserved: hlc_from(row.try_get(3)?)?,
        system_identifier: row.try_get(4)?,
        timeline: row.try_get(5)?,
    };
    Ok(Some((row.try_get(0)?, identity)))
}

/// Writes the identity row.
pub(crate) async fn store_identity(
    connection: &mut PgConnection,
    cluster: &str,
    row: &Row,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO identity (cluster, replica, epoch, reserved_hlc, system_identifier, timeline)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (the_only_row) DO UPDATE SET
             cluster = excluded.cluster, replica = excluded.replica, epoch = excluded.epoch,
             reserved_hlc = excluded.reserved_hlc, timeline = excluded.timeline,
             system_identifier = excluded.system_identifier",
    )
    .bind(cluster)
    .bind(i32::from(row.origin.replica.get()))
    .bind(i64::from(row.origin.epoch.0))
    .bind(signed(row.reserved.get()))
    .bind(&row.system_identifier)
    .bind(&row.timeline)
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the reservation, if the log still holds this offset and the origin is unchanged.
pub(super) async fn reserve(
    connection: &mut PgConnection,
    reserved: Hlc,
    origin: Origin,
    offset: i64,
) -> sqlx::Result<()> {
    let statement = "UPDATE identity SET reserved_hlc = $1
         WHERE replica = $2 AND epoch = $3
           AND ($4 = 0 OR EXISTS (SELECT FROM events e WHERE e.arrival = $4))";
    let moved = sqlx::query(statement)
        .bind(signed(reserved.get()))
        .bind(i32::from(origin.replica.get()))
        .bind(i64::from(origin.epoch.0))
        .bind(offset)
        .execute(connection)
        .await?;
    if moved.rows_affected() == 0 {
        return Err(end_has_changed());
    }
    Ok(())
}

/// Derives the head from the rows: one look-up per origin, for any length of the log. The closed
/// timestamp stays at its lowest, since only the writer may promise one. `origin` is the writer's.
pub(super) async fn head(connection: &mut PgConnection, origin: Origin) -> sqlx::Result<Head> {
    let origins = sqlx::query(
        "WITH RECURSIVE origins AS (
             (SELECT replica, epoch FROM events ORDER BY replica, epoch LIMIT 1)
             UNION ALL
             SELECT next.replica, next.epoch FROM origins, LATERAL (
                 SELECT e.replica, e.epoch FROM events e
                 WHERE (e.replica, e.epoch) > (origins.replica, origins.epoch)
                 ORDER BY e.replica, e.epoch LIMIT 1) next
         )
         SELECT origins.replica, origins.epoch, last.seq, last.hash, last.hlc
         FROM origins, LATERAL (
             SELECT e.seq, e.hash, e.hlc FROM events e
             WHERE e.replica = origins.replica AND e.epoch = origins.epoch
             ORDER BY e.seq DESC LIMIT 1) last
         ORDER BY origins.replica, origins.epoch",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut vector = Vec::new();
    let mut hashes = BTreeMap::new();
    let mut highest = Hlc::default();
    for row in &origins {
        let held = origin_from(row.try_get(0)?, row.try_get(1)?)?;
        vector.push((held, unsigned(row.try_get(2)?)?));
        hashes.insert(held, hash_from(row.try_get(3)?)?);
        // HLC readings of an origin rise with its seqs, so its last event has the highest.
        highest = highest.max(hlc_from(row.try_get(4)?)?);
    }
    let offset = sqlx::query_scalar("SELECT coalesce(max(arrival), 0) FROM events")
        .fetch_one(connection)
        .await?;
    Ok(Head {
        origin,
        vector: vector.into_iter().collect(),
        hashes,
        closed_ts: Hlc::default(),
        highest,
        offset,
    })
}

/// Reads the events of some aggregates of one type, by aggregate and sequence.
pub(super) async fn aggregates(
    connection: &mut PgConnection,
    aggregate_type: &str,
    ids: &[&str],
) -> sqlx::Result<Vec<(String, i64, String)>> {
    sqlx::query_as(
        "SELECT aggregate_id, sequence, payload::text FROM events
         WHERE aggregate_type = $1 AND aggregate_id = ANY($2)
         ORDER BY aggregate_id, sequence",
    )
    .bind(aggregate_type)
    .bind(ids)
    .fetch_all(connection)
    .await
}

/// Reads the events that decide whether users are members of groups: for each pair the user's last
/// event in order-key order, and any one join, which proves that the group exists. The cost does
/// not grow with the group.
pub(super) async fn memberships(
    connection: &mut PgConnection,
    wanted: &[(&str, &str)],
) -> sqlx::Result<Vec<(String, String)>> {
    let (groups, users): (Vec<&str>, Vec<&str>) = wanted.iter().copied().unzip();
    sqlx::query_as(
        "SELECT wanted.aggregate_id, deciding.payload
         FROM unnest($1::text[], $2::text[]) AS wanted (aggregate_id, member),
         LATERAL (
             (SELECT e.payload::text FROM events e
              WHERE e.aggregate_id = wanted.aggregate_id AND e.member = wanted.member
              ORDER BY e.hlc DESC, e.replica DESC, e.epoch DESC, e.seq DESC LIMIT 1)
             UNION ALL
             (SELECT e.payload::text FROM events e
              WHERE e.aggregate_type = 'group' AND e.aggregate_id = wanted.aggregate_id
                AND e.event_type = 'MemberJoined' AND e.member IS NOT NULL
              ORDER BY e.sequence LIMIT 1)
         ) deciding",
    )
    .bind(groups)
    .bind(users)
    .fetch_all(connection)
    .await
}

fn end_has_changed() -> sqlx::Error {
    sqlx::Error::Protocol("the end of the log has changed".into())
}

/// Parsing has checked that numbers in events fit a signed column.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64) -> sqlx::Result<u64> {
    u64::try_from(number).map_err(|failure| sqlx::Error::Decode(failure.into()))
}

pub(crate) fn hlc_from(number: i64) -> sqlx::Result<Hlc> {
    Hlc::new(unsigned(number)?).ok_or_else(|| sqlx::Error::Decode("clock reading".into()))
}

pub(crate) fn hash_from(bytes: Vec<u8>) -> sqlx::Result<Hash> {
    bytes
        .try_into()
        .map(Hash)
        .map_err(|_| sqlx::Error::Decode("a hash has 32 bytes".into()))
}

pub(crate) fn origin_from(replica: i32, epoch: i64) -> sqlx::Result<Origin> {
    let replica = u16::try_from(replica).ok().and_then(ReplicaId::new);
    match (replica, u32::try_from(epoch)) {
        (Some(replica), Ok(epoch)) => Ok(Origin {
            replica,
            epoch: Epoch(epoch),
        }),
        _ => Err(sqlx::Error::Decode("an origin is out of range".into())),
    }
}
