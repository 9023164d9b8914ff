//! Reads what a batch needs, in few statements: none for a post of a known member without a key, and
//! none beside the insert for one with a fresh key.

use sqlx::PgConnection;

use crate::envelope::Envelope;
use crate::writing::{Facts, Needs, NewRow};

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
        let (aggregates, digests) = (pairs(&needs.sequences), digests(needs));
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

/// Commits what was decided as if nothing were there of what a batch needs, which are posts and keys;
/// tells whether so it is. Writes nothing otherwise.
pub(super) async fn insert_as_presumed(
    connection: &mut PgConnection,
    needs: &Needs,
    new: &[NewRow],
) -> sqlx::Result<bool> {
    let posts: Vec<&str> = needs.sequences.iter().map(|(_, id)| id.as_str()).collect();
    rows::insert_unless_there(connection, new, &posts, &digests(needs)).await
}

fn digests(needs: &Needs) -> Vec<&[u8]> {
    needs.keys.iter().map(|digest| &digest[..]).collect()
}

fn pairs<'a>(of: impl IntoIterator<Item = &'a (String, String)>) -> Vec<(&'a str, &'a str)> {
    let of = of.into_iter();
    of.map(|(first, second)| (first.as_str(), second.as_str()))
        .collect()
}

fn envelope_from(payload: &str) -> sqlx::Result<Envelope> {
    serde_json::from_str(payload).map_err(|failure| sqlx::Error::Decode(failure.into()))
}
