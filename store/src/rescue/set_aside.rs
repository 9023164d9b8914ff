//! The events that a rescue has removed from the log, and the queries needed to rewrite them.

use std::sync::Arc;

use causeway_domain::envelope::RawEvent;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Dot, Origin};
use sqlx::{PgConnection, PgPool, Row as _};

use crate::log::rows::{hash_from, hlc_from, origin_from, signed, unsigned};

/// Added to numbers while they change, so that no new number collides with an old one.
const BEYOND_ALL: i64 = 1 << 62;

/// Returns the offset of the first event of an origin above a seq.
pub(super) async fn first_beyond(
    connection: &mut PgConnection,
    dot: Dot,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar(
        "SELECT min(arrival) FROM events WHERE replica = $1 AND epoch = $2 AND seq > $3",
    )
    .bind(i32::from(dot.origin.replica.get()))
    .bind(i64::from(dot.origin.epoch.0))
    .bind(signed(dot.seq))
    .fetch_one(connection)
    .await
}

/// Reads a page of the log from an offset on.
pub(super) async fn page(
    connection: &mut PgConnection,
    from: i64,
    limit: i64,
) -> sqlx::Result<Vec<(i64, RawEvent)>> {
    let rows: Vec<(i64, String, Vec<u8>)> = sqlx::query_as(
        "SELECT arrival, payload::text, hash FROM events
         WHERE arrival >= $1 ORDER BY arrival LIMIT $2",
    )
    .bind(from)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(offset, payload, hash)| Ok((offset, event_from(payload, hash)?)))
        .collect()
}

/// Moves events from the log to the table of events set aside.
pub(super) async fn remove(connection: &mut PgConnection, arrivals: &[i64]) -> sqlx::Result<()> {
    sqlx::query(
        "WITH taken AS (
             DELETE FROM events WHERE arrival = ANY($1)
             RETURNING replica, epoch, seq, hlc, payload, hash
         )
         INSERT INTO set_aside_events (replica, epoch, seq, hlc, payload, hash)
         SELECT replica, epoch, seq, hlc, payload, hash FROM taken
         ON CONFLICT (replica, epoch, seq, hash) DO UPDATE SET outcome = NULL",
    )
    .bind(arrivals)
    .execute(connection)
    .await?;
    Ok(())
}

/// Renumbers the events after a removal, in the log and in each aggregate, so that no gap remains.
pub(super) async fn close_gaps(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE events e SET arrival = n.new_arrival + $1, sequence = n.new_sequence + $1
         FROM (SELECT arrival, row_number() OVER (ORDER BY arrival) AS new_arrival, sequence,
                   row_number() OVER (PARTITION BY aggregate_type, aggregate_id ORDER BY sequence)
                       AS new_sequence
               FROM events) n
         WHERE e.arrival = n.arrival
           AND (n.arrival <> n.new_arrival OR n.sequence <> n.new_sequence)",
    )
    .bind(BEYOND_ALL)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE events SET arrival = arrival - $1, sequence = sequence - $1 WHERE arrival > $1",
    )
    .bind(BEYOND_ALL)
    .execute(connection)
    .await?;
    Ok(())
}

/// Returns the origins of the events set aside, and their highest HLC reading.
pub(super) async fn origins(connection: &mut PgConnection) -> sqlx::Result<(Vec<Origin>, Hlc)> {
    let rows = sqlx::query(
        "SELECT replica, epoch, max(hlc) FROM set_aside_events
         GROUP BY replica, epoch ORDER BY replica, epoch",
    )
    .fetch_all(connection)
    .await?;
    let (mut origins, mut highest) = (Vec::new(), Hlc::default());
    for row in rows {
        origins.push(origin_from(row.try_get(0)?, row.try_get(1)?)?);
        highest = highest.max(hlc_from(row.try_get(2)?)?);
    }
    Ok((origins, highest))
}

/// Marks the events that are in the log again, byte for byte; returns their number.
pub(super) async fn mark_returned(pool: &PgPool) -> sqlx::Result<u64> {
    let marked = sqlx::query(
        "UPDATE set_aside_events s SET outcome = 'returned' FROM events e
         WHERE s.outcome IS NULL AND e.replica = s.replica AND e.epoch = s.epoch
           AND e.seq = s.seq AND e.hash = s.hash",
    )
    .execute(pool)
    .await?;
    Ok(marked.rows_affected())
}

/// Records the outcome of events that were set aside.
pub(super) async fn mark(pool: &PgPool, events: &[RawEvent], outcome: &str) -> sqlx::Result<()> {
    let hashes: Vec<&[u8]> = events.iter().map(|event| &event.hash.0[..]).collect();
    sqlx::query("UPDATE set_aside_events SET outcome = $2 WHERE hash = ANY($1)")
        .bind(hashes)
        .bind(outcome)
        .execute(pool)
        .await?;
    Ok(())
}

/// Reads events without an outcome, in order-key order, after an event.
pub(super) async fn waiting(
    pool: &PgPool,
    after: Option<&RawEvent>,
    limit: i64,
) -> sqlx::Result<Vec<RawEvent>> {
    let start = after.map(|event| event.envelope.stamp.order_key());
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT payload::text, hash FROM set_aside_events
         WHERE outcome IS NULL
           AND (hlc, replica, epoch, seq, hash) > ($1, $2, $3, $4, $5)
         ORDER BY hlc, replica, epoch, seq, hash LIMIT $6",
    )
    .bind(start.map_or(-1, |key| signed(key.hlc.get())))
    .bind(start.map_or(0, |key| i32::from(key.replica.get())))
    .bind(start.map_or(0, |key| i64::from(key.epoch.0)))
    .bind(start.map_or(0, |key| signed(key.seq)))
    .bind(after.map_or(&[][..], |event| &event.hash.0[..]))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|(payload, hash)| event_from(payload, hash))
        .collect()
}

/// Counts the events without an outcome.
pub(super) async fn count_waiting(pool: &PgPool) -> sqlx::Result<u64> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM set_aside_events WHERE outcome IS NULL")
            .fetch_one(pool)
            .await?;
    unsigned(count)
}

/// Reads all events of some aggregates of one type.
pub(super) async fn about(
    pool: &PgPool,
    aggregate: &str,
    ids: &[&str],
    users: Option<&[&str]>,
) -> sqlx::Result<Vec<RawEvent>> {
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT payload::text, hash FROM events
         WHERE aggregate_type = $1 AND aggregate_id = ANY($2)
           AND ($3::text[] IS NULL OR member = ANY($3))
         ORDER BY arrival",
    )
    .bind(aggregate)
    .bind(ids)
    .bind(users)
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|(payload, hash)| event_from(payload, hash))
        .collect()
}

fn event_from(payload: String, hash: Vec<u8>) -> sqlx::Result<RawEvent> {
    RawEvent::parse(Arc::from(payload), hash_from(hash)?)
        .map_err(|reason| sqlx::Error::Decode(reason.into()))
}
