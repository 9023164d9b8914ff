//! Answers with history: pages, snapshots, members, groups. Everything of one answer is read in
//! one read-only transaction, so that its cursor is exact.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row as _};

use crate::log::ReadError;
use crate::names::{GroupName, User, UserId};
use crate::stamp::OrderKey;
use crate::timeline::Message;

use super::rows::{self, position_from, vector_from};
use super::{Checkpoint, Timelines};

/// Users named as those who like a message.
const LIKED_BY: i64 = 50;
/// Members named in a snapshot.
const MEMBERS: i64 = 100;
/// Messages of a snapshot.
const NEWEST: i64 = 10;

/// A message as one reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The message.
    pub message: Message,
    /// The first who like it, first likes first: at most 50.
    pub liked_by: Vec<User>,
    /// Whether the reader does.
    pub is_liked: bool,
}

/// Where a page lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At the end.
    Newest,
    /// Just before this place.
    Before(Place),
    /// Just after it.
    After(Place),
    /// On both sides of it, with the message there.
    Around(Place),
}

/// A place in history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The present position of this message.
    Of(String),
    /// A position, whether or not a message stands there.
    At(OrderKey),
}

impl Place {
    /// Reads what a client names a place by: a position, or else the id of a message.
    pub fn read(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Of(text.to_owned()), Self::At)
    }
}

/// A page of history, in order.
#[derive(Clone, Debug)]
pub struct Page {
    /// The messages.
    pub messages: Vec<Seen>,
    /// Whether there are messages before the first.
    pub has_before: bool,
    /// Whether there are messages after the last.
    pub has_after: bool,
    /// What the page was read at.
    pub checkpoint: Checkpoint,
}

/// A page of members, by name.
#[derive(Clone, Debug)]
pub struct Members {
    /// The members.
    pub members: Vec<User>,
    /// Whether more follow.
    pub has_more: bool,
}

/// What somebody who comes to a group sees first.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The first members by name.
    pub members: Vec<User>,
    /// How many there are.
    pub members_count: i64,
    /// The newest messages, in order.
    pub messages: Vec<Seen>,
    /// What the snapshot was read at.
    pub checkpoint: Checkpoint,
}

/// A group in the list of groups.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many members it has.
    pub members_count: i64,
    /// When its last message, in order, was received: milliseconds since 1970.
    pub last_message_at_ms: Option<i64>,
    /// Whether the reader is a member.
    pub is_joined: bool,
}

/// A page of groups, by name.
#[derive(Clone, Debug)]
pub struct Groups {
    /// The groups.
    pub groups: Vec<Group>,
    /// Whether more follow.
    pub has_more: bool,
}

