//! Random histories of three replicas that exchange events now and then, and the orders in which
//! another replica may receive these events.

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{Envelope, LEVEL, RawEvent};
use causeway_domain::event::Event;
use causeway_domain::group::GroupEvent;
use causeway_domain::hlc::Clock;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::names::{User, UserId};
use causeway_domain::post::PostEvent;
use causeway_domain::stamp::Stamp;
use causeway_domain::version_vector::VersionVector;
use proptest::prelude::*;
use serde_json::value::to_raw_value;

const REPLICAS: usize = 3;

/// An action at one of the replicas.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Join { user: u8, group: u8 },
    Leave { user: u8, group: u8 },
    Post { user: u8 },
    Send { key: u8 },
    Like { user: u8, message: u8 },
    Unlike { user: u8, message: u8 },
    Receive { from: usize, events: usize },
}

fn act() -> impl Strategy<Value = Act> {
    let (user, group, message) = (0..2_u8, 0..2_u8, any::<u8>());
    prop_oneof![
        4 => (user.clone(), group.clone()).prop_map(|(user, group)| Act::Join { user, group }),
        4 => (user.clone(), group).prop_map(|(user, group)| Act::Leave { user, group }),
        1 => user.clone().prop_map(|user| Act::Post { user }),
        2 => (0..2_u8).prop_map(|key| Act::Send { key }),
        2 => (user.clone(), message).prop_map(|(user, message)| Act::Like { user, message }),
        2 => (user, message).prop_map(|(user, message)| Act::Unlike { user, message }),
        5 => (0..REPLICAS, 1..12_usize).prop_map(|(from, events)| Act::Receive { from, events }),
    ]
}

/// A random history: all its events, every cause before its effects.
pub fn history() -> impl Strategy<Value = Vec<RawEvent>> {
    let acts = proptest::collection::vec((0..REPLICAS, act()), 1..24);
    let skews = proptest::array::uniform3(0..40_u64);
    (acts, skews).prop_map(|(acts, skews)| {
        let mut world = World::new(skews);
        for (at, act) in acts {
            world.act(at, act);
        }
        world.events
    })
}

/// Choices among the events that may be delivered next, for `in_some_causal_order`.
pub fn choices() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 40)
}

/// Sorts events in one of the orders in which a replica may receive them.
pub fn in_some_causal_order(events: &[RawEvent], choices: &[u8]) -> Vec<RawEvent> {
    let mut held = VersionVector::default();
    let mut waiting: Vec<&RawEvent> = events.iter().collect();
    let mut ordered = Vec::with_capacity(events.len());
    let mut choices = choices.iter().copied().cycle();
    while !waiting.is_empty() {
        let ready: Vec<usize> = (0..waiting.len())
            .filter(|&i| held.covers_all(&waiting[i].envelope.stamp.past))
            .collect();
        let choice = usize::from(choices.next().unwrap_or(0));
        let event = waiting.remove(ready[choice % ready.len()]);
        held.record(event.envelope.stamp.dot());
        ordered.push(event.clone());
    }
    ordered
}

/// The replicas that make a history, driven at random or by a test.
pub struct World {
    replicas: Vec<Replica>,
    /// All events, causes first.
    pub events: Vec<RawEvent>,
}

struct Replica {
    origin: Origin,
    skew_ms: u64,
    clock: Clock,
    chain: Hash,
    held: VersionVector,
    log: Vec<RawEvent>,
}

impl World {
    pub fn new(skews_ms: [u64; REPLICAS]) -> Self {
        let replica = |(number, skew_ms)| Replica {
            origin: Origin {
                replica: ReplicaId::new(number).unwrap(),
                epoch: Epoch(7),
            },
            skew_ms,
            clock: Clock::default(),
            chain: Hash::START,
            held: VersionVector::default(),
            log: Vec::new(),
        };
        Self {
            replicas: (1..).zip(skews_ms).map(replica).collect(),
            events: Vec::new(),
        }
    }

    pub fn act(&mut self, at: usize, act: Act) {
        match act {
            Act::Join { user, group } => {
                let event = GroupEvent::MemberJoined { user: person(user) };
                self.write(at, "group", group_name(group), group_name(group), &event);
            }
            Act::Leave { user, group } => {
                let event = GroupEvent::MemberLeft { user: person(user) };
                self.write(at, "group", group_name(group), group_name(group), &event);
            }
            Act::Post { user } => {
                let id = format!("m{}", self.events.len());
                self.write(at, "post", &id, group_name(0), &posted(user, None));
            }
            Act::Send { key } => {
                // A replica that holds the message answers a retry with it.
                let id = format!("k{key}");
                if !self.messages_at(at).contains(&id) {
                    let event = posted(key, Some(format!("key {key}")));
                    self.write(at, "post", &id, group_name(0), &event);
                }
            }
            Act::Like { user, message } => {
                let event = PostEvent::MessageLiked { user: person(user) };
                self.write_about(at, message, &event);
            }
            Act::Unlike { user, message } => {
                let event = PostEvent::MessageUnliked { user: person(user) };
                self.write_about(at, message, &event);
            }
            Act::Receive { from, events } => self.receive(at, from, events),
        }
    }

    fn messages_at(&self, at: usize) -> Vec<String> {
        let log = self.replicas[at].log.iter();
        log.filter(|event| event.envelope.kind == "MessagePosted")
            .map(|event| event.envelope.id.clone())
            .collect()
    }

    fn write_about(&mut self, at: usize, message: u8, event: &PostEvent) {
        let known = self.messages_at(at);
        if let Some(id) = known.get(usize::from(message) % known.len().max(1)) {
            self.write(at, "post", id, group_name(0), event);
        }
    }

    fn write(&mut self, at: usize, aggregate: &str, id: &str, group: &str, event: &impl Event) {
        let wall_ms = 1_000 + self.events.len() as u64 + self.replicas[at].skew_ms;
        let replica = &mut self.replicas[at];
        let envelope = Envelope {
            stamp: Stamp {
                origin: replica.origin,
                seq: replica.held.get(replica.origin) + 1,
                hlc: replica.clock.tick(wall_ms),
                past: replica.held.clone(),
            },
            level: LEVEL,
            aggregate: aggregate.into(),
            id: id.into(),
            group: Some(group.into()),
            kind: event.kind().into(),
            at: i64::try_from(wall_ms).unwrap(),
            event: to_raw_value(event).unwrap().into(),
        };
        let event = RawEvent::create(envelope, replica.chain);
        replica.chain = event.hash;
        replica.held.record(event.envelope.stamp.dot());
        replica.log.push(event.clone());
        self.events.push(event);
    }

    fn receive(&mut self, at: usize, from: usize, events: usize) {
        let news: Vec<RawEvent> = self.replicas[from]
            .log
            .iter()
            .filter(|event| !self.replicas[at].held.covers(event.envelope.stamp.dot()))
            .take(events)
            .cloned()
            .collect();
        let replica = &mut self.replicas[at];
        for event in news {
            replica.clock.merge(event.envelope.stamp.hlc);
            replica.held.record(event.envelope.stamp.dot());
            replica.log.push(event);
        }
    }
}

fn posted(user: u8, key: Option<String>) -> PostEvent {
    PostEvent::MessagePosted {
        author: person(user),
        text: "hello".into(),
        sent_at: None,
        key,
    }
}

fn group_name(group: u8) -> &'static str {
    ["lobby", "attic"][usize::from(group)]
}

/// A user in these histories.
pub fn person(user: u8) -> User {
    let name = ["anna", "bert"][usize::from(user)];
    User {
        id: UserId(format!("id of {name}")),
        name: name.into(),
    }
}
