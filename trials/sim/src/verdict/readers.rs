//! The state that readers who moved between replicas must hold at the end.
//!
//! A reader that received one of two events under a forked dot may never receive the other, and
//! frames served from a destroyed disk are never retracted. Subjects of such events are exempt.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::register::Register;
use causeway_domain::rescue::Subject;
use causeway_domain::timeline::{Declaration, Fate};
use causeway_domain::version_vector::Range;
use causeway_replicator_core::core::Core;
use causeway_replicator_core::liveness::Status;

use crate::reader::{Mode, Object};
use crate::world::World;

/// (is it a membership, group or message, user).
type About = (bool, String, String);

impl World {
    /// Each reader connects once more, to any replica, and ends with the state shown there. The
    /// number of calls is bounded by the number of entries and the reader's limit.
    pub(super) fn expect_readers(&mut self) {
        for number in 0..self.people.readers.len() {
            let at = self.rng.index(self.size());
            let entries = self.replicas[at].disk.table.feed.len();
            let reader = &mut self.people.readers[number];
            reader.stream = None;
            let (mode, limit) = (reader.mode, reader.limit);
            let mut calls = 0;
            let has_caught_up = match mode {
                Mode::Poll => loop {
                    calls += 1;
                    if self.poll(number, at) {
                        break true;
                    }
                    // Each entry yields at most two frames: the first, and one recheck.
                    if calls > 2 + 2 * entries / limit {
                        break false;
                    }
                },
                Mode::Stream => {
                    self.open_stream(number, at);
                    (0..2 + entries).any(|_| self.read_stream(number, false, false))
                }
            };
            if !has_caught_up {
                self.violate(|| format!("reader {number} at {} does not catch up", at + 1));
            }
            if self.is_ahead_for_long(number, at) {
                continue;
            }
            self.expect_reader(number, at);
        }
    }

    /// A reader may stay ahead only if the replica cannot know what its peers hold.
    fn is_ahead_for_long(&mut self, number: usize, at: usize) -> bool {
        let replica = &self.replicas[at];
        let delivery = self.people.readers[number].delivery();
        let held = &replica.disk.table.checkpoint.vector;
        let Some(knowledge) = replica.core().map(Core::knowledge) else {
            return false;
        };
        let is_awaited = |range: &Range| {
            knowledge.fate_of(range.origin, delivery.highest, held) == Fate::Awaited
        };
        let is_ahead = delivery.delivered.beyond(held).iter().any(is_awaited);
        let hears_all = knowledge.peers.values();
        let hears_all = hears_all
            .map(|peer| peer.liveness.status)
            .all(|it| it == Status::Up);
        let keeps_back = knowledge
            .peers
            .values()
            .any(|peer| !peer.withheld.is_empty());
        // Until all clocks have passed a lost event's HLC, the event may still arrive.
        let is_known = knowledge
            .all_past
            .is_some_and(|past| past >= delivery.highest);
        if is_ahead && hears_all && !keeps_back && is_known {
            self.violate(|| format!("reader {number} at {} stays ahead", at + 1));
        }
        is_ahead
    }

    /// A reader's state equals the state that a replica shows.
    pub(crate) fn expect_reader(&mut self, number: usize, at: usize) {
        let has_all = self.has_messages(number, at);
        if let Err(wrong) = has_all.and_then(|()| self.has_standings(number, at)) {
            self.violate(|| format!("reader {number} at {}: {wrong}", at + 1));
        }
    }

    fn has_messages(&self, number: usize, at: usize) -> Result<(), String> {
        let reader = &self.people.readers[number];
        let disk = &self.replicas[at].disk;
        let held = |dot, hash| disk.holds(dot, hash);
        let visible = &disk.table.visible;
        for (id, message) in &visible.messages {
            if message.group != reader.group || self.ledger.is_hidden(id, held) {
                continue;
            }
            match reader.messages.get(id) {
                None => return Err(format!("message {id} was never delivered")),
                Some(given) if given.position != message.position && self.is_plain(id) => {
                    return Err(format!("message {id} was delivered at another position"));
                }
                Some(given) => self.has_likers(id, given, at)?,
            }
        }
        let mut invented = reader.messages.keys();
        let invented = invented.find(|&id| !visible.messages.contains_key(id) && self.is_plain(id));
        invented.map_or(Ok(()), |id| {
            Err(format!("message {id} was delivered and does not exist"))
        })
    }

    /// The last frame about a message listed the users who like it.
    fn has_likers(&self, id: &str, given: &Object, at: usize) -> Result<(), String> {
        let shown = Object::shown(&self.replicas[at].disk.table, id);
        let shown = shown.map(|it| it.likers).unwrap_or_default();
        let is_plain = |user: &&String| {
            self.ledger.is_plain(&Subject::Like {
                message: id.to_owned(),
                user: (*user).clone(),
            })
        };
        let mut differing = shown.symmetric_difference(&given.likers).filter(is_plain);
        differing.next().map_or(Ok(()), |user| {
            Err(format!(
                "the last frame of message {id} is wrong about {user}"
            ))
        })
    }

    fn has_standings(&self, number: usize, at: usize) -> Result<(), String> {
        let reader = &self.people.readers[number];
        let visible = &self.replicas[at].disk.table.visible;
        let told = reader.standings.iter().filter(|(_, is_in)| **is_in);
        let told: BTreeSet<About> = told.map(|(about, _)| about.clone()).collect();
        let is_of_group = |of: &str| {
            let message = visible.messages.get(of);
            message.map_or(of, |message| message.group.as_str()) == reader.group.as_str()
        };
        let mut expected = declared(true, &visible.members);
        expected.extend(declared(false, &visible.likes));
        expected.retain(|(_, of, _)| is_of_group(of));
        let differing = told.symmetric_difference(&expected);
        let differing: Vec<_> = differing
            .filter(|about| self.ledger.is_plain(&subject(about)))
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "has other likes or members than the replica: {differing:?}"
        ))
    }

    fn is_plain(&self, message: &str) -> bool {
        let id = message.to_owned();
        self.ledger.is_plain(&Subject::Message { id })
    }
}

fn declared(
    is_membership: bool,
    of: &BTreeMap<(String, String), Register<Declaration>>,
) -> BTreeSet<About> {
    let within = of.iter().filter(|(_, register)| register.value.is_in);
    within
        .map(|((of, user), _)| (is_membership, of.clone(), user.clone()))
        .collect()
}

fn subject((is_membership, of, user): &About) -> Subject {
    let user = user.clone();
    if *is_membership {
        let group = of.clone();
        return Subject::Membership { group, user };
    }
    Subject::Like {
        message: of.clone(),
        user,
    }
}