impl Timelines {
    /// Reads a page of at most `limit` messages; nothing where the group or the message that
    /// names the place is not known.
    pub async fn page(
        &self,
        group: GroupName,
        anchor: Anchor,
        limit: i64,
        reader: UserId,
    ) -> Result<Option<Page>, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move {
                if !exists(connection, &group).await? {
                    return Ok(None);
                }
                let checkpoint = rows::checkpoint(connection).await?;
                let Some(cut) = cut(connection, &group, anchor, limit).await? else {
                    return Ok(None);
                };
                Ok(Some(Page {
                    messages: with_likes(connection, cut.messages, &reader).await?,
                    has_before: cut.has_before,
                    has_after: cut.has_after,
                    checkpoint,
                }))
            })
        })
        .await
    }

    /// Reads one message; nothing where the group does not have it.
    pub async fn message(
        &self,
        group: GroupName,
        id: String,
        reader: UserId,
    ) -> Result<Option<Seen>, ReadError> {
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

    /// Reads some messages by id, for streams: nobody in particular reads them.
    pub async fn messages(&self, ids: Vec<String>) -> Result<BTreeMap<String, Seen>, ReadError> {
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

    /// Reads what somebody who comes to a group sees first; nothing where it is not known.
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
                let newest = before(connection, &group, None, NEWEST).await?;
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

    /// Reads members by name, after a name; nothing where the group is not known.
    pub async fn members(
        &self,
        group: GroupName,
        after: String,
        limit: i64,
    ) -> Result<Option<Members>, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move {
                if !exists(connection, &group).await? {
                    return Ok(None);
                }
                let mut members = members_after(connection, &group, &after, limit + 1).await?;
                let has_more = cut_to(&mut members, limit);
                Ok(Some(Members { members, has_more }))
            })
        })
        .await
    }

    /// Tells which of some users are members of a group.
    pub async fn members_among(
        &self,
        group: GroupName,
        users: Vec<UserId>,
    ) -> Result<BTreeSet<UserId>, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move {
                let users: Vec<&str> = users.iter().map(|user| user.0.as_str()).collect();
                let found: Vec<String> = sqlx::query_scalar(
                    "SELECT user_id FROM members
                 WHERE group_name = $1 AND user_id = ANY($2) AND is_member ORDER BY user_id",
                )
                .bind(group.as_str())
                .bind(users)
                .fetch_all(connection)
                .await?;
                Ok(found.into_iter().map(UserId).collect())
            })
        })
        .await
    }

    /// Tells whether anybody ever joined a group of this name.
    pub async fn knows_group(&self, group: GroupName) -> Result<bool, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move { exists(connection, &group).await })
        })
        .await
    }

    /// Reads groups by name, after a name.
    pub async fn groups(
        &self,
        after: String,
        limit: i64,
        reader: UserId,
    ) -> Result<Groups, ReadError> {
        uncancelled(self.pool.clone(), move |connection| {
            Box::pin(async move {
                let rows: Vec<(String, i64, Option<i64>, bool)> = sqlx::query_as(
                    "SELECT g.name, g.members_count,
                     (SELECT m.received_at FROM messages m WHERE m.group_name = g.name
                      ORDER BY m.position DESC LIMIT 1),
                     EXISTS (SELECT FROM members r WHERE r.group_name = g.name
                             AND r.user_id = $3 AND r.is_member)
                 FROM groups g WHERE g.name > $1 ORDER BY g.name LIMIT $2",
                )
                .bind(after)
                .bind(limit + 1)
                .bind(reader.0)
                .fetch_all(connection)
                .await?;
                let mut groups: Vec<Group> = rows
                    .into_iter()
                    .map(
                        |(name, members_count, last_message_at_ms, is_joined)| Group {
                            name,
                            members_count,
                            last_message_at_ms,
                            is_joined,
                        },
                    )
                    .collect();
                let has_more = cut_to(&mut groups, limit);
                Ok(Groups { groups, has_more })
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
        let mut transaction = pool
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        let answer = read(&mut transaction).await?;
        transaction.commit().await?;
        Ok(answer)
    });
    match reading.await {
        Ok(answer) => answer.map_err(ReadError::Database),
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ReadError::Database(sqlx::Error::PoolClosed)),
        },
    }
}

struct Cut {
    messages: Vec<Message>,
    has_before: bool,
    has_after: bool,
}

/// Reads the messages of a page; nothing where the message that names the place is not known.
async fn cut(
    connection: &mut PgConnection,
    group: &GroupName,
    anchor: Anchor,
    limit: i64,
) -> sqlx::Result<Option<Cut>> {
    let cut = match anchor {
        Anchor::Newest => {
            let mut messages = before(connection, group, None, limit + 1).await?;
            let has_before = cut_front_to(&mut messages, limit);
            Cut {
                messages,
                has_before,
                has_after: false,
            }
        }
        Anchor::Before(place) => {
            let Some(place) = position(connection, group, place).await? else {
                return Ok(None);
            };
            let mut messages = before(connection, group, Some(place), limit + 1).await?;
            let has_before = cut_front_to(&mut messages, limit);
            let has_after = !from(connection, group, place, false, 1).await?.is_empty();
            Cut {
                messages,
                has_before,
                has_after,
            }
        }
        Anchor::After(place) => {
            let Some(place) = position(connection, group, place).await? else {
                return Ok(None);
            };
            let mut messages = from(connection, group, place, true, limit + 1).await?;
            let has_after = cut_to(&mut messages, limit);
            let here = from(connection, group, place, false, 1).await?;
            let stands_there = here
                .first()
                .is_some_and(|message| message.position == place);
            let has_before =
                stands_there || !before(connection, group, Some(place), 1).await?.is_empty();
            Cut {
                messages,
                has_before,
                has_after,
            }
        }
        Anchor::Around(place) => {
            let Some(place) = position(connection, group, place).await? else {
                return Ok(None);
            };
            around(connection, group, place, limit).await?
        }
    };
    Ok(Some(cut))
}

