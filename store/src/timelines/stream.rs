//! What streams read: the entries of the feed, by offset.

use std::sync::Arc;

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Dot, Epoch, Origin, ReplicaId};
use causeway_domain::names::{GroupName, User, UserId};
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::{Effect, FeedEntry, Kind, Search, VECTOR_EVERY};
use causeway_domain::version_vector::VersionVector;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::log::{ReadError, within};

use crate::turnstile::Turn;

use super::history::PAGE_BYTES;
use super::rows::{position_from, vector_from};
use super::{Fresh, Timelines};

const COLUMNS: &str = "arrival, group_name, kind, subject, user_id, user_name, position, level, \
     effect";

impl Timelines {
    /// Returns the entries of all groups above the offset `after` up to `up_to`, in order, at most
    /// `limit`. The newest ones are cached.
    pub async fn entries(
        &self,
        after: i64,
        up_to: i64,
        limit: usize,
    ) -> Result<Vec<Arc<Fresh>>, ReadError> {
        if let Some(fresh) = self.fresh.between(after, up_to, limit) {
            return Ok(fresh);
        }
        let query = format!(
            "SELECT {COLUMNS} FROM feed WHERE arrival > $1 AND arrival <= $2
             ORDER BY arrival LIMIT $3"
        );
        let rows = within(
            sqlx::query(&query)
                .bind(after)
                .bind(up_to)
                .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                .fetch_all(&self.pool),
        )
        .await?;
        let entries = rows.iter().map(|row| {
            let entry = entry_from(row)?;
            let message = None;
            Ok(Arc::new(Fresh { entry, message }))
        });
        Ok(entries.collect::<sqlx::Result<_>>()?)
    }

