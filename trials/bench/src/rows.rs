//! The yardstick for catch-up: rows of a real log, inserted in batches by one statement each.

use std::time::Instant;

use sqlx::{PgConnection, Row as _};

use crate::load::rate;

/// The number of rows per statement.
const BATCH: usize = 500;

/// Rows of a log, by column.
pub struct Rows(Vec<Row>);

struct Row {
    texts: [String; 5],
    numbers: [i64; 7],
    hash: Vec<u8>,
    key_digest: Option<Vec<u8>>,
    member: Option<String>,
}

impl Rows {
    /// Reads the first rows of a log.
    pub async fn read(from: &mut PgConnection, count: u64) -> anyhow::Result<Self> {
        let rows = sqlx::query(
            "SELECT aggregate_type, aggregate_id, event_type, event_version, payload::text,
                 sequence, arrival, replica::bigint, epoch, seq, hlc, level::bigint,
                 hash, key_digest, member
             FROM events ORDER BY arrival LIMIT $1",
        )
        .bind(i64::try_from(count)?)
        .fetch_all(from)
        .await?;
        let mut read = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut texts: [String; 5] = Default::default();
            for (at, text) in texts.iter_mut().enumerate() {
                *text = row.try_get(at)?;
            }
            let mut numbers = [0; 7];
            for (at, number) in numbers.iter_mut().enumerate() {
                *number = row.try_get(5 + at)?;
            }
            read.push(Row {
                texts,
                numbers,
                hash: row.try_get(12)?,
                key_digest: row.try_get(13)?,
                member: row.try_get(14)?,
            });
        }
        Ok(Self(read))
    }

    /// Inserts all rows into an empty table; returns the rows per second.
    pub async fn insert(&self, into: &mut PgConnection) -> anyhow::Result<f64> {
        let begun = Instant::now();
        for batch in self.0.chunks(BATCH) {
            insert(into, batch).await?;
        }
        Ok(rate(self.0.len() as u64, begun.elapsed()))
    }
}

async fn insert(into: &mut PgConnection, batch: &[Row]) -> anyhow::Result<()> {
    let text = |at: usize| {
        batch
            .iter()
            .map(|row| row.texts[at].as_str())
            .collect::<Vec<_>>()
    };
    let number = |at: usize| batch.iter().map(|row| row.numbers[at]).collect::<Vec<_>>();
    let query = sqlx::query(
        "INSERT INTO events (aggregate_type, aggregate_id, event_type, event_version, payload,
             metadata, sequence, arrival, replica, epoch, seq, hlc, level, hash, key_digest, member)
         SELECT aggregate_type, aggregate_id, event_type, event_version, payload::json,
             '{}', sequence, arrival, replica, epoch, seq, hlc, level, hash, key_digest, member
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int8[],
             $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[],
             $13::bytea[], $14::bytea[], $15::text[])
         AS new (aggregate_type, aggregate_id, event_type, event_version, payload, sequence,
             arrival, replica, epoch, seq, hlc, level, hash, key_digest, member)",
    );
    let query = (0..5).fold(query, |query, at| query.bind(text(at)));
    let query = (0..7).fold(query, |query, at| query.bind(number(at)));
    query
        .bind(batch.iter().map(|row| &row.hash[..]).collect::<Vec<_>>())
        .bind(
            batch
                .iter()
                .map(|row| row.key_digest.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(
            batch
                .iter()
                .map(|row| row.member.as_deref())
                .collect::<Vec<_>>(),
        )
        .execute(into)
        .await?;
    Ok(())
}
