//! The statements of a writer's batch: look up aggregates and keys, and insert the new rows.

use causeway_domain::stamp::Stamp;
use causeway_domain::writing::NewRow;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row as _};

use super::{end_has_changed, signed};

/// The statement that inserts a batch, if the event before it is still there: a restore may remove
/// rows under an open session (F32).
macro_rules! insert {
    ($condition:literal) => {
        concat!(
            "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version,
                 payload, metadata, arrival, replica, epoch, seq, hlc, level, hash, key_digest,
                 member)
             SELECT aggregate_type, aggregate_id, sequence, event_type, level::text,
                 payload::json, '{}', arrival, replica, epoch, seq, hlc, level, hash, key_digest,
                 member
             FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[], $5::text[], $6::int8[],
                 $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::bytea[],
                 $13::bytea[], $14::text[])
             AS new (aggregate_type, aggregate_id, sequence, event_type, payload, arrival,
                 replica, epoch, seq, hlc, level, hash, key_digest, member)
             WHERE ($15 = 0 OR EXISTS (SELECT FROM events e WHERE e.arrival = $15)) ",
            $condition
        )
    };
}

/// Commits a non-empty batch: one statement, which is one transaction. It fails as a whole on any
/// conflict, and if the offset before the batch is missing.
pub(in crate::log) async fn insert(
    connection: &mut PgConnection,
    rows: &[NewRow],
) -> sqlx::Result<()> {
    let inserted = bound(insert!(""), rows).execute(connection).await?;
    if inserted.rows_affected() == 0 {
        return Err(end_has_changed());
    }
    Ok(())
}

/// Commits a non-empty batch if no message has any of the keys, and returns whether it did. Writes
/// nothing otherwise.
pub(in crate::log) async fn insert_unless_sent_before(
    connection: &mut PgConnection,
    rows: &[NewRow],
    digests: &[&[u8]],
) -> sqlx::Result<bool> {
    // One index look-up per key: for a single condition over all of them Postgres may scan every
    // stored key.
    let statement = insert!(
        "AND NOT EXISTS (SELECT FROM unnest($16::bytea[]) AS wanted (digest),
                 LATERAL (SELECT FROM events e WHERE e.key_digest = wanted.digest LIMIT 1) there)"
    );
    let inserted = bound(statement, rows)
        .bind(digests)
        .execute(connection)
        .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Binds the columns of a batch to the first parameters of a statement.
fn bound<'q>(statement: &'static str, rows: &'q [NewRow]) -> Query<'q, Postgres, PgArguments> {
    let column = |of: fn(&NewRow) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    let text = |of: fn(&NewRow) -> &str| rows.iter().map(of).collect::<Vec<&str>>();
    let stamped = |of: fn(&Stamp) -> i64| {
        let stamps = rows.iter().map(|row| &row.event.envelope.stamp);
        stamps.map(of).collect::<Vec<i64>>()
    };
    sqlx::query(statement)
        .bind(text(|row| &row.event.envelope.aggregate))
        .bind(text(|row| &row.event.envelope.id))
        .bind(column(|row| row.sequence))
        .bind(text(|row| &row.event.envelope.kind))
        .bind(text(|row| &row.event.bytes))
        .bind(column(|row| row.offset))
        .bind(stamped(|stamp| i64::from(stamp.origin.replica.get())))
        .bind(stamped(|stamp| i64::from(stamp.origin.epoch.0)))
        .bind(stamped(|stamp| signed(stamp.seq)))
        .bind(stamped(|stamp| signed(stamp.hlc.get())))
        .bind(column(|row| i64::from(row.event.envelope.level)))
        .bind(
            rows.iter()
                .map(|row| &row.event.hash.0[..])
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|row| row.key_digest.as_ref().map(|digest| &digest[..]))
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|row| row.member.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(rows.first().map_or(0, |row| row.offset - 1))
}

/// The result of a look-up: (type, id, last sequence) of aggregates, (digest, message) of keys.
pub(in crate::log) type LookedUp = (Vec<(String, String, i64)>, Vec<(Vec<u8>, String)>);

/// Reads the last sequence of aggregates, and the messages with some keys. Unknown aggregates and
/// keys are left out.
pub(in crate::log) async fn look_up(
    connection: &mut PgConnection,
    aggregates: &[(&str, &str)],
    digests: &[&[u8]],
) -> sqlx::Result<LookedUp> {
    let (types, ids): (Vec<&str>, Vec<&str>) = aggregates.iter().copied().unzip();
    let rows = sqlx::query(
        "SELECT wanted.aggregate_type, wanted.aggregate_id, last.sequence, NULL::bytea AS key_digest
         FROM unnest($1::text[], $2::text[]) AS wanted (aggregate_type, aggregate_id),
         LATERAL (SELECT e.sequence FROM events e
             WHERE e.aggregate_type = wanted.aggregate_type
               AND e.aggregate_id = wanted.aggregate_id
             ORDER BY e.sequence DESC LIMIT 1) last
         UNION ALL
         SELECT DISTINCT NULL, e.aggregate_id, NULL::bigint, e.key_digest FROM events e
         WHERE e.key_digest = ANY($3)
         ORDER BY 1, 2, 4",
    )
        .bind(types)
        .bind(ids)
        .bind(digests)
        .fetch_all(connection)
        .await?;
    let (mut sequences, mut keys) = (Vec::new(), Vec::new());
    for row in &rows {
        match row.try_get(0)? {
            Some(aggregate_type) => {
                sequences.push((aggregate_type, row.try_get(1)?, row.try_get(2)?));
            }
            None => keys.push((row.try_get(3)?, row.try_get(1)?)),
        }
    }
    Ok((sequences, keys))
}
