//! Reading the log: for peers, for the read model, for whoever compares chains.

use std::sync::Arc;

use sqlx::{PgExecutor, PgPool};

use crate::chain::Hash;
use crate::envelope::RawEvent;
use crate::ids::Origin;
use crate::log::{ReadError, Stored, within};
use crate::version_vector::Range;

use super::{hash_from, signed};

/// Reads ranges of origins, in the order of this log. Each range is cut to `limit` before they are
/// merged, so the cost follows the answer, not the log.
pub(in crate::log) async fn read_ranges(
    pool: &PgPool,
    ranges: &[Range],
    limit: usize,
    max_bytes: usize,
) -> Result<Vec<RawEvent>, ReadError> {
    if ranges.is_empty() {
        return Ok(Vec::new());
    }
    let column = |of: fn(&Range) -> i64| ranges.iter().map(of).collect::<Vec<i64>>();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows: Vec<(i64, String, Vec<u8>)> = within(
        sqlx::query_as(
            "SELECT e.arrival, e.payload::text, e.hash
         FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[])
              AS wanted (replica, epoch, first, last),
         LATERAL (SELECT arrival, payload, hash FROM events
             WHERE replica = wanted.replica AND epoch = wanted.epoch
               AND seq BETWEEN wanted.first AND wanted.last
             ORDER BY seq LIMIT $5) e
         ORDER BY e.arrival LIMIT $5",
        )
        .bind(column(|range| i64::from(range.origin.replica.get())))
        .bind(column(|range| i64::from(range.origin.epoch.0)))
        .bind(column(|range| signed(range.first)))
        .bind(column(|range| signed(range.last)))
        .bind(limit)
        .fetch_all(pool),
    )
    .await?;
    let mut events = Vec::with_capacity(rows.len());
    let mut bytes = 0;
    for (arrival, payload, hash) in rows {
        bytes += payload.len();
        if bytes > max_bytes && !events.is_empty() {
            break;
        }
        events.push(event_from(arrival, payload, hash)?);
    }
    Ok(events)
}

/// Reads the log after a place, and makes sure that nothing is missing in between (F14).
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
    for ((arrival, sequence, payload, hash), expected) in rows.into_iter().zip(after + 1..) {
        if arrival != expected {
            return Err(ReadError::Corrupt(expected));
        }
        events.push(Stored {
            arrival,
            sequence,
            event: event_from(arrival, payload, hash)?,
        });
    }
    Ok(events)
}

/// Reads the chain up to one event.
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

fn event_from(arrival: i64, payload: String, hash: Vec<u8>) -> Result<RawEvent, ReadError> {
    let hash = hash_from(hash)?;
    RawEvent::parse(Arc::from(payload), hash).map_err(|reason| {
        tracing::error!(arrival, %reason, "a stored event cannot be read");
        ReadError::Corrupt(arrival)
    })
}
