//! Reads history: pages, single messages, snapshots. Each answer is read in one read-only
//! transaction, so that its cursor is exact.

use std::collections::BTreeMap;

use causeway_domain::names::{GroupName, User, UserId};
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::Checkpoint;
use futures_util::future::BoxFuture;
use sqlx::{Connection, PgConnection, PgPool};

use crate::log::{ReadError, within};

use super::history::{before, messages_by_id, slice, with_likes};
use super::people::{exists, members_after};
use super::{MessageView, Timelines, rows};

/// Maximum members in a snapshot.
const MEMBERS: i64 = 100;
/// Maximum messages in a snapshot.
const NEWEST: i64 = 10;

/// Where a page lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At the end.
    Newest,
    /// Just before this position.
    Before(AnchorPoint),
    /// Just after this position.
    After(AnchorPoint),
    /// On both sides of this position, including the message at it.
    Around(AnchorPoint),
}

/// A place in history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchorPoint {
    /// The current position of this message.
    Of(String),
    /// A position, whether or not there is a message at it.
    At(OrderKey),
}

impl AnchorPoint {
    /// Parses a client's anchor: a position, or else the id of a message.
    pub fn read(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Of(text.to_owned()), Self::At)
    }
}

/// A page of history, in order.
#[derive(Clone, Debug)]
pub struct Page {
    /// The messages: at most 1 MiB of text on each side of the anchor.
    pub messages: Vec<MessageView>,
    /// The index of the first message at or after the anchor.
    pub anchor: usize,
    /// Whether there are messages before the first.
    pub has_before: bool,
    /// Whether there are messages after the last.
    pub has_after: bool,
    /// The checkpoint at which the page was read.
    pub checkpoint: Checkpoint,
}

/// What a reader who opens a group sees first.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The first members, by name.
    pub members: Vec<User>,
    /// How many members there are.
    pub members_count: i64,
    /// The newest messages, in order.
    pub messages: Vec<MessageView>,
    /// The checkpoint at which the snapshot was read.
    pub checkpoint: Checkpoint,
}

impl Timelines {
    /// Reads a page of at most `limit` messages; `None` if the group or the anchor message is
    /// unknown.
    pub async fn page(
        &self,
        group: GroupName,
        anchor: Anchor,
        limit: i64,
        reader: UserId,
    ) -> Result<Option<Page>, ReadError> {
        let _turn = self.large.enter(&reader).await?;
        uncancelled(self.large.pool(), move |connection| {
            Box::pin(async move {
                if !exists(connection, &group).await? {
                    return Ok(None);
                }
                let checkpoint = rows::checkpoint(connection).await?;
                let Some(slice) = slice(connection, &group, anchor, limit).await? else {
                    return Ok(None);
                };
                Ok(Some(Page {
                    messages: with_likes(connection, slice.messages, &reader).await?,
                    anchor: slice.anchor,
                    has_before: slice.has_before,
                    has_after: slice.has_after,
                    checkpoint,
                }))
            })
        })
        .await
    }

    /// Reads one message; `None` if it is not in the group.
    pub async fn message(
        &self,
        group: GroupName,
        id: String,
        reader: UserId,
    ) -> Result<Option<MessageView>, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move {
                let found = messages_by_id(connection, &[&id]).await?;
                let found = found.into_iter().filter(|found| found.group == group);
                let mut seen = with_likes(connection, found.collect(), &reader).await?;
                Ok(seen.pop())
            })
        })
        .await
    }

    /// Reads messages by id for streams, without the likes of any reader.
    pub async fn messages(
        &self,
        ids: Vec<String>,
    ) -> Result<BTreeMap<String, MessageView>, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let found = messages_by_id(connection, &ids).await?;
                let seen = with_likes(connection, found, &UserId(String::new())).await?;
                Ok(seen
                    .into_iter()
                    .map(|seen| (seen.message.id.clone(), seen))
                    .collect())
            })
        })
        .await
    }

    /// Reads the snapshot of a group; `None` if the group is unknown.
    pub async fn snapshot(
        &self,
        group: GroupName,
        reader: UserId,
    ) -> Result<Option<Snapshot>, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move {
                let members_count =
                    sqlx::query_scalar("SELECT members_count FROM groups WHERE name = $1")
                        .bind(group.as_str())
                        .fetch_optional(&mut *connection)
                        .await?;
                let Some(members_count) = members_count else {
                    return Ok(None);
                };
                let checkpoint = rows::checkpoint(connection).await?;
                let members = members_after(connection, &group, "", MEMBERS).await?;
                let mut newest = before(connection, &group, None, NEWEST).await?.messages;
                newest.reverse();
                Ok(Some(Snapshot {
                    members,
                    members_count,
                    messages: with_likes(connection, newest, &reader).await?,
                    checkpoint,
                }))
            })
        })
        .await
    }
}

/// Reads in one transaction, in a task of its own: a request that is cancelled in the middle must
/// not leave a shared connection inside an open transaction, where later reads would see an old
/// snapshot (sqlx#4365).
pub(super) async fn uncancelled<T: Send + 'static>(
    pool: PgPool,
    read: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send + 'static,
) -> Result<T, ReadError> {
    let reading = tokio::spawn(async move {
        let mut connection = pool.acquire().await?;
        let reading = async {
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            let mut transaction = connection.begin_with(begin).await?;
            let answer = read(&mut transaction).await?;
            transaction.commit().await?;
            Ok(answer)
        };
        let outcome = within(reading).await;
        if outcome.is_err() {
            // The session may be inside a transaction: it does not return to the pool.
            drop(connection.detach());
        }
        outcome
    });
    match reading.await {
        Ok(answer) => answer.map_err(ReadError::Database),
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ReadError::Database(sqlx::Error::PoolClosed)),
        },
    }
}