    /// Reads the entries of one group above the offset `after` up to `up_to`, in order: at most
    /// `limit`, and at least one, but at most 1 MiB of the texts that they show. Returns also
    /// whether there are more.
    pub async fn group_entries(
        &self,
        group: &GroupName,
        after: i64,
        up_to: i64,
        limit: i64,
    ) -> Result<(Vec<FeedEntry>, bool), ReadError> {
        // Only memberships have subjects that are not messages.
        let query = format!(
            "SELECT {COLUMNS}, sum(bytes) OVER (ORDER BY arrival ROWS UNBOUNDED PRECEDING)::int8
             FROM (SELECT {COLUMNS}, COALESCE(
                     (SELECT octet_length(m.text) FROM messages m
                      WHERE m.id = feed.subject AND kind NOT IN ('join', 'leave')), 0) AS bytes
                 FROM feed WHERE group_name = $1 AND arrival > $2 AND arrival <= $3
                 ORDER BY arrival LIMIT $4) found
             ORDER BY arrival"
        );
        let rows = within(
            sqlx::query(&query)
                .bind(group.as_str())
                .bind(after)
                .bind(up_to)
                .bind(limit)
                .fetch_all(&self.large.pool()),
        )
        .await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            if !entries.is_empty() && row.try_get::<i64, _>(9)? > PAGE_BYTES {
                return Ok((entries, true));
            }
            entries.push(entry_from(row)?);
        }
        let is_full = i64::try_from(rows.len()).is_ok_and(|read| read == limit);
        Ok((entries, is_full))
    }

    /// Waits for the user's turn to read much. Whoever reads again and again takes a turn for each
    /// step.
    pub async fn turn_to_read(&self, user: &UserId) -> Result<Turn<UserId>, ReadError> {
        self.large.enter(user).await
    }

    /// Reads what [`causeway_domain::timeline::Progress`] needs to judge some entries: all entries
    /// of the same registers, and for `rechecked` ones also those above the offset `since` about
    /// the same messages. In order of offset.
    pub async fn rivals(
        &self,
        entries: &[&FeedEntry],
        rechecked: &[&FeedEntry],
        since: i64,
    ) -> Result<Vec<FeedEntry>, ReadError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let (copies, declarations): (Vec<&FeedEntry>, Vec<&FeedEntry>) =
            entries.iter().partition(|entry| entry.kind.is_copy());
        let about_messages = rechecked.iter().filter(|entry| !entry.kind.is_membership());
        let about_messages: Vec<&FeedEntry> = about_messages.copied().collect();
        // Copies are found by the events of their message, the rest by subject, which few entries
        // share: both have an index.
        let query = format!(
            "SELECT {COLUMNS} FROM feed
             WHERE kind IN ('message', 'moved') AND arrival IN (
                 SELECT e.arrival FROM events e
                 WHERE e.aggregate_type = 'post' AND e.aggregate_id = ANY($1 || $5))
             UNION
             SELECT {COLUMNS} FROM feed
             WHERE kind IN ('join', 'leave', 'like', 'unlike') AND subject = ANY($2) AND EXISTS (
                 SELECT FROM unnest($2::text[], $3::text[], $4::text[])
                     AS of (subject, group_name, user_id)
                 WHERE of.subject = feed.subject AND of.group_name = feed.group_name
                   AND of.user_id = feed.user_id)
             UNION
             SELECT {COLUMNS} FROM feed
             WHERE kind IN ('join', 'leave', 'like', 'unlike') AND subject = ANY($5)
               AND arrival > $6
             ORDER BY arrival"
        );
        let rows = within(
            sqlx::query(&query)
                .bind(text(&copies, |entry| &entry.subject))
                .bind(text(&declarations, |entry| &entry.subject))
                .bind(text(&declarations, |entry| entry.group.as_str()))
                .bind(text(&declarations, |entry| &entry.user.id.0))
                .bind(text(&about_messages, |entry| &entry.subject))
                .bind(since)
                .fetch_all(&self.pool),
        )
        .await?;
        Ok(rows.iter().map(entry_from).collect::<sqlx::Result<_>>()?)
    }

    /// Returns, for each entry, the last stored version vector of the log at or before its offset,
    /// if that is above the offset `after`.
    pub async fn vectors_of(
        &self,
        after: i64,
        entries: &[FeedEntry],
    ) -> Result<Vec<(i64, VersionVector)>, ReadError> {
        let last = entries.last().map_or(after, |entry| entry.offset);
        if last / VECTOR_EVERY == after / VECTOR_EVERY {
            return Ok(Vec::new());
        }
        let mut kept: Vec<i64> = entries
            .iter()
            .map(|entry| entry.offset - entry.offset % VECTOR_EVERY)
            .filter(|offset| *offset > after)
            .collect();
        kept.dedup();
        let rows: Vec<(i64, String)> = within(
            sqlx::query_as(
                "SELECT arrival, vector FROM log_vectors WHERE arrival = ANY($1) ORDER BY arrival",
            )
            .bind(kept)
            .fetch_all(&self.pool),
        )
        .await?;
        let vectors = rows
            .iter()
            .map(|(offset, vector)| Ok((*offset, vector_from(vector)?)));
        Ok(vectors.collect::<sqlx::Result<_>>()?)
    }

    /// Returns the order key of the newest message of a group that a vector covers, if it is among
    /// the last 50.
    pub async fn newest_covered(
        &self,
        group: &GroupName,
        given: &VersionVector,
    ) -> Result<Option<OrderKey>, ReadError> {
        let positions: Vec<String> = within(sqlx::query_scalar(
            "SELECT position FROM messages WHERE group_name = $1 ORDER BY position DESC LIMIT 50",
        )
        .bind(group.as_str())
        .fetch_all(&self.pool)).await?;
        for position in &positions {
            let position = position_from(position)?;
            if given.covers(position.dot()) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Returns the offset just before the first event that a search is for, and the offset of the
    /// last delivered one. One look-up per origin.
    pub async fn search(&self, search: &Search) -> Result<(i64, i64), ReadError> {
        let held = self.checkpoint();
        let lacking = held.vector.beyond(&search.beyond);
        let lacking = lacking.iter().map(|range| (range.origin, range.first));
        let first = self.arrivals("min", lacking).await?;
        let delivered = held.vector.common(&search.within);
        let last = self.arrivals("max", delivered.iter()).await?;
        Ok((
            first.map_or(held.offset, |first| first - 1),
            last.unwrap_or(0),
        ))
    }

    /// Returns the lowest HLC reading of all events above an offset. Readings of an origin rise, so
    /// the first event of each origin above it is enough.
    pub async fn lowest_after(&self, offset: i64) -> Result<Option<Hlc>, ReadError> {
        let held = self.checkpoint();
        let kept = offset - offset % VECTOR_EVERY;
        let vector: Option<String> = within(
            sqlx::query_scalar("SELECT vector FROM log_vectors WHERE arrival = $1")
                .bind(kept)
                .fetch_optional(&self.pool),
        )
        .await?;
        let (kept, mut vector) = match vector {
            Some(vector) => (kept, vector_from(&vector)?),
            None => (0, VersionVector::default()),
        };
        let since: Vec<(i32, i64, i64)> = within(
            sqlx::query_as(
                "SELECT replica, epoch, max(seq) FROM events
                 WHERE arrival > $1 AND arrival <= $2 GROUP BY replica, epoch ORDER BY 1, 2",
            )
            .bind(kept)
            .bind(offset)
            .fetch_all(&self.pool),
        )
        .await?;
        for (replica, epoch, seq) in since {
            vector.record(dot_from(replica, epoch, seq)?);
        }
        let lacking = held.vector.beyond(&vector);
        let (replicas, epochs, seqs) = columns(lacking.iter().map(|it| (it.origin, it.first)));
        let lowest: Option<i64> = within(
            sqlx::query_scalar(
                "SELECT min(e.hlc)
                 FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS of (replica, epoch, seq)
                 JOIN events e USING (replica, epoch, seq)",
            )
            .bind(replicas)
            .bind(epochs)
            .bind(seqs)
            .fetch_one(&self.pool),
        )
        .await?;
        Ok(lowest.and_then(|hlc| u64::try_from(hlc).ok().and_then(Hlc::new)))
    }

    async fn arrivals(
        &self,
        extreme: &str,
        dots: impl Iterator<Item = (Origin, u64)>,
    ) -> Result<Option<i64>, ReadError> {
        let (replicas, epochs, seqs) = columns(dots);
        let query = format!(
            "SELECT {extreme}(e.arrival)
             FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS of (replica, epoch, seq)
             JOIN events e USING (replica, epoch, seq)"
        );
        let offset = sqlx::query_scalar(&query)
            .bind(replicas)
            .bind(epochs)
            .bind(seqs)
            .fetch_one(&self.pool);
        Ok(within(offset).await?)
    }

    /// Whether a group has an event of a level above `level` that a vector covers. An older version
    /// that issued such a vector did not show that event.
    pub async fn has_newer_under(
        &self,
        group: &GroupName,
        level: u32,
        given: &VersionVector,
    ) -> Result<bool, ReadError> {
        let query = format!(
            "SELECT {COLUMNS} FROM feed WHERE group_name = $1 AND level > $2 ORDER BY arrival"
        );
        let rows = within(
            sqlx::query(&query)
                .bind(group.as_str())
                .bind(i32::try_from(level).unwrap_or(i32::MAX))
                .fetch_all(&self.pool),
        )
        .await?;
        for row in &rows {
            if given.covers(entry_from(row)?.position.dot()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn text<'a>(entries: &[&'a FeedEntry], of: fn(&FeedEntry) -> &str) -> Vec<&'a str> {
    entries.iter().map(|entry| of(entry)).collect()
}

fn columns(dots: impl Iterator<Item = (Origin, u64)>) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
    let (replicas, (epochs, seqs)) = dots
        .map(|(Origin { replica, epoch }, seq)| {
            let seq = i64::try_from(seq).unwrap_or(i64::MAX);
            (i64::from(replica.get()), (i64::from(epoch.0), seq))
        })
        .unzip();
    (replicas, epochs, seqs)
}

fn dot_from(replica: i32, epoch: i64, seq: i64) -> sqlx::Result<Dot> {
    let replica = u16::try_from(replica).ok().and_then(ReplicaId::new);
    let (epoch, seq) = (u32::try_from(epoch).ok(), u64::try_from(seq).ok());
    match (replica, epoch, seq) {
        (Some(replica), Some(epoch), Some(seq)) => {
            let epoch = Epoch(epoch);
            let origin = Origin { replica, epoch };
            Ok(Dot { origin, seq })
        }
        _ => Err(sqlx::Error::Decode("an event's dot is out of range".into())),
    }
}

fn entry_from(row: &PgRow) -> sqlx::Result<FeedEntry> {
    let unreadable = || sqlx::Error::Decode("a feed entry is out of range".into());
    let (group, kind, position, effect): (String, String, String, String) = (
        row.try_get(1)?,
        row.try_get(2)?,
        row.try_get(6)?,
        row.try_get(8)?,
    );
    Ok(FeedEntry {
        offset: row.try_get(0)?,
        group: GroupName::stored(&group).map_err(|_| unreadable())?,
        kind: Kind::parse(&kind).ok_or_else(unreadable)?,
        subject: row.try_get(3)?,
        user: User {
            id: UserId(row.try_get(4)?),
            name: row.try_get(5)?,
        },
        position: position_from(&position)?,
        level: u32::try_from(row.try_get::<i32, _>(7)?).map_err(|_| unreadable())?,
        effect: Effect::parse(&effect).ok_or_else(unreadable)?,
    })
}
