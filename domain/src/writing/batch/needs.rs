//! What a batch must know before it can be decided: to be read with at most one statement of each
//! kind.

use std::collections::BTreeSet;

use crate::aggregate::Stamped;
use crate::envelope::Envelope;
use crate::names::User;
use crate::post::{PostCommand, PostEvent};
use crate::writing::hot::Hot;
use crate::writing::{Action, Command, Task};

use super::{Batch, GROUP, POST};

/// What a batch must know and is not at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Where a user stands in a group: (group, user).
    pub members: BTreeSet<(String, String)>,
    /// Whole posts, by id.
    pub posts: BTreeSet<String>,
    /// The last sequence of an aggregate: (type, id).
    pub sequences: BTreeSet<(String, String)>,
    /// The messages sent under a key.
    pub keys: BTreeSet<[u8; 16]>,
}

/// What was found of it. What is not there is left out.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// For each needed member the user's last event in the one order, and one join of anybody:
    /// (group, event).
    pub members: Vec<(String, Envelope)>,
    /// All events of the needed posts in their order: (post, sequence, event).
    pub posts: Vec<(String, i64, Envelope)>,
    /// (type, id, last sequence).
    pub sequences: Vec<(String, String, i64)>,
    /// (key, message).
    pub keys: Vec<([u8; 16], String)>,
}

impl Batch<'_> {
    /// Takes in what was found.
    pub fn learn(&mut self, needs: &Needs, found: Facts) {
        for (group, user) in &needs.members {
            self.hot.groups.learn(group, user);
        }
        for (group, envelope) in found.members {
            self.hot.groups.fold(&group, Stamped::read(envelope.into()));
        }
        for id in &needs.posts {
            self.hot.posts.put(id);
        }
        for (id, sequence, envelope) in found.posts {
            let stamped = Stamped::read(envelope.into());
            self.hot.posts.fold(&id, sequence, stamped);
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
    pub(in crate::writing) fn of(tasks: &[Task], hot: &Hot) -> Self {
        let mut needs = Self::default();
        for task in tasks {
            needs.add(task);
        }
        needs
            .members
            .retain(|(group, user)| !hot.groups.knows(group, user));
        needs.posts.retain(|id| !hot.posts.holds(id));
        let posts = &needs.posts;
        needs.sequences.retain(|(aggregate, id)| {
            let comes_with_the_post = aggregate == POST && posts.contains(id);
            !comes_with_the_post && hot.sequence(aggregate, id).is_none()
        });
        needs
    }

    /// Tells whether likely nothing of this is there: a batch may be decided as if so it were, and once
    /// more where something is. So it is of new messages, sent by members who are known here or come
    /// from peers. Nothing at hand changes by deciding them.
    pub(in crate::writing) fn is_likely_new(&self, tasks: &[Task], hot: &Hot) -> bool {
        let is_asked = !(self.sequences.is_empty() && self.keys.is_empty());
        let is_new_message = |envelope: &Envelope| {
            envelope.aggregate == POST
                && envelope.kind == PostEvent::POSTED
                && !hot.posts.holds(&envelope.id)
        };
        let is_new = |task: &Task| match task {
            Task::Submit(command) => match &command.action {
                Action::Post(id, PostCommand::Post { .. }) => !hot.posts.holds(&id.0),
                _ => false,
            },
            Task::Absorb { events, .. } => {
                events.iter().all(|event| is_new_message(&event.envelope))
            }
            _ => false,
        };
        is_asked && self.members.is_empty() && self.posts.is_empty() && tasks.iter().all(is_new)
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
            Task::Persist(events) => {
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
                    // Without a key the id is fresh, so there is nothing to look up.
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
