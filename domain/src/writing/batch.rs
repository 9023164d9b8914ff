//! Decides the tasks of a batch, each on the state that the previous decisions yield.
//!
//! The result takes effect with the commit. If that fails, it is discarded and the batch is decided
//! again.

mod absorb;
mod needs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::aggregate::{Asked, Stamped};
use crate::chain::Hash;
use crate::envelope::{Envelope, RawEvent};
use crate::group::{Group, GroupCommand, GroupEvent};
use crate::hlc::{Clock, Hlc};
use crate::ids::Origin;
use crate::mutant;
use crate::names::MessageId;
use crate::post::{Post, PostCommand, PostEvent, Refusal};
use crate::stamp::Stamp;

pub use needs::{Facts, Needs};

use super::cache::Cache;
use super::{Action, Command, Head, NewRow, Task, Time, Verdict};

const GROUP: &str = <Group as cqrs_es::Aggregate>::TYPE;
const POST: &str = <Post as cqrs_es::Aggregate>::TYPE;

/// The columns, beside its bytes, by which an event is looked up.
#[derive(Default)]
struct LookupKeys {
    key_digest: Option<[u8; 16]>,
    member: Option<String>,
}

/// A batch that is being decided.
pub(super) struct Batch<'a> {
    time: Time,
    pub head: Head,
    pub clock: Clock,
    cache: &'a mut Cache,
    pub rows: Vec<NewRow>,
    /// Last sequences of uncached aggregates, by type and id; an absent one has no events.
    sequences: BTreeMap<String, BTreeMap<String, i64>>,
    /// Messages sent with the idempotency keys of this batch.
    keys: BTreeMap<[u8; 16], BTreeSet<String>>,
}

