//! Reads of the log: for peers, for the read model, and for the comparison of chains.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::Origin;
use causeway_domain::version_vector::Range;
use cqrs_es::persist::SerializedEvent;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, PgPool, Row as _};

use crate::log::{ReadError, Stored, within};

use super::{hash_from, signed};

/// Reads ranges of origins, in the order of this log. Each range is limited before the merge, so
/// the cost depends on the answer and not on the log.
pub(in crate::log) async fn read_ranges(
    pool: &PgPool,
    ranges: &[Range],
    limit: usize,
    max_bytes: usize,
) -> Result<Vec<RawEvent>, ReadError> {
    if ranges.is_empty() {
        return Ok(Vec::new());
    }
    let rows = rows_within(pool, ranges, limit, max_bytes).await?;
    let events = rows.into_iter();
    events
        .map(|(offset, payload, hash)| event_from(offset, payload, hash))
        .collect()
}

type Row = (i64, String, Vec<u8>);

/// Postgres applies the byte limit: a thousand large events would fill memory before a limit here
/// could apply.
async fn rows_within(
    pool: &PgPool,
    ranges: &[Range],
    limit: usize,
    max_bytes: usize,
) -> Result<Vec<Row>, ReadError> {
    let column = |of: fn(&Range) -> i64| ranges.iter().map(of).collect::<Vec<i64>>();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let max_bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
    let rows = within(
        sqlx::query_as(
            "SELECT arrival, payload, hash FROM (
         SELECT arrival, payload, hash,
             sum(octet_length(payload)) OVER (ORDER BY arrival) AS bytes,
             row_number() OVER (ORDER BY arrival) AS place
         FROM (SELECT e.arrival, e.payload::text AS payload, e.hash
         FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[])
              AS wanted (replica, epoch, first, last),
         LATERAL (SELECT arrival, payload, hash FROM events
             WHERE replica = wanted.replica AND epoch = wanted.epoch
               AND seq BETWEEN wanted.first AND wanted.last
             ORDER BY seq LIMIT $5) e
         ORDER BY e.arrival LIMIT $5) first
         ) summed WHERE bytes <= $6 OR place = 1 ORDER BY arrival",
        )
        .bind(column(|range| i64::from(range.origin.replica.get())))
        .bind(column(|range| i64::from(range.origin.epoch.0)))
        .bind(column(|range| signed(range.first)))
        .bind(column(|range| signed(range.last)))
        .bind(limit)
        .bind(max_bytes)
        .fetch_all(pool),
    )
    .await?;
    Ok(rows)
}

