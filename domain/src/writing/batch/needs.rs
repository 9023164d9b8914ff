//! The rows that a batch needs before it can be decided, read with at most one statement per kind.

use std::collections::BTreeSet;

use crate::aggregate::Stamped;
use crate::envelope::Envelope;
use crate::names::User;
use crate::post::{PostCommand, PostEvent};
use crate::writing::cache::Cache;
use crate::writing::{Action, Command, Task};

use super::{Batch, GROUP, POST};

/// The uncached rows that a batch needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Memberships: (group, user).
    pub members: BTreeSet<(String, String)>,
    /// Whole posts, by id.
    pub posts: BTreeSet<String>,
    /// The last sequence of an aggregate: (type, id).
    pub sequences: BTreeSet<(String, String)>,
    /// Digests of idempotency keys.
    pub keys: BTreeSet<[u8; 16]>,
}

/// The rows found. Missing rows are omitted.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// For each needed membership the user's event with the highest order key, and one join of any
    /// user: (group, event).
    pub members: Vec<(String, Envelope)>,
    /// All events of the needed posts, by sequence: (post, sequence, event).
    pub posts: Vec<(String, i64, Envelope)>,
    /// (type, id, last sequence).
    pub sequences: Vec<(String, String, i64)>,
    /// (key, message).
    pub keys: Vec<([u8; 16], String)>,
}

impl Batch<'_> {
    /// Loads the rows found into the cache.
    pub fn load(&mut self, needs: &Needs, found: Facts) {
        for (group, user) in &needs.members {
            self.cache.groups.insert_member(group, user);
        }
        for (group, envelope) in found.members {
            self.cache
                .groups
                .fold(&group, Stamped::read(envelope.into()));
        }
        for id in &needs.posts {
            self.cache.posts.insert(id);
        }
        for (id, sequence, envelope) in found.posts {
            let stamped = Stamped::read(envelope.into());
            self.cache.posts.fold(&id, sequence, stamped);
        }
        for (aggregate, id, sequence) in found.sequences {
            let of_type = self.sequences.entry(aggregate).or_default();
            of_type.insert(id, sequence);
        }
        for (digest, id) in found.keys {
            self.keys.entry(digest).or_default().insert(id);
        }
    }
}

impl Needs {
    pub(in crate::writing) fn of(tasks: &[Task], cache: &Cache) -> Self {
        let mut needs = Self::default();
        for task in tasks {
            needs.add(task);
        }
        needs
            .members
            .retain(|(group, user)| !cache.groups.knows(group, user));
        needs.posts.retain(|id| !cache.posts.holds(id));
        let posts = &needs.posts;
        needs.sequences.retain(|(aggregate, id)| {
            let is_loaded_with_post = aggregate == POST && posts.contains(id);
            !is_loaded_with_post && cache.sequence(aggregate, id).is_none()
        });
        needs
    }

    /// Whether none of the needed rows is likely to exist, so that the batch may be decided as if
    /// none did, and again if one does. This holds for new messages from peers or from cached
    /// members. Deciding them does not change the cache.
    pub(in crate::writing) fn is_likely_new(&self, tasks: &[Task], cache: &Cache) -> bool {
        let needs_lookup = !(self.sequences.is_empty() && self.keys.is_empty());
        let is_new_message = |envelope: &Envelope| {
            envelope.aggregate == POST
                && envelope.kind == PostEvent::POSTED
                && !cache.posts.holds(&envelope.id)
        };
        let is_new = |task: &Task| match task {
            Task::Submit(command) => match &command.action {
                Action::Post(id, PostCommand::Post { .. }) => !cache.posts.holds(&id.0),
                _ => false,
            },
            Task::Absorb { events, .. } => {
                events.iter().all(|event| is_new_message(&event.envelope))
            }
            _ => false,
        };
        needs_lookup && self.members.is_empty() && self.posts.is_empty() && tasks.iter().all(is_new)
    }

    fn add(&mut self, task: &Task) {
        match task {
            Task::Submit(command) => self.add_command(command),
            Task::Absorb { events, .. } => {
                for event in events {
                    let envelope = &event.envelope;
                    self.add_sequence(&envelope.aggregate, &envelope.id);
                }
            }
            Task::Restamp(events) => {
                for event in events {
                    self.add_sequence(&event.aggregate, &event.id);
                }
            }
            Task::Raise(_) => {}
        }
    }

    fn add_command(&mut self, command: &Command) {
        let group = command.group.as_str();
        match &command.action {
            Action::Group(_) => self.add_sequence(GROUP, group),
            Action::Post(id, asked) => {
                self.add_member(group, asked.user());
                match asked {
                    // Without a key the id is random, so there is nothing to look up.
                    PostCommand::Post { .. } => {
                        if let Some(digest) = asked.key_digest() {
                            self.keys.insert(digest);
                            self.add_sequence(POST, &id.0);
                        }
                    }
                    PostCommand::Like { .. } | PostCommand::Unlike { .. } => {
                        self.posts.insert(id.0.clone());
                    }
                }
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
