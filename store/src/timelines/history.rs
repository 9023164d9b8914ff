//! Messages in order-key order: the SQL of pages.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::names::{GroupName, User, UserId};
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::Message;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use super::pages::{Anchor, AnchorPoint};
use super::rows::{position_from, vector_from};

/// Maximum users listed as liking a message.
const LIKED_BY: i64 = 50;

/// A message as one reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    /// The message.
    pub message: Message,
    /// The users who like it, sorted by name: at most 50.
    pub liked_by: Vec<User>,
    /// Whether the reader likes it.
    pub is_liked: bool,
}

/// The messages of a page.
pub(super) struct Slice {
    pub messages: Vec<Message>,
    pub has_before: bool,
    pub has_after: bool,
}

/// Reads the messages of a page; `None` if the anchor message is unknown.
pub(super) async fn slice(
    connection: &mut PgConnection,
    group: &GroupName,
    anchor: Anchor,
    limit: i64,
) -> sqlx::Result<Option<Slice>> {
    let slice = match anchor {
        Anchor::Newest => {
            let mut messages = before(connection, group, None, limit + 1).await?;
            let has_before = truncate_front(&mut messages, limit);
            Slice {
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
            let has_before = truncate_front(&mut messages, limit);
            let has_after = !from(connection, group, place, false, 1).await?.is_empty();
            Slice {
                messages,
                has_before,
                has_after,
            }
        }
        Anchor::After(place) => {
            let Some(place) = position(connection, group, place).await? else {
                return Ok(None);
            };
            after(connection, group, place, limit).await?
        }
        Anchor::Around(place) => {
            let Some(place) = position(connection, group, place).await? else {
                return Ok(None);
            };
            around(connection, group, place, limit).await?
        }
    };
    Ok(Some(slice))
}

async fn after(
    connection: &mut PgConnection,
    group: &GroupName,
    place: OrderKey,
    limit: i64,
) -> sqlx::Result<Slice> {
    let mut messages = from(connection, group, place, true, limit + 1).await?;
    let has_after = truncate(&mut messages, limit);
    let at = from(connection, group, place, false, 1).await?;
    let is_at = at.first().is_some_and(|message| message.position == place);
    let has_before = is_at || !before(connection, group, Some(place), 1).await?.is_empty();
    Ok(Slice {
        messages,
        has_before,
        has_after,
    })
}

/// Reads half a page before the anchor and the rest from it on; near an end the other side fills
/// up.
async fn around(
    connection: &mut PgConnection,
    group: &GroupName,
    place: OrderKey,
    limit: i64,
) -> sqlx::Result<Slice> {
    let mut earlier = before(connection, group, Some(place), limit + 1).await?;
    let mut later = from(connection, group, place, false, limit + 1).await?;
    let size = |messages: &Vec<Message>| i64::try_from(messages.len()).unwrap_or(i64::MAX);
    let kept_later = size(&later).min(limit - size(&earlier).min(limit / 2));
    let kept_earlier = size(&earlier).min(limit - kept_later);
    let has_before = truncate_front(&mut earlier, kept_earlier);
    let has_after = truncate(&mut later, kept_later);
    earlier.append(&mut later);
    Ok(Slice {
        messages: earlier,
        has_before,
        has_after,
    })
}

/// Shortens a list to `limit`; returns whether it was longer.
pub(super) fn truncate<T>(list: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_longer = list.len() > limit;
    list.truncate(limit);
    is_longer
}

/// Shortens a list to its last `limit`; returns whether it was longer.
fn truncate_front<T>(list: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let surplus = list.len().saturating_sub(limit);
    list.drain(..surplus);
    surplus > 0
}

async fn position(
    connection: &mut PgConnection,
    group: &GroupName,
    place: AnchorPoint,
) -> sqlx::Result<Option<OrderKey>> {
    let id = match place {
        AnchorPoint::At(position) => return Ok(Some(position)),
        AnchorPoint::Of(id) if id.contains('\0') => return Ok(None),
        AnchorPoint::Of(id) => id,
    };
    let found: Option<String> =
        sqlx::query_scalar("SELECT position FROM messages WHERE id = $1 AND group_name = $2")
            .bind(id)
            .bind(group.as_str())
            .fetch_optional(connection)
            .await?;
    found.as_deref().map(position_from).transpose()
}

const COLUMNS: &str = "id, group_name, position, author_id, author_name, text, sent_at, \
     received_at, vector, likes_count";

/// Reads the last messages before a position, or of the whole group, in order.
pub(super) async fn before(
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

/// Reads the first messages from a position on; with `is_beyond`, without the message there.
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

pub(super) async fn messages_by_id(
    connection: &mut PgConnection,
    ids: &[&str],
) -> sqlx::Result<Vec<Message>> {
    let ids: Vec<&str> = ids
        .iter()
        .copied()
        .filter(|id| !id.contains('\0'))
        .collect();
    let query = format!("SELECT {COLUMNS} FROM messages WHERE id = ANY($1) ORDER BY position");
    let rows = sqlx::query(&query).bind(ids).fetch_all(connection).await?;
    rows.iter().map(message_from).collect()
}

/// Adds the likes of messages: one query for all of them, and one for the reader's own.
pub(super) async fn with_likes(
    connection: &mut PgConnection,
    messages: Vec<Message>,
    reader: &UserId,
) -> sqlx::Result<Vec<MessageView>> {
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
             LATERAL (SELECT l.user_id, l.user_name FROM likes l
                 WHERE l.message_id = wanted.id AND l.is_liked
                 ORDER BY l.user_name COLLATE \"C\", l.user_id LIMIT $2) first
             ORDER BY wanted.id, first.user_name COLLATE \"C\", first.user_id",
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
        .map(|message| MessageView {
            liked_by: liked_by.remove(&message.id).unwrap_or_default(),
            is_liked: own.contains(&message.id),
            message,
        })
        .collect())
}

pub(super) fn user(id: String, name: String) -> User {
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
        group: GroupName::stored(&group).map_err(|failure| sqlx::Error::Decode(failure.into()))?,
        position: position_from(&position)?,
        author: user(row.try_get(3)?, row.try_get(4)?),
        text: row.try_get(5)?,
        sent_at_ms: row.try_get(6)?,
        received_at_ms: row.try_get(7)?,
        vector: vector_from(&vector)?,
        likes_count: row.try_get(9)?,
    })
}
