//! The SQL of one step of the read model. One statement reads or writes all rows of a kind.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::hlc::Hlc;
use causeway_domain::register::Register;
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::{Checkpoint, Declaration, FeedEntry, Former, Message, Step};
use causeway_domain::version_vector::VersionVector;
use sqlx::{PgConnection, Row as _};

pub(super) async fn checkpoint(connection: &mut PgConnection) -> sqlx::Result<Checkpoint> {
    let (offset, hlc, vector): (i64, i64, String) =
        sqlx::query_as("SELECT arrival, hlc, vector FROM timeline_checkpoint")
            .fetch_one(connection)
            .await?;
    Ok(Checkpoint {
        offset,
        highest: u64::try_from(hlc)
            .ok()
            .and_then(Hlc::new)
            .ok_or_else(|| sqlx::Error::Decode("clock reading".into()))?,
        vector: vector_from(&vector)?,
    })
}

pub(super) async fn store_checkpoint(
    connection: &mut PgConnection,
    checkpoint: &Checkpoint,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE timeline_checkpoint SET arrival = $1, hlc = $2, vector = $3")
        .bind(checkpoint.offset)
        .bind(i64::try_from(checkpoint.highest.get()).unwrap_or(i64::MAX))
        .bind(vector_text(&checkpoint.vector))
        .execute(connection)
        .await?;
    Ok(())
}

/// Reads the known messages among `ids`, and the number of likes of each unknown one.
pub(super) async fn former(
    connection: &mut PgConnection,
    ids: &BTreeSet<String>,
) -> sqlx::Result<(BTreeMap<String, Former>, BTreeMap<String, i64>)> {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let rows = sqlx::query(
        "SELECT wanted.id, m.position, CASE WHEN m.id IS NOT NULL THEN m.likes_count ELSE
             (SELECT count(*) FROM likes l WHERE l.message_id = wanted.id AND l.is_liked) END
         FROM unnest($1::text[]) AS wanted (id) LEFT JOIN messages m USING (id) ORDER BY wanted.id",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let (mut former, mut early) = (BTreeMap::new(), BTreeMap::new());
    for row in &rows {
        let (id, likes_count) = (row.try_get(0)?, row.try_get(2)?);
        match row.try_get::<Option<String>, _>(1)? {
            Some(position) => {
                let position = position_from(&position)?;
                former.insert(
                    id,
                    Former {
                        position,
                        likes_count,
                    },
                );
            }
            None => {
                early.insert(id, likes_count);
            }
        }
    }
    Ok((former, early))
}

pub(super) async fn likes(
    connection: &mut PgConnection,
    wanted: &BTreeSet<(String, String)>,
) -> sqlx::Result<BTreeMap<(String, String), Register<Declaration>>> {
    registers(
        connection,
        wanted,
        "SELECT l.message_id, l.user_id, l.user_name, l.since, l.is_liked
         FROM unnest($1::text[], $2::text[]) AS wanted (message_id, user_id)
         JOIN likes l USING (message_id, user_id) ORDER BY 1, 2",
    )
    .await
}

pub(super) async fn members(
    connection: &mut PgConnection,
    wanted: &BTreeSet<(String, String)>,
) -> sqlx::Result<BTreeMap<(String, String), Register<Declaration>>> {
    registers(
        connection,
        wanted,
        "SELECT m.group_name, m.user_id, m.user_name, m.since, m.is_member
         FROM unnest($1::text[], $2::text[]) AS wanted (group_name, user_id)
         JOIN members m USING (group_name, user_id) ORDER BY 1, 2",
    )
    .await
}

async fn registers(
    connection: &mut PgConnection,
    wanted: &BTreeSet<(String, String)>,
    query: &'static str,
) -> sqlx::Result<BTreeMap<(String, String), Register<Declaration>>> {
    let (of, users): (Vec<&str>, Vec<&str>) = wanted
        .iter()
        .map(|(of, user)| (of.as_str(), user.as_str()))
        .unzip();
    let rows = sqlx::query(query)
        .bind(of)
        .bind(users)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let value = Declaration {
                user_name: row.try_get(2)?,
                is_in: row.try_get(4)?,
            };
            let since = position_from(&row.try_get::<String, _>(3)?)?;
            let register = Register { since, value };
            Ok(((row.try_get(0)?, row.try_get(1)?), register))
        })
        .collect()
}