/// Reads the log above an offset, and verifies that no offset is missing (F14).
pub(crate) async fn read_after(
    connection: impl PgExecutor<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<Stored>, ReadError> {
    let rows: Vec<(i64, i64, String, Vec<u8>)> = within(
        sqlx::query_as(
            "SELECT arrival, sequence, payload::text, hash FROM events
         WHERE arrival > $1 ORDER BY arrival LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(connection),
    )
    .await?;
    let mut events = Vec::with_capacity(rows.len());
    for ((offset, sequence, payload, hash), expected) in rows.into_iter().zip(after + 1..) {
        if offset != expected {
            return Err(ReadError::Corrupt(expected));
        }
        events.push(Stored {
            offset,
            sequence,
            event: event_from(offset, payload, hash)?,
        });
    }
    Ok(events)
}

/// Reads the chain hash at an event.
pub(in crate::log) async fn hash_at(
    pool: &PgPool,
    origin: Origin,
    seq: u64,
) -> sqlx::Result<Option<Hash>> {
    let hash: Option<Vec<u8>> = within(
        sqlx::query_scalar(
            "SELECT hash FROM events WHERE replica = $1 AND epoch = $2 AND seq = $3",
        )
        .bind(i32::from(origin.replica.get()))
        .bind(i64::from(origin.epoch.0))
        .bind(signed(seq))
        .fetch_optional(pool),
    )
    .await?;
    hash.map(hash_from).transpose()
}

fn event_from(offset: i64, payload: String, hash: Vec<u8>) -> Result<RawEvent, ReadError> {
    let hash = hash_from(hash)?;
    RawEvent::parse(Arc::from(payload), hash).map_err(|reason| {
        tracing::error!(offset, %reason, "a stored event cannot be read");
        ReadError::Corrupt(offset)
    })
}

/// Reads the offsets of the events of an aggregate, by sequence.
pub(in crate::log) async fn offsets(
    pool: &PgPool,
    aggregate_type: &str,
    id: &str,
) -> sqlx::Result<BTreeMap<usize, String>> {
    let query = sqlx::query_as(
        "SELECT sequence, arrival::text FROM events
         WHERE aggregate_type = $1 AND aggregate_id = $2 ORDER BY sequence",
    )
    .bind(aggregate_type)
    .bind(id);
    let rows: Vec<(i64, String)> = within(query.fetch_all(pool)).await?;
    let rows = rows.into_iter();
    let by_sequence =
        rows.map(|(sequence, offset)| (usize::try_from(sequence).unwrap_or(0), offset));
    Ok(by_sequence.collect())
}

/// Reads events of one aggregate type above an offset, with their offsets, as cqrs-es represents
/// them.
pub(in crate::log) async fn of_type(
    pool: &PgPool,
    aggregate_type: &str,
    after: i64,
    limit: usize,
) -> sqlx::Result<Vec<(i64, SerializedEvent)>> {
    let query = sqlx::query(
        "SELECT arrival, aggregate_id, sequence, event_type, event_version, payload, metadata
         FROM events WHERE aggregate_type = $1 AND arrival > $2 ORDER BY arrival LIMIT $3",
    )
    .bind(aggregate_type)
    .bind(after)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = within(query.fetch_all(pool)).await?;
    let event = |row: &PgRow| {
        let event = SerializedEvent {
            aggregate_id: row.try_get(1)?,
            sequence: usize::try_from(row.try_get::<i64, _>(2)?).unwrap_or(0),
            aggregate_type: aggregate_type.to_owned(),
            event_type: row.try_get(3)?,
            event_version: row.try_get(4)?,
            payload: row.try_get(5)?,
            metadata: row.try_get(6)?,
        };
        Ok((row.try_get(0)?, event))
    };
    rows.iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use causeway_domain::ids::{Epoch, ReplicaId};
    use causeway_postgres::Disposable;
    use sqlx::{Connection, PgConnection};

    use super::*;

    #[tokio::test]
    async fn postgres_hands_out_no_more_bytes_than_were_asked_for_but_always_one_event() {
        let (pool, range) = ten_rows_of_a_thousand_bytes().await;

        for (max_bytes, rows) in [(0, 1), (1_000, 1), (1_999, 1), (3_500, 3), (usize::MAX, 10)] {
            let read = rows_within(&pool, &[range], 1_000, max_bytes).await;

            let arrivals: Vec<i64> = read.unwrap().into_iter().map(|row| row.0).collect();
            assert_eq!(arrivals, (1..=rows).collect::<Vec<i64>>(), "{max_bytes}");
        }
    }

    async fn ten_rows_of_a_thousand_bytes() -> (PgPool, Range) {
        let postgres = tokio::task::spawn_blocking(Disposable::shared).await;
        let postgres = postgres.unwrap();
        let mut admin = PgConnection::connect(&postgres.url()).await.unwrap();
        sqlx::raw_sql("CREATE DATABASE reads")
            .execute(&mut admin)
            .await
            .unwrap();
        let pool = PgPool::connect(&postgres.database_url("reads"))
            .await
            .unwrap();
        let table = "CREATE TABLE events AS
            SELECT n::int8 AS arrival, n::int8 AS seq, 1 AS replica, 7::int8 AS epoch, 'x'::bytea AS hash,
                to_json(repeat('x', 998)) AS payload
            FROM generate_series(1, 10) n";
        sqlx::raw_sql(table).execute(&pool).await.unwrap();
        let origin = Origin {
            replica: ReplicaId::new(1).unwrap(),
            epoch: Epoch(7),
        };
        let range = Range {
            origin,
            first: 1,
            last: 10,
        };
        (pool, range)
    }
}
