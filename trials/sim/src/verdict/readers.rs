//! What readers who went from replica to replica must know in the end.
//!
//! A number with two contents hides one of them from whoever was given the other, and what a
//! destroyed disk told cannot be taken back: of what was said so only the rest is asked for.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::register::Register;
use causeway_domain::rescue::Subject;
use causeway_domain::timeline::{Declaration, Fate};
use causeway_domain::version_vector::Range;
use causeway_replicator_core::core::Core;
use causeway_replicator_core::liveness::Status;

use crate::reader::{Object, Way};
use crate::world::World;

/// (is it a membership, group or message, user).
type About = (bool, String, String);

impl World {
    /// Each reader comes once more, anywhere, and ends with what everybody sees: after about as many
    /// calls as there are events for its limit.
    pub(super) fn expect_readers(&mut self) {
        for number in 0..self.people.readers.len() {
            let at = self.rng.index(self.size());
            let entries = self.replicas[at].disk.table.feed.len();
            let reader = &mut self.people.readers[number];
            reader.stay = None;
            let (way, limit) = (reader.way, reader.limit);
            let mut calls = 0;
            let has_caught_up = match way {
                Way::Poll => loop {
                    calls += 1;
                    if self.poll(number, at) {
                        break true;
                    }
                    // Each event is told at most twice: once, and when it is rechecked.
                    if calls > 2 + 2 * entries / limit {
                        break false;
                    }
                },
                Way::Stream => {
                    self.come(number, at);
                    (0..2 + entries).any(|_| self.follow(number, false, false))
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

    /// A reader may stay ahead only where a replica cannot know what the others hold.
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
        // What was lost with a clock that led has not been passed by all yet.
        let is_known = knowledge
            .all_past
            .is_some_and(|past| past >= delivery.highest);
        if is_ahead && hears_all && !keeps_back && is_known {
            self.violate(|| format!("reader {number} at {} is ahead for ever", at + 1));
        }
        is_ahead
    }

    /// A reader knows what a replica shows.
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
        let seen = &disk.table.seen;
        for (id, message) in &seen.messages {
            if message.group != reader.group || self.ledger.is_hidden(id, held) {
                continue;
            }
            match reader.messages.get(id) {
                None => return Err(format!("message {id} was never given")),
                Some(given) if given.position != message.position && self.is_plain(id) => {
                    return Err(format!("message {id} was given at another place"));
                }
                Some(given) => self.has_likers(id, given, at)?,
            }
        }
        let mut invented = reader.messages.keys();
        let invented = invented.find(|&id| !seen.messages.contains_key(id) && self.is_plain(id));
        invented.map_or(Ok(()), |id| Err(format!("message {id} is nowhere")))
    }

    /// The last frame about a message carried those who like it.
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
        let seen = &self.replicas[at].disk.table.seen;
        let told = reader.standings.iter().filter(|(_, is_in)| **is_in);
        let told: BTreeSet<About> = told.map(|(about, _)| about.clone()).collect();
        let is_of_group = |of: &str| {
            let message = seen.messages.get(of);
            message.map_or(of, |message| message.group.as_str()) == reader.group.as_str()
        };
        let mut expected = declared(true, &seen.members);
        expected.extend(declared(false, &seen.likes));
        expected.retain(|(_, of, _)| is_of_group(of));
        let differing = told.symmetric_difference(&expected);
        let differing: Vec<_> = differing
            .filter(|about| self.ledger.is_plain(&subject(about)))
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "is told something else than everybody sees: {differing:?}"
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