/// The statement that writes the messages, the feed entries and the checkpoint of a step.
macro_rules! insert_step {
    ($conflict:expr, $vectors:expr) => {
        concat!(
            "WITH new_messages AS (
                 INSERT INTO messages (id, group_name, position, author_id, author_name, text,
                     sent_at, received_at, vector, likes_count)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                     $6::text[], $7::int8[], $8::int8[], $9::text[], $10::int8[]) ",
            $conflict,
            "), new_feed AS (
                 INSERT INTO feed (arrival, group_name, kind, subject, user_id, user_name, position,
                     level, effect)
                 SELECT * FROM unnest($11::int8[], $12::text[], $13::text[], $14::text[],
                     $15::text[], $16::text[], $17::text[], $18::int4[], $19::text[])
             )",
            $vectors,
            " UPDATE timeline_checkpoint SET arrival = $20, hlc = $21, vector = $22"
        )
    };
}

/// A step's copy of a message replaces the stored one.
macro_rules! replaces_messages {
    () => {
        "ON CONFLICT (id) DO UPDATE SET
             group_name = excluded.group_name, position = excluded.position,
             author_id = excluded.author_id, author_name = excluded.author_name,
             text = excluded.text, sent_at = excluded.sent_at,
             received_at = excluded.received_at, vector = excluded.vector,
             likes_count = excluded.likes_count"
    };
}

/// Inserts the step's version vectors of the log.
macro_rules! inserts_vectors {
    () => {
        ", new_vectors AS (
             INSERT INTO log_vectors (arrival, vector)
             SELECT * FROM unnest($23::int8[], $24::text[]) ON CONFLICT (arrival) DO NOTHING
         )"
    };
}

/// Writes the messages, feed entries, checkpoint and version vectors of a step in one statement.
pub(super) async fn store_news(
    connection: &mut PgConnection,
    step: &Step,
    checkpoint: &Checkpoint,
) -> sqlx::Result<()> {
    let messages: Vec<&Message> = step.messages.values().collect();
    let feed = &step.feed;
    let message_text =
        |of: fn(&Message) -> &str| messages.iter().map(|m| of(m)).collect::<Vec<&str>>();
    let feed_text = |of: fn(&FeedEntry) -> &str| feed.iter().map(of).collect::<Vec<&str>>();
    // The conflict check in each index takes a fifth of the statement's time, so it is optional.
    let statement = match (step.moves_a_message(), step.vectors.is_empty()) {
        (false, true) => insert_step!("", ""),
        (false, false) => insert_step!("", inserts_vectors!()),
        (true, true) => insert_step!(replaces_messages!(), ""),
        (true, false) => insert_step!(replaces_messages!(), inserts_vectors!()),
    };
    let query = sqlx::query(statement)
        .bind(message_text(|m| &m.id))
        .bind(message_text(|m| m.group.as_str()))
        .bind(column(&messages, |m| m.position.to_string()))
        .bind(message_text(|m| &m.author.id.0))
        .bind(message_text(|m| &m.author.name))
        .bind(message_text(|m| &m.text))
        .bind(column(&messages, |m| m.sent_at_ms))
        .bind(column(&messages, |m| m.received_at_ms))
        .bind(column(&messages, |m| vector_text(&m.vector)))
        .bind(column(&messages, |m| m.likes_count))
        .bind(column(feed, |entry| entry.offset))
        .bind(feed_text(|entry| entry.group.as_str()))
        .bind(feed_text(|entry| entry.kind.as_str()))
        .bind(feed_text(|entry| &entry.subject))
        .bind(feed_text(|entry| &entry.user.id.0))
        .bind(feed_text(|entry| &entry.user.name))
        .bind(column(feed, |entry| entry.position.to_string()))
        .bind(column(feed, |entry| {
            i32::try_from(entry.level).unwrap_or(i32::MAX)
        }))
        .bind(feed_text(|entry| entry.effect.as_str()))
        .bind(checkpoint.offset)
        .bind(i64::try_from(checkpoint.highest.get()).unwrap_or(i64::MAX))
        .bind(vector_text(&checkpoint.vector));
    let query = if step.vectors.is_empty() {
        query
    } else {
        let (arrivals, vectors) = vector_columns(&step.vectors);
        query.bind(arrivals).bind(vectors)
    };
    query.execute(connection).await?;
    Ok(())
}

fn vector_columns(vectors: &[(i64, VersionVector)]) -> (Vec<i64>, Vec<String>) {
    let columns = vectors
        .iter()
        .map(|(offset, it)| (*offset, vector_text(it)));
    columns.unzip()
}

fn column<T, V>(rows: &[T], of: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(of).collect()
}