/// Half a page before the place, the rest from it on; near an end the other side fills the page.
async fn around(
    connection: &mut PgConnection,
    group: &GroupName,
    place: OrderKey,
    limit: i64,
) -> sqlx::Result<Cut> {
    let mut earlier = before(connection, group, Some(place), limit + 1).await?;
    let mut later = from(connection, group, place, false, limit + 1).await?;
    let size = |messages: &Vec<Message>| i64::try_from(messages.len()).unwrap_or(i64::MAX);
    let kept_later = size(&later).min(limit - size(&earlier).min(limit / 2));
    let kept_earlier = size(&earlier).min(limit - kept_later);
    let has_before = cut_front_to(&mut earlier, kept_earlier);
    let has_after = cut_to(&mut later, kept_later);
    earlier.append(&mut later);
    Ok(Cut {
        messages: earlier,
        has_before,
        has_after,
    })
}

/// Shortens a list to `limit`; tells whether it was longer.
fn cut_to<T>(list: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_longer = list.len() > limit;
    list.truncate(limit);
    is_longer
}

/// Shortens a list to its last `limit`; tells whether it was longer.
fn cut_front_to<T>(list: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let surplus = list.len().saturating_sub(limit);
    list.drain(..surplus);
    surplus > 0
}

async fn exists(connection: &mut PgConnection, group: &GroupName) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM groups WHERE name = $1)")
        .bind(group.as_str())
        .fetch_one(connection)
        .await
}

async fn position(
    connection: &mut PgConnection,
    group: &GroupName,
    place: Place,
) -> sqlx::Result<Option<OrderKey>> {
    let id = match place {
        Place::At(position) => return Ok(Some(position)),
        Place::Of(id) if id.contains('\0') => return Ok(None),
        Place::Of(id) => id,
    };
    let found: Option<String> =
        sqlx::query_scalar("SELECT position FROM messages WHERE id = $1 AND group_name = $2")
            .bind(id)
            .bind(group.as_str())
            .fetch_optional(connection)
            .await?;
    found.as_deref().map(position_from).transpose()
}

async fn members_after(
    connection: &mut PgConnection,
    group: &GroupName,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<User>> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT user_id, user_name FROM members
         WHERE group_name = $1 AND user_name > $2 AND is_member
         ORDER BY user_name, user_id LIMIT $3",
    )
    .bind(group.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(id, name)| user(id, name)).collect())
}

const COLUMNS: &str = "id, group_name, position, author_id, author_name, text, sent_at, \
     received_at, vector, likes_count";

/// The last messages before a place, or of all, in order.
async fn before(
    connection: &mut PgConnection,
    group: &GroupName,
    place: Option<OrderKey>,
    limit: i64,
) -> sqlx::Result<Vec<Message>> {
    // Above every position: `g` sorts after the hexadecimal digits.
    let place = place.map_or_else(|| "g".to_owned(), |place| place.to_string());
    let query = format!(
        "SELECT {COLUMNS} FROM messages WHERE group_name = $1 AND position < $2
         ORDER BY position DESC LIMIT $3"
    );
    let mut messages = read(connection, &query, group, &place, limit).await?;
    messages.reverse();
    Ok(messages)
}

