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

/// Maximum bytes of text on a page.
pub(super) const PAGE_BYTES: i64 = 1 << 20;
/// The column of the text.
const TEXT: usize = 5;

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
    /// The index of the first message at or after the anchor.
    pub anchor: usize,
    pub has_before: bool,
    pub has_after: bool,
}

/// The messages on one side of an anchor, the nearest first.
#[derive(Default)]
pub(super) struct Run {
    pub messages: Vec<Message>,
    /// Whether there are more.
    has_more: bool,
}

impl Run {
    /// Keeps the first `count` messages.
    fn truncate(&mut self, count: usize) {
        self.has_more |= count < self.messages.len();
        self.messages.truncate(count);
    }
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
            let earlier = before(connection, group, None, limit).await?;
            joined(earlier, Run::default())
        }
        Anchor::Before(place) => {
            let Some(place) = position(connection, group, place).await? else {
                return Ok(None);
            };
            let earlier = before(connection, group, Some(place), limit).await?;
            let later = from(connection, group, place, false, 1).await?;
            Slice {
                has_after: !later.messages.is_empty(),
                ..joined(earlier, Run::default())
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
    let later = from(connection, group, place, true, limit).await?;
    let at = from(connection, group, place, false, 1).await?;
    let is_at = at.messages.iter().any(|found| found.position == place);
    let earlier = before(connection, group, Some(place), 1).await?;
    Ok(Slice {
        has_before: is_at || !earlier.messages.is_empty(),
        ..joined(Run::default(), later)
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
    let mut earlier = before(connection, group, Some(place), limit).await?;
    let mut later = from(connection, group, place, false, limit).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let kept_earlier = earlier.messages.len().min(limit / 2);
    later.truncate(limit - kept_earlier);
    earlier.truncate(limit - later.messages.len());
    Ok(joined(earlier, later))
}

fn joined(earlier: Run, mut later: Run) -> Slice {
    let mut messages = earlier.messages;
    messages.reverse();
    let anchor = messages.len();
    messages.append(&mut later.messages);
    Slice {
        messages,
        anchor,
        has_before: earlier.has_more,
        has_after: later.has_more,
    }
}

/// Shortens a list to `limit`; returns whether it was longer.
pub(super) fn truncate<T>(list: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_longer = list.len() > limit;
    list.truncate(limit);
    is_longer
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

/// Reads the last messages before a position, or of the whole group.
pub(super) async fn before(
    connection: &mut PgConnection,
    group: &GroupName,
    place: Option<OrderKey>,
    limit: i64,
) -> sqlx::Result<Run> {
    // Above every position: `g` sorts after the hexadecimal digits.
    let place = place.map_or_else(|| "g".to_owned(), |place| place.to_string());
    run(connection, group, "<", &place, limit).await
}

/// Reads the first messages from a position on; with `is_beyond`, without the message there.
async fn from(
    connection: &mut PgConnection,
    group: &GroupName,
    place: OrderKey,
    is_beyond: bool,
    limit: i64,
) -> sqlx::Result<Run> {
    let compared = if is_beyond { ">" } else { ">=" };
    run(connection, group, compared, &place.to_string(), limit).await
}

/// Reads messages on one side of a position: at most `limit`, and as many as fit into a page. Of
/// the message after them only the existence is read.
async fn run(
    connection: &mut PgConnection,
    group: &GroupName,
    compared: &str,
    place: &str,
    limit: i64,
) -> sqlx::Result<Run> {
    let order = if compared == "<" { "DESC" } else { "ASC" };
    // `octet_length` does not read the text itself. The sum is below the size of the rendered page,
    // so whatever would fit is read.
    let query = format!(
        "SELECT id, group_name, position, author_id, author_name,
             CASE WHEN bytes <= $4 OR number = 1 THEN text END,
             sent_at, received_at, vector, likes_count
         FROM (SELECT {COLUMNS}, row_number() OVER nearest AS number,
                 sum((octet_length(text) + 40 * LEAST(likes_count, $5))::int4) OVER nearest
                     AS bytes
             FROM messages WHERE group_name = $1 AND position {compared} $2
             WINDOW nearest AS (ORDER BY position {order} ROWS UNBOUNDED PRECEDING)
             ORDER BY position {order} LIMIT $3) found
         ORDER BY position {order}"
    );
    let rows = sqlx::query(&query)
        .bind(group.as_str())
        .bind(place)
        .bind(limit + 1)
        .bind(PAGE_BYTES)
        .bind(LIKED_BY)
        .fetch_all(connection)
        .await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut messages = Vec::with_capacity(rows.len().min(limit));
    for row in rows.iter().take(limit) {
        match row.try_get(TEXT)? {
            Some(text) => messages.push(message_from(row, text)?),
            None => break,
        }
    }
    Ok(Run {
        has_more: messages.len() < rows.len(),
        messages,
    })
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
    let message = |row: &PgRow| message_from(row, row.try_get(TEXT)?);
    rows.iter().map(message).collect()
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

fn message_from(row: &PgRow, text: String) -> sqlx::Result<Message> {
    let group: String = row.try_get(1)?;
    let position: String = row.try_get(2)?;
    let vector: String = row.try_get(8)?;
    Ok(Message {
        id: row.try_get(0)?,
        group: GroupName::stored(&group).map_err(|failure| sqlx::Error::Decode(failure.into()))?,
        position: position_from(&position)?,
        author: user(row.try_get(3)?, row.try_get(4)?),
        text,
        sent_at_ms: row.try_get(6)?,
        received_at_ms: row.try_get(7)?,
        vector: vector_from(&vector)?,
        likes_count: row.try_get(9)?,
    })
}
