//! Reads the facts that a batch needs, in few statements: none for a post of a cached member
//! without a key, and only the insert itself for a post with a new key or from a peer.

use std::collections::BTreeSet;

use causeway_domain::envelope::Envelope;
use causeway_domain::writing::{Facts, Needs, NewRow};
use sqlx::PgConnection;

use super::rows;

pub(super) async fn read(connection: &mut PgConnection, needs: &Needs) -> sqlx::Result<Facts> {
    let mut facts = Facts::default();
    if !needs.members.is_empty() {
        let wanted: Vec<(&str, &str)> = pairs(&needs.members);
        for (group, payload) in rows::memberships(connection, &wanted).await? {
            facts.members.push((group, envelope_from(&payload)?));
        }
    }
    if !needs.posts.is_empty() {
        let ids: Vec<&str> = needs.posts.iter().map(String::as_str).collect();
        for (id, sequence, payload) in rows::aggregates(connection, "post", &ids).await? {
            facts.posts.push((id, sequence, envelope_from(&payload)?));
        }
    }
    if !(needs.sequences.is_empty() && needs.keys.is_empty()) {
        let (aggregates, digests) = (pairs(&needs.sequences), digests(&needs.keys));
        let (sequences, keys) = rows::look_up(connection, &aggregates, &digests).await?;
        facts.sequences = sequences;
        for (digest, id) in keys {
            if let Ok(digest) = digest.try_into() {
                facts.keys.push((digest, id));
            }
        }
    }
    Ok(facts)
}

/// Inserts rows that were decided on the assumption that their keys and aggregates are new. Returns
/// whether the assumption holds; otherwise writes nothing.
pub(super) async fn insert_if_new(
    connection: &mut PgConnection,
    needs: &Needs,
    new: &[NewRow],
) -> sqlx::Result<bool> {
    let inserted = if needs.keys.is_empty() {
        rows::insert(connection, new).await.map(|()| true)
    } else {
        rows::insert_unless_sent_before(connection, new, &digests(&needs.keys)).await
    };
    match inserted {
        // Sequences in an aggregate have no gaps: if it has any event, sequence 1 is taken.
        Err(sqlx::Error::Database(said)) if said.is_unique_violation() => Ok(false),
        inserted => inserted,
    }
}

fn digests(keys: &BTreeSet<[u8; 16]>) -> Vec<&[u8]> {
    keys.iter().map(|digest| &digest[..]).collect()
}

fn pairs<'a>(of: impl IntoIterator<Item = &'a (String, String)>) -> Vec<(&'a str, &'a str)> {
    let of = of.into_iter();
    of.map(|(first, second)| (first.as_str(), second.as_str()))
        .collect()
}

fn envelope_from(payload: &str) -> sqlx::Result<Envelope> {
    serde_json::from_str(payload).map_err(|failure| sqlx::Error::Decode(failure.into()))
}