pub(super) async fn store_likes_counts(
    connection: &mut PgConnection,
    counts: &BTreeMap<String, i64>,
) -> sqlx::Result<()> {
    let (ids, counts): (Vec<&str>, Vec<i64>) = counts
        .iter()
        .map(|(id, count)| (id.as_str(), *count))
        .unzip();
    sqlx::query(
        "UPDATE messages SET likes_count = new.likes_count
         FROM unnest($1::text[], $2::int8[]) AS new (id, likes_count) WHERE messages.id = new.id",
    )
    .bind(ids)
    .bind(counts)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn store_likes(connection: &mut PgConnection, step: &Step) -> sqlx::Result<()> {
    store_registers(
        connection,
        &step.likes,
        &step.changed_likes,
        "INSERT INTO likes (message_id, user_id, user_name, since, is_liked)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[])
         ON CONFLICT (message_id, user_id) DO UPDATE SET user_name = excluded.user_name,
             since = excluded.since, is_liked = excluded.is_liked",
    )
    .await
}

pub(super) async fn store_members(connection: &mut PgConnection, step: &Step) -> sqlx::Result<()> {
    store_registers(
        connection,
        &step.members,
        &step.changed_members,
        "INSERT INTO members (group_name, user_id, user_name, since, is_member)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[])
         ON CONFLICT (group_name, user_id) DO UPDATE SET user_name = excluded.user_name,
             since = excluded.since, is_member = excluded.is_member",
    )
    .await
}

async fn store_registers(
    connection: &mut PgConnection,
    registers: &BTreeMap<(String, String), Register<Declaration>>,
    changed: &BTreeSet<(String, String)>,
    query: &'static str,
) -> sqlx::Result<()> {
    let rows: Vec<(&str, &str, &Register<Declaration>)> = changed
        .iter()
        .filter_map(|key| Some((key.0.as_str(), key.1.as_str(), registers.get(key)?)))
        .collect();
    sqlx::query(query)
        .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|row| row.2.value.user_name.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|row| row.2.since.to_string())
                .collect::<Vec<_>>(),
        )
        .bind(rows.iter().map(|row| row.2.value.is_in).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn store_growth(connection: &mut PgConnection, step: &Step) -> sqlx::Result<()> {
    let (names, growth): (Vec<&str>, Vec<i64>) = step
        .growth
        .iter()
        .map(|(name, by)| (name.as_str(), *by))
        .unzip();
    sqlx::query(
        "INSERT INTO groups (name, members_count) SELECT * FROM unnest($1::text[], $2::int8[])
         ON CONFLICT (name) DO UPDATE SET
             members_count = groups.members_count + excluded.members_count",
    )
    .bind(names)
    .bind(growth)
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores version vectors of the log.
pub(super) async fn store_vectors(
    connection: &mut PgConnection,
    vectors: &[(i64, VersionVector)],
) -> sqlx::Result<()> {
    let (arrivals, texts) = vector_columns(vectors);
    sqlx::query(
        "INSERT INTO log_vectors (arrival, vector) SELECT * FROM unnest($1::int8[], $2::text[])
         ON CONFLICT (arrival) DO NOTHING",
    )
    .bind(arrivals)
    .bind(texts)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn quarantine(
    connection: &mut PgConnection,
    events: &[(i64, String)],
) -> sqlx::Result<()> {
    let (arrivals, reasons): (Vec<i64>, Vec<&str>) = events
        .iter()
        .map(|(offset, reason)| (*offset, reason.as_str()))
        .unzip();
    sqlx::query(
        "INSERT INTO quarantine (arrival, reason) SELECT * FROM unnest($1::int8[], $2::text[])
         ON CONFLICT (arrival) DO NOTHING",
    )
    .bind(arrivals)
    .bind(reasons)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn count_quarantined(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM quarantine")
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

pub(crate) async fn clear(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("TRUNCATE groups, members, messages, likes, feed, quarantine, log_vectors")
        .execute(&mut *connection)
        .await?;
    store_checkpoint(connection, &Checkpoint::default()).await
}

pub(super) fn position_from(text: &str) -> sqlx::Result<OrderKey> {
    text.parse()
        .map_err(|failure: causeway_domain::ids::NotThatForm| sqlx::Error::Decode(failure.into()))
}

pub(super) fn vector_from(text: &str) -> sqlx::Result<VersionVector> {
    serde_json::from_str(text).map_err(|failure| sqlx::Error::Decode(failure.into()))
}

fn vector_text(vector: &VersionVector) -> String {
    serde_json::to_string(vector).expect("a map from text to numbers is JSON")
}
