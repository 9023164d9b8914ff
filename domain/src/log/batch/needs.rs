//! What a batch must know before it can be decided: read with at most one statement of each kind.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use crate::envelope::Envelope;
use crate::log::hot::{Groups, Posts};
use crate::log::{Action, Command, Work, rows};
use crate::names::{User, key_digest};

use super::{Batch, GROUP, POST};

impl Batch<'_> {
    /// Reads what the batch needs and does not have: at most one statement of each kind.
    pub(in crate::log) async fn prepare(
        &mut self,
        connection: &mut PgConnection,
        work: &[Work],
    ) -> sqlx::Result<()> {
        let mut needs = Needs::default();
        for item in work {
            needs.add(item);
        }
        load_groups(connection, &needs.members, &mut self.hot.groups).await?;
        load_posts(connection, &needs.posts, &mut self.hot.posts).await?;
        let unknown: Vec<(&str, &str)> = needs
            .sequences
            .iter()
            .map(|(kind, id)| (kind.as_str(), id.as_str()))
            .filter(|&(kind, id)| self.hot_sequence(kind, id).is_none())
            .collect();
        if !unknown.is_empty() {
            for (kind, id, sequence) in rows::sequences(connection, &unknown).await? {
                self.sequences.insert((kind, id), sequence);
            }
        }
        if !needs.keys.is_empty() {
            let digests: Vec<&[u8]> = needs.keys.iter().map(|digest| &digest[..]).collect();
            for (digest, id) in rows::keys(connection, &digests).await? {
                if let Ok(digest) = digest.try_into() {
                    self.keys.entry(digest).or_default().insert(id);
                }
            }
        }
        Ok(())
    }
}

/// What a batch must know before it can be decided.
#[derive(Default)]
struct Needs {
    /// (group, user).
    members: BTreeSet<(String, String)>,
    posts: BTreeSet<String>,
    sequences: BTreeSet<(String, String)>,
    keys: BTreeSet<[u8; 16]>,
}

impl Needs {
    fn add(&mut self, work: &Work) {
        match work {
            Work::Submit(command, _) => self.add_command(command),
            Work::Absorb(events, _) => {
                for event in events {
                    let envelope = &event.envelope;
                    self.add_sequence(&envelope.aggregate, &envelope.id);
                }
            }
            Work::Persist(events, _) => {
                for event in events {
                    self.add_sequence(&event.aggregate, &event.id);
                }
            }
            Work::Raise(..) | Work::Renew { .. } => {}
        }
    }

    fn add_command(&mut self, command: &Command) {
        let group = command.group.as_str();
        match &command.action {
            Action::Join { .. } | Action::Leave { .. } => self.add_sequence(GROUP, group),
            Action::Post {
                id, author, key, ..
            } => {
                self.add_member(group, author);
                // Without a key the id is fresh, so there is nothing to look up.
                if let Some(key) = key {
                    self.keys.insert(key_digest(&author.id, key.as_str()));
                    self.add_sequence(POST, &id.0);
                }
            }
            Action::Like { message, user } | Action::Unlike { message, user } => {
                self.add_member(group, user);
                self.posts.insert(message.0.clone());
            }
        }
    }

    fn add_member(&mut self, group: &str, user: &User) {
        let member = (group.to_owned(), user.id.0.clone());
        self.members.insert(member);
    }

    fn add_sequence(&mut self, aggregate: &str, id: &str) {
        self.sequences.insert((aggregate.to_owned(), id.to_owned()));
    }
}

async fn load_groups(
    connection: &mut PgConnection,
    wanted: &BTreeSet<(String, String)>,
    groups: &mut Groups,
) -> sqlx::Result<()> {
    let absent: Vec<(&str, &str)> = wanted
        .iter()
        .map(|(group, user)| (group.as_str(), user.as_str()))
        .filter(|(group, user)| !groups.knows(group, user))
        .collect();
    if absent.is_empty() {
        return Ok(());
    }
    let deciding = rows::memberships(connection, &absent).await?;
    let deciding = deciding
        .iter()
        .map(|(group, payload)| Ok((group, envelope_from(payload)?)))
        .collect::<sqlx::Result<Vec<_>>>()?;
    for (group, user) in absent {
        groups.learn(group, user);
    }
    for (group, envelope) in &deciding {
        groups.fold(group, envelope);
    }
    Ok(())
}

async fn load_posts(
    connection: &mut PgConnection,
    wanted: &BTreeSet<String>,
    posts: &mut Posts,
) -> sqlx::Result<()> {
    let absent: Vec<&str> = wanted
        .iter()
        .map(String::as_str)
        .filter(|id| !posts.holds(id))
        .collect();
    if absent.is_empty() {
        return Ok(());
    }
    let stored = rows::aggregates(connection, POST, &absent).await?;
    let stored = stored
        .iter()
        .map(|(id, sequence, payload)| Ok((id, *sequence, envelope_from(payload)?)))
        .collect::<sqlx::Result<Vec<_>>>()?;
    for id in absent {
        posts.put(id);
    }
    for (id, sequence, envelope) in &stored {
        posts.fold(id, *sequence, envelope);
    }
    Ok(())
}

fn envelope_from(payload: &str) -> sqlx::Result<Envelope> {
    serde_json::from_str(payload).map_err(|failure| sqlx::Error::Decode(failure.into()))
}