/// The first messages from a place on, with or without the one that stands there.
async fn from(
    connection: &mut PgConnection,
    group: &GroupName,
    place: OrderKey,
    is_beyond: bool,
    limit: i64,
) -> sqlx::Result<Vec<Message>> {
    let compared = if is_beyond { ">" } else { ">=" };
    let query = format!(
        "SELECT {COLUMNS} FROM messages WHERE group_name = $1 AND position {compared} $2
         ORDER BY position LIMIT $3"
    );
    read(connection, &query, group, &place.to_string(), limit).await
}

async fn read(
    connection: &mut PgConnection,
    query: &str,
    group: &GroupName,
    place: &str,
    limit: i64,
) -> sqlx::Result<Vec<Message>> {
    let rows = sqlx::query(query)
        .bind(group.as_str())
        .bind(place)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter().map(message_from).collect()
}

async fn messages_by_id(connection: &mut PgConnection, ids: &[&str]) -> sqlx::Result<Vec<Message>> {
    let ids: Vec<&str> = ids
        .iter()
        .copied()
        .filter(|id| !id.contains('\0'))
        .collect();
    let query = format!("SELECT {COLUMNS} FROM messages WHERE id = ANY($1) ORDER BY position");
    let rows = sqlx::query(&query).bind(ids).fetch_all(connection).await?;
    rows.iter().map(message_from).collect()
}

/// Adds who likes the messages: one query for all of them, and one for the reader's own likes.
async fn with_likes(
    connection: &mut PgConnection,
    messages: Vec<Message>,
    reader: &UserId,
) -> sqlx::Result<Vec<Seen>> {
    let liked: Vec<&str> = messages
        .iter()
        .filter(|message| message.likes_count > 0)
        .map(|message| message.id.as_str())
        .collect();
    let mut liked_by: BTreeMap<String, Vec<User>> = BTreeMap::new();
    let mut own = BTreeSet::new();
    if !liked.is_empty() {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT wanted.id, first.user_id, first.user_name
             FROM unnest($1::text[]) AS wanted (id),
             LATERAL (SELECT l.user_id, l.user_name, l.since FROM likes l
                 WHERE l.message_id = wanted.id AND l.is_liked
                 ORDER BY l.since LIMIT $2) first
             ORDER BY wanted.id, first.since",
        )
        .bind(&liked)
        .bind(LIKED_BY)
        .fetch_all(&mut *connection)
        .await?;
        for (message, id, name) in rows {
            liked_by.entry(message).or_default().push(user(id, name));
        }
        own = sqlx::query_scalar::<_, String>(
            "SELECT message_id FROM likes
             WHERE message_id = ANY($1) AND user_id = $2 AND is_liked ORDER BY message_id",
        )
        .bind(&liked)
        .bind(&reader.0)
        .fetch_all(connection)
        .await?
        .into_iter()
        .collect();
    }
    Ok(messages
        .into_iter()
        .map(|message| Seen {
            liked_by: liked_by.remove(&message.id).unwrap_or_default(),
            is_liked: own.contains(&message.id),
            message,
        })
        .collect())
}

fn user(id: String, name: String) -> User {
    User {
        id: UserId(id),
        name,
    }
}

fn message_from(row: &PgRow) -> sqlx::Result<Message> {
    let group: String = row.try_get(1)?;
    let position: String = row.try_get(2)?;
    let vector: String = row.try_get(8)?;
    Ok(Message {
        id: row.try_get(0)?,
        group: GroupName::parse(&group).map_err(|failure| sqlx::Error::Decode(failure.into()))?,
        position: position_from(&position)?,
        author: user(row.try_get(3)?, row.try_get(4)?),
        text: row.try_get(5)?,
        sent_at_ms: row.try_get(6)?,
        received_at_ms: row.try_get(7)?,
        vector: vector_from(&vector)?,
        likes_count: row.try_get(9)?,
    })
}
