//! What streams read: the entries of a group's feed, by arrival.

use std::sync::Arc;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::ids::Origin;
use crate::log::{ReadError, within};
use crate::names::{GroupName, User, UserId};
use crate::stamp::OrderKey;
use crate::timeline::{Effect, Entry, FeedEntry, Kind};
use crate::version_vector::VersionVector;

use super::rows::position_from;
use super::{Fresh, Timelines};

const COLUMNS: &str = "arrival, group_name, kind, subject, user_id, user_name, position, level, \
     effect, contested";

impl Timelines {
    /// Returns the entries of all groups after a place in the log and up to another, in order: at
    /// most `limit`. The newest ones are at hand.
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
            let entry = entry_from(row)?.entry;
            let message = None;
            Ok(Arc::new(Fresh { entry, message }))
        });
        Ok(entries.collect::<sqlx::Result<_>>()?)
    }

    /// Reads the entries of one group after a place in the log and up to another, in order: at
    /// most `limit`.
    pub async fn group_entries(
        &self,
        group: &GroupName,
        after: i64,
        up_to: i64,
        limit: i64,
    ) -> Result<Vec<Entry>, ReadError> {
        let query = format!(
            "SELECT {COLUMNS} FROM feed
             WHERE group_name = $1 AND arrival > $2 AND arrival <= $3
             ORDER BY arrival LIMIT $4"
        );
        let rows = within(
            sqlx::query(&query)
                .bind(group.as_str())
                .bind(after)
                .bind(up_to)
                .bind(limit)
                .fetch_all(&self.pool),
        )
        .await?;
        Ok(rows.iter().map(entry_from).collect::<sqlx::Result<_>>()?)
    }

    /// Reads all entries that compete with some others, those included: copies of the same
    /// messages, or what is known of the same users' standings. In order of arrival.
    pub async fn rivals(&self, entries: &[&FeedEntry]) -> Result<Vec<Entry>, ReadError> {
        let (copies, standings): (Vec<&FeedEntry>, Vec<&FeedEntry>) =
            entries.iter().partition(|entry| entry.kind.is_copy());
        // Copies by the events of their message, standings by subject first, which few entries share:
        // those are the indexes.
        let query = format!(
            "SELECT {COLUMNS} FROM feed
             WHERE kind IN ('message', 'moved') AND arrival IN (
                 SELECT e.arrival FROM events e
                 WHERE e.aggregate_type = 'post' AND e.aggregate_id = ANY($1))
             UNION ALL
             SELECT {COLUMNS} FROM feed
             WHERE kind IN ('join', 'leave', 'like', 'unlike') AND subject = ANY($2) AND EXISTS (
                 SELECT FROM unnest($2::text[], $3::text[], $4::text[])
                     AS of (subject, group_name, user_id)
                 WHERE of.subject = feed.subject AND of.group_name = feed.group_name
                   AND of.user_id = feed.user_id)
             ORDER BY arrival"
        );
        let rows = within(
            sqlx::query(&query)
                .bind(text(&copies, |entry| &entry.subject))
                .bind(text(&standings, |entry| &entry.subject))
                .bind(text(&standings, |entry| entry.group.as_str()))
                .bind(text(&standings, |entry| &entry.user.id.0))
                .fetch_all(&self.pool),
        )
        .await?;
        Ok(rows.iter().map(entry_from).collect::<sqlx::Result<_>>()?)
    }

    /// Returns the place in the order of the newest message of a group that a vector covers, as far
    /// as it is among the last ones.
    pub async fn newest_given(
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

    /// Returns the place in the log before the first event that a vector lacks: from there on
    /// somebody who was given the vector has everything to read. One look-up per origin.
    pub async fn first_beyond(&self, given: &VersionVector) -> Result<i64, ReadError> {
        let checkpoint = self.checkpoint();
        let lacking = checkpoint.vector.beyond(given);
        let (replicas, (epochs, firsts)): (Vec<i64>, (Vec<i64>, Vec<i64>)) = lacking
            .iter()
            .map(|range| {
                let Origin { replica, epoch } = range.origin;
                let first = i64::try_from(range.first).unwrap_or(i64::MAX);
                (i64::from(replica.get()), (i64::from(epoch.0), first))
            })
            .unzip();
        let first: Option<i64> = within(
            sqlx::query_scalar(
                "SELECT min(e.arrival)
             FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS lacking (replica, epoch, seq)
             JOIN events e USING (replica, epoch, seq)",
            )
            .bind(replicas)
            .bind(epochs)
            .bind(firsts)
            .fetch_one(&self.pool),
        )
        .await?;
        Ok(first.map_or(checkpoint.arrival, |first| first - 1))
    }

    /// Tells whether a group has an event of a level above `level` that a vector covers: whoever
    /// was given the vector by an older version was not shown that event.
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
            if given.covers(entry_from(row)?.entry.position.dot()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn text<'a>(entries: &[&'a FeedEntry], of: fn(&FeedEntry) -> &str) -> Vec<&'a str> {
    entries.iter().map(|entry| of(entry)).collect()
}

fn entry_from(row: &PgRow) -> sqlx::Result<Entry> {
    let unreadable = || sqlx::Error::Decode("a feed entry is out of range".into());
    let (group, kind, position, effect): (String, String, String, String) = (
        row.try_get(1)?,
        row.try_get(2)?,
        row.try_get(6)?,
        row.try_get(8)?,
    );
    let position: OrderKey = position_from(&position)?;
    Ok(Entry {
        entry: FeedEntry {
            arrival: row.try_get(0)?,
            group: GroupName::parse(&group).map_err(|_| unreadable())?,
            kind: Kind::parse(&kind).ok_or_else(unreadable)?,
            subject: row.try_get(3)?,
            user: User {
                id: UserId(row.try_get(4)?),
                name: row.try_get(5)?,
            },
            position,
            level: u32::try_from(row.try_get::<i32, _>(7)?).map_err(|_| unreadable())?,
            effect: [Effect::Lost, Effect::Won, Effect::Shown]
                .into_iter()
                .find(|known| known.as_str() == effect)
                .ok_or_else(unreadable)?,
        },
        is_contested: row.try_get(9)?,
    })
}
