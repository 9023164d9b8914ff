//! Decides what waits as one batch, on the state the rows would have after it.
//!
//! Nothing here is true until the batch is committed; when that fails, all of it is forgotten and
//! decided again.

mod absorb;
mod needs;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::to_raw_value;

use crate::chain::Hash;
use crate::envelope::{Envelope, LEVEL, RawEvent};
use crate::event::Event;
use crate::group::Group;
use crate::hlc::Clock;
use crate::ids::Origin;
use crate::names::{GroupName, MessageId};
use crate::post::{Post, PostCommand, PostEvent, Refusal};
use crate::rule::{self, Rule};
use crate::stamp::Stamp;

use absorb::{key_of, member_of};
pub use needs::{Facts, Needs};

use super::hot::Hot;
use super::{Action, Command, Conflict, Head, NewRow, Task, Time, Unstamped, Verdict};

const GROUP: &str = <Group as cqrs_es::Aggregate>::TYPE;
const POST: &str = <Post as cqrs_es::Aggregate>::TYPE;

/// A batch while it is decided.
pub(super) struct Batch<'a> {
    time: Time,
    pub head: Head,
    pub clock: Clock,
    hot: &'a mut Hot,
    pub rows: Vec<NewRow>,
    /// Last sequences of aggregates that are not at hand; absent means none.
    sequences: BTreeMap<(String, String), i64>,
    /// Messages known under the keys that this batch names.
    keys: BTreeMap<[u8; 16], BTreeSet<String>>,
}