impl<'a> Batch<'a> {
    pub fn new(time: Time, head: Head, clock: Clock, cache: &'a mut Cache) -> Self {
        Self {
            time,
            head,
            clock,
            cache,
            rows: Vec::new(),
            sequences: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Decides the next task.
    pub fn decide(&mut self, task: &Task) -> Verdict {
        match task {
            Task::Submit(command) => Verdict::Submitted(self.submit(command)),
            Task::Absorb { events, forked } => Verdict::Absorbed(self.absorb(events, forked)),
            Task::Restamp(events) => {
                self.restamp(events);
                Verdict::Restamped
            }
            Task::Raise(seen) => {
                self.clock.merge(*seen);
                Verdict::Raised
            }
        }
    }

    fn submit(&mut self, command: &Command) -> Result<Option<RawEvent>, Refusal> {
        match &command.action {
            Action::Group(asked) => self.submit_to_group(command, asked).map(Some),
            Action::Post(id, asked) => {
                let digest = asked.key_digest();
                if let Some(digest) = &digest
                    && self.was_sent_before(digest, id)?
                {
                    return Ok(None);
                }
                self.submit_to_post(command, id, asked, digest).map(Some)
            }
        }
    }

    /// Looks up an author's idempotency key. This precedes every other check (F12).
    fn was_sent_before(&self, digest: &[u8; 16], id: &MessageId) -> Result<bool, Refusal> {
        mutant!(KeyIsLookedUp => Ok(false));
        match self.keys.get(digest) {
            Some(known) if known.contains(&id.0) => Ok(true),
            Some(_) => Err(Refusal::KeyReused),
            None => Ok(false),
        }
    }

    fn submit_to_group(
        &mut self,
        command: &Command,
        asked: &GroupCommand,
    ) -> Result<RawEvent, Refusal> {
        let id = command.group.as_str();
        let (asked, clock) = self.ask(command, id, asked.clone());
        let sequence = self.next_sequence(GROUP, id);
        let accepted = self.cache.groups.decide(id, asked)?;
        self.clock = clock;
        let lookup_keys = LookupKeys {
            member: accepted.event.member().map(str::to_owned),
            ..LookupKeys::default()
        };
        Ok(self.create(accepted.envelope, sequence, lookup_keys))
    }

    fn submit_to_post(
        &mut self,
        command: &Command,
        id: &MessageId,
        asked: &PostCommand,
        digest: Option<[u8; 16]>,
    ) -> Result<RawEvent, Refusal> {
        let membership = self
            .cache
            .groups
            .get(command.group.as_str())
            .expect("the memberships of all authors in the batch are loaded")
            .membership(&asked.user().id);
        let (asked, clock) = self.ask(command, &id.0, asked.clone());
        let sequence = self.next_sequence(POST, &id.0);
        let posts = &mut self.cache.posts;
        let accepted = posts.decide(&id.0, sequence, membership, asked)?;
        self.clock = clock;
        let lookup_keys = LookupKeys {
            key_digest: digest,
            ..LookupKeys::default()
        };
        Ok(self.create(accepted.envelope, sequence, lookup_keys))
    }

    /// Wraps a command for its aggregate, with the stamp of the event that it may yield. Also
    /// returns the clock after that event.
    fn ask<C>(&self, command: &Command, id: &str, asked: C) -> (Asked<C>, Clock) {
        let mut clock = self.clock;
        if let Some(above) = command.above {
            clock.merge(above);
        }
        let asked = Asked {
            id: id.to_owned(),
            group: command.group.clone(),
            stamp: self.stamp(&mut clock),
            at_ms: self.wall_ms(),
            command: asked,
        };
        (asked, clock)
    }

    /// Appends events with a new stamp of this replica in place of their own.
    fn restamp(&mut self, events: &[Envelope]) {
        for event in events {
            let envelope = Envelope {
                stamp: self.next_stamp(),
                ..event.clone()
            };
            let raw = RawEvent::create(envelope, self.chain_of(self.head.origin));
            self.apply_and_append(raw);
        }
    }

    fn next_stamp(&mut self) -> Stamp {
        let mut clock = self.clock;
        let stamp = self.stamp(&mut clock);
        self.clock = clock;
        stamp
    }

    fn stamp(&self, clock: &mut Clock) -> Stamp {
        Stamp {
            origin: self.head.origin,
            seq: self.head.vector.get(self.head.origin) + 1,
            hlc: clock.tick(self.time.order_ms),
            past: self.head.vector.clone(),
        }
    }

    fn wall_ms(&self) -> i64 {
        i64::try_from(self.time.wall_ms).unwrap_or(i64::MAX)
    }

    /// Serialises an own event, which its aggregate has applied already, and adds its row.
    fn create(
        &mut self,
        envelope: Arc<Envelope>,
        sequence: i64,
        lookup_keys: LookupKeys,
    ) -> RawEvent {
        let raw = RawEvent::create(envelope, self.chain_of(self.head.origin));
        self.append(raw.clone(), sequence, lookup_keys);
        raw
    }

    /// Applies an event to its aggregate, if that is cached, and adds its row.
    fn apply_and_append(&mut self, event: RawEvent) {
        let envelope = &event.envelope;
        let sequence = self.next_sequence(&envelope.aggregate, &envelope.id);
        let mut lookup_keys = LookupKeys::default();
        match envelope.aggregate.as_str() {
            POST => {
                let stamped = Stamped::<PostEvent>::read(envelope.clone());
                lookup_keys.key_digest = stamped.event.key_digest();
                self.cache.posts.fold(&envelope.id, sequence, stamped);
            }
            GROUP => {
                let stamped = Stamped::<GroupEvent>::read(envelope.clone());
                lookup_keys.member = stamped.event.member().map(str::to_owned);
                self.cache.groups.fold(&envelope.id, stamped);
            }
            _ => {}
        }
        self.append(event, sequence, lookup_keys);
    }

    /// Adds a row and updates the state for the next decision.
    fn append(&mut self, event: RawEvent, sequence: i64, lookup_keys: LookupKeys) {
        let envelope = &event.envelope;
        self.record_sequence(envelope, sequence);
        if let Some(digest) = lookup_keys.key_digest {
            let known = self.keys.entry(digest).or_default();
            known.insert(envelope.id.clone());
        }
        merge_clock(&mut self.clock, envelope.stamp.hlc);
        self.head.vector.record(envelope.stamp.dot());
        self.head.hashes.insert(envelope.stamp.origin, event.hash);
        self.head.highest = self.head.highest.max(envelope.stamp.hlc);
        self.head.offset += 1;
        self.rows.push(NewRow {
            offset: self.head.offset,
            sequence,
            key_digest: lookup_keys.key_digest,
            member: lookup_keys.member,
            event,
        });
    }

    /// Records the last sequence of an aggregate, unless the cache has it.
    fn record_sequence(&mut self, envelope: &Envelope, sequence: i64) {
        let (aggregate, id) = (envelope.aggregate.as_str(), envelope.id.as_str());
        if self.cache.sequence(aggregate, id).is_some() {
            return;
        }
        if let Some(of_type) = self.sequences.get_mut(aggregate) {
            of_type.insert(id.to_owned(), sequence);
        } else {
            let of_type = BTreeMap::from([(id.to_owned(), sequence)]);
            self.sequences.insert(aggregate.to_owned(), of_type);
        }
    }

    fn next_sequence(&self, aggregate: &str, id: &str) -> i64 {
        let last = self.cache.sequence(aggregate, id).or_else(|| {
            let of_type = self.sequences.get(aggregate)?;
            of_type.get(id).copied()
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

/// Keeps the clock above every event stored, so that later events sort after it.
fn merge_clock(clock: &mut Clock, stored: Hlc) {
    mutant!(ClockIsMerged);
    clock.merge(stored);
}
