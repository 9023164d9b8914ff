//! A history, indexed for the checkers.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Entry, Event, Object, Outcome};

/// The observations of one post.
#[derive(Clone, Debug, Default)]
pub(super) struct Post {
    pub(super) group: String,
    /// The replicas it was sent to.
    pub(super) tried: Vec<u16>,
    /// The acknowledgements: replica, time, and id of the message.
    pub(super) answers: Vec<(u16, u64, String)>,
    pub(super) outcome: Option<Outcome>,
    /// The position above which it must sort.
    pub(super) after: Option<String>,
}

/// A disk emptied or rolled back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) replica: u16,
    pub(super) since_us: u64,
    pub(super) until_us: u64,
}

/// One like, unlike, join or leave.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) at_us: u64,
    pub(super) sets: bool,
    pub(super) outcome: Outcome,
    pub(super) clean: bool,
    pub(super) chain: u64,
    pub(super) replica: u16,
}

/// The frames that a reader received.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) group: String,
    pub(super) messages: Vec<String>,
    pub(super) members: Vec<String>,
    pub(super) frames: Vec<Given>,
    pub(super) has_ended: bool,
}

/// One frame.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) connection: u64,
    pub(super) event: String,
    pub(super) subject: String,
    pub(super) by: Option<String>,
    pub(super) object: Option<Object>,
}

/// Group, message (`None` for the membership), user.
pub(super) type Pair = (String, Option<String>, String);

/// The indexed history.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    /// By text.
    pub(super) posts: BTreeMap<String, Post>,
    /// By message: (holder, reporter) and the times of the reports.
    pub(super) held: BTreeMap<String, BTreeMap<(u16, u16), Vec<u64>>>,
    /// The losses of disks.
    pub(super) destroyed: Vec<Loss>,
    pub(super) changes: BTreeMap<Pair, Vec<Change>>,
    /// Groups, with the settled prefixes of their pages.
    pub(super) settled: BTreeSet<(String, Vec<String>)>,
    /// By name.
    pub(super) readings: BTreeMap<String, Reading>,
}

impl Story {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut story = Self::default();
        for entry in entries {
            story.take(entry.at_us, &entry.event);
        }
        story
    }

    /// Whether a replica lost what it stored at a moment.
    pub(super) fn is_destroyed(&self, replica: u16, at_us: u64) -> bool {
        let mut losses = self.destroyed.iter().filter(|loss| loss.replica == replica);
        losses.any(|loss| loss.since_us <= at_us && at_us <= loss.until_us)
    }

    /// Whether a replica lost anything after a moment.
    pub(super) fn loses_later(&self, replica: u16, at_us: u64) -> bool {
        let mut losses = self.destroyed.iter().filter(|loss| loss.replica == replica);
        losses.any(|loss| at_us <= loss.until_us)
    }

    fn take(&mut self, at_us: u64, event: &Event) {
        match event {
            Event::Tried { text, replica } => self.post(text).tried.push(*replica),
            Event::Posted {
                text, replica, id, ..
            } => self.post(text).answers.push((*replica, at_us, id.clone())),
            Event::PostEnded {
                text,
                group,
                outcome,
                after,
            } => {
                let post = self.post(text);
                post.group.clone_from(group);
                post.outcome = Some(*outcome);
                post.after.clone_from(after);
            }
            Event::Held { id, replica, by } => {
                let held = self.held.entry(id.clone()).or_default();
                held.entry((*replica, *by)).or_default().push(at_us);
            }
            Event::Destroyed { replica, since_us } => self.destroyed.push(Loss {
                replica: *replica,
                since_us: *since_us,
                until_us: at_us,
            }),
            Event::Settled { group, ids } => {
                self.settled.insert((group.clone(), ids.clone()));
            }
            Event::Standing { .. } => self.take_change(at_us, event),
            Event::ReaderBegan { .. } | Event::Frame { .. } | Event::ReaderEnded { .. } => {
                self.take_reading(event);
            }
            Event::Phase { .. }
            | Event::Fault { .. }
            | Event::Over { .. }
            | Event::Broken { .. }
            | Event::Converged { .. } => {}
        }
    }

    fn take_change(&mut self, at_us: u64, event: &Event) {
        if let Event::Standing {
            user,
            group,
            message,
            sets,
            outcome,
            clean,
            chain,
            replica,
        } = event
        {
            let pair = (group.clone(), message.clone(), user.clone());
            self.changes.entry(pair).or_default().push(Change {
                at_us,
                sets: *sets,
                outcome: *outcome,
                clean: *clean,
                chain: *chain,
                replica: *replica,
            });
        }
    }

    fn take_reading(&mut self, event: &Event) {
        match event {
            Event::ReaderBegan {
                reader,
                group,
                messages,
                members,
            } => {
                let reading = self.readings.entry(reader.clone()).or_default();
                reading.group.clone_from(group);
                reading.messages.clone_from(messages);
                reading.members.clone_from(members);
            }
            Event::Frame {
                reader,
                connection,
                event,
                subject,
                by,
                object,
                ..
            } => {
                let reading = self.readings.entry(reader.clone()).or_default();
                reading.frames.push(Given {
                    connection: *connection,
                    event: event.clone(),
                    subject: subject.clone(),
                    by: by.clone(),
                    object: object.clone(),
                });
            }
            Event::ReaderEnded { reader } => {
                self.readings.entry(reader.clone()).or_default().has_ended = true;
            }
            _ => {}
        }
    }

    fn post(&mut self, text: &str) -> &mut Post {
        self.posts.entry(text.to_owned()).or_default()
    }
}