impl<'a> Batch<'a> {
    pub fn new(time: Time, head: Head, clock: Clock, hot: &'a mut Hot) -> Self {
        Self {
            time,
            head,
            clock,
            hot,
            rows: Vec::new(),
            sequences: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Decides one task after all before it.
    pub fn decide(&mut self, task: &Task) -> Verdict {
        match task {
            Task::Submit(command) => Verdict::Submitted(self.submit(command)),
            Task::Absorb { events, forked } => Verdict::Absorbed(self.absorb(events, forked)),
            Task::Persist(events) => Verdict::Persisted(self.persist(events)),
            Task::Restamp(events) => {
                self.restamp(events);
                Verdict::Persisted(Ok(()))
            }
            Task::Raise(seen) => {
                self.clock.merge(*seen);
                Verdict::Raised
            }
        }
    }

    fn submit(&mut self, command: &Command) -> Result<Option<RawEvent>, Refusal> {
        match &command.action {
            Action::Group(asked) => {
                // A group refuses nothing, so nothing of it need be known to decide.
                let event = Group::default().decide(asked.clone());
                Ok(Some(self.accept_group(command, &event)))
            }
            Action::Post(id, asked) => {
                let digest = asked.key_digest();
                if let Some(digest) = &digest
                    && self.was_sent_before(digest, id)?
                {
                    return Ok(None);
                }
                let event = self.decide_post(&command.group, id, asked.clone())?;
                Ok(Some(self.accept_post(command, id, &event, digest)))
            }
        }
    }

    /// Looks an author's key up, before anything else is asked (F12).
    fn was_sent_before(&self, digest: &[u8; 16], id: &MessageId) -> Result<bool, Refusal> {
        match self.keys.get(digest) {
            _ if !rule::holds(Rule::KeyIsLookedUp) => Ok(false),
            Some(known) if known.contains(&id.0) => Ok(true),
            Some(_) => Err(Refusal::KeyReused),
            None => Ok(false),
        }
    }

    fn decide_post(
        &mut self,
        group: &GroupName,
        id: &MessageId,
        asked: PostCommand,
    ) -> Result<PostEvent, Refusal> {
        let membership = self
            .hot
            .groups
            .get(group.as_str())
            .expect("it was learnt where everybody stands who writes in the batch")
            .membership(&asked.user().id);
        match self.hot.posts.get(&id.0) {
            Some(post) => post.decide(group, membership, asked),
            None => Post::default().decide(group, membership, asked),
        }
    }

    fn accept_group(&mut self, command: &Command, event: &impl Event) -> RawEvent {
        let id = command.group.as_str().to_owned();
        self.accept(GROUP, id, command, event, None)
    }

    fn accept_post(
        &mut self,
        command: &Command,
        id: &MessageId,
        event: &PostEvent,
        digest: Option<[u8; 16]>,
    ) -> RawEvent {
        self.accept(POST, id.0.clone(), command, event, digest)
    }

    fn accept(
        &mut self,
        aggregate: &'static str,
        id: String,
        command: &Command,
        event: &impl Event,
        digest: Option<[u8; 16]>,
    ) -> RawEvent {
        if let Some(above) = command.above {
            self.clock.merge(above);
        }
        let raw = to_raw_value(event).expect("events have only string keys and plain numbers");
        let group = Some(command.group.as_str().to_owned());
        self.stamp(
            aggregate.to_owned(),
            id,
            group,
            event.kind(),
            raw.into(),
            digest,
        )
    }

    /// Gives an event of this replica its stamp and its bytes.
    fn stamp(
        &mut self,
        aggregate: String,
        id: String,
        group: Option<String>,
        kind: &str,
        event: std::sync::Arc<serde_json::value::RawValue>,
        digest: Option<[u8; 16]>,
    ) -> RawEvent {
        let envelope = Envelope {
            stamp: self.next_stamp(),
            level: LEVEL,
            aggregate,
            id,
            group,
            kind: kind.to_owned(),
            at: i64::try_from(self.time.wall_ms).unwrap_or(i64::MAX),
            event,
        };
        let raw = RawEvent::create(envelope, self.chain_of(self.head.origin));
        self.append(raw.clone(), digest);
        raw
    }

    fn persist(&mut self, events: &[Unstamped]) -> Result<(), Conflict> {
        for event in events {
            if self.next_sequence(&event.aggregate, &event.id) != event.sequence {
                return Err(Conflict);
            }
            self.stamp(
                event.aggregate.clone(),
                event.id.clone(),
                event.group.clone(),
                &event.kind,
                event.event.clone(),
                None,
            );
        }
        Ok(())
    }

    /// Gives events a stamp of this replica in place of their own.
    fn restamp(&mut self, events: &[Envelope]) {
        for event in events {
            let envelope = Envelope {
                stamp: self.next_stamp(),
                ..event.clone()
            };
            let raw = RawEvent::create(envelope, self.chain_of(self.head.origin));
            let digest = key_of(&raw);
            self.append(raw, digest);
        }
    }

    fn next_stamp(&mut self) -> Stamp {
        Stamp {
            origin: self.head.origin,
            seq: self.head.vector.get(self.head.origin) + 1,
            hlc: self.clock.tick(self.time.order_ms),
            past: self.head.vector.clone(),
        }
    }

    /// Adds a row, and what follows from it for whatever is decided next.
    fn append(&mut self, event: RawEvent, key_digest: Option<[u8; 16]>) {
        let envelope = &event.envelope;
        let sequence = self.next_sequence(&envelope.aggregate, &envelope.id);
        match envelope.aggregate.as_str() {
            POST if self.hot.posts.holds(&envelope.id) => {
                self.hot.posts.fold(&envelope.id, sequence, envelope);
            }
            aggregate => {
                if aggregate == GROUP {
                    self.hot.groups.fold(&envelope.id, envelope);
                }
                let key = (envelope.aggregate.clone(), envelope.id.clone());
                self.sequences.insert(key, sequence);
            }
        }
        if let Some(digest) = key_digest {
            let known = self.keys.entry(digest).or_default();
            known.insert(envelope.id.clone());
        }
        if rule::holds(Rule::ClockIsMerged) {
            self.clock.merge(envelope.stamp.hlc);
        }
        self.head.vector.record(envelope.stamp.dot());
        self.head.hashes.insert(envelope.stamp.origin, event.hash);
        self.head.highest = self.head.highest.max(envelope.stamp.hlc);
        self.head.arrival += 1;
        self.rows.push(NewRow {
            arrival: self.head.arrival,
            sequence,
            key_digest,
            member: member_of(&event),
            event,
        });
    }

    fn next_sequence(&self, aggregate: &str, id: &str) -> i64 {
        let last = self.hot.sequence(aggregate, id).or_else(|| {
            let key = (aggregate.to_owned(), id.to_owned());
            self.sequences.get(&key).copied()
        });
        last.unwrap_or(0) + 1
    }

    fn chain_of(&self, origin: Origin) -> Hash {
        self.head
            .hashes
            .get(&origin)
            .copied()
            .unwrap_or(Hash::START)
    }
}
