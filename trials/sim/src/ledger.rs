//! An observer's record of every commit and every answer, against which invariants are checked.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Dot, Origin, ReplicaId};
use causeway_domain::rescue::Subject;
use causeway_replicator_core::alarm::Alarm;

/// An event that was committed on at least one replica.
struct Committed {
    hash: Hash,
    hlc: Hlc,
}

/// The commits, answers, destroyed events and alarms of a run.
#[derive(Default)]
pub(crate) struct Ledger {
    events: BTreeMap<Dot, Committed>,
    /// All copies of each message.
    pub copies: BTreeMap<String, BTreeSet<(Dot, Hash)>>,
    /// All events about each subject.
    said: BTreeMap<Subject, BTreeSet<(Dot, Hash)>>,
    /// Events that were acknowledged to a client.
    pub answered: Vec<(Dot, Hash)>,
    /// Messages that were acknowledged to a client.
    pub messages: BTreeSet<String>,
    /// Events whose last copy was destroyed at some time.
    pub destroyed: BTreeSet<(Dot, Hash)>,
    /// Events that became durable as their process crashed, and that no later process has read. If
    /// their disk is lost, they were never reported.
    pub untold: BTreeSet<(Dot, Hash)>,
    /// Events that a rescue removed from a log. Their content is in other events or written again.
    pub set_aside: BTreeSet<(Dot, Hash)>,
    /// Events that a rescue wrote again because no copy existed.
    pub written_again: BTreeSet<Dot>,
    /// Subjects on which a rescue may overrule a newer event that it did not hold.
    pub unordered: BTreeSet<Subject>,
    /// Origins under which two different events have the same seq.
    pub rewritten: BTreeSet<Origin>,
    pub alarms: Vec<(ReplicaId, Alarm)>,
}

impl Ledger {
    /// Records a commit, or reports the invariant that it violates.
    pub fn commit(&mut self, event: &RawEvent) -> Result<(), String> {
        let (envelope, hash) = (&event.envelope, event.hash);
        let (stamp, dot) = (&envelope.stamp, envelope.stamp.dot());
        if let Some(known) = self.events.get(&dot).map(|known| known.hash) {
            if known != hash {
                self.rewritten.insert(dot.origin);
            }
        } else {
            for (origin, seq) in stamp.past.iter() {
                if self.rewritten.contains(&origin) {
                    continue;
                }
                let cause = self.events.get(&Dot { origin, seq });
                if cause.is_some_and(|cause| cause.hlc >= stamp.hlc) {
                    return Err(format!("{dot} sorts before its cause {origin}:{seq}"));
                }
            }
            let hlc = stamp.hlc;
            self.events.insert(dot, Committed { hash, hlc });
        }
        let said = self.said.entry(Subject::of(envelope)).or_default();
        said.insert((dot, hash));
        if envelope.kind == "MessagePosted" {
            let copies = self.copies.entry(envelope.id.clone()).or_default();
            copies.insert((dot, hash));
        }
        Ok(())
    }

    /// Whether no event about a subject was destroyed or belongs to a rewritten origin. Then all
    /// readers must agree on it.
    pub fn is_plain(&self, subject: &Subject) -> bool {
        let is_plain = |event: &(Dot, Hash)| {
            !self.rewritten.contains(&event.0.origin) && !self.destroyed.contains(event)
        };
        let said = self.said.get(subject);
        let is_message_plain = match subject {
            Subject::Like { message, .. } => self.is_plain(&Subject::Message {
                id: message.clone(),
            }),
            _ => true,
        };
        is_message_plain && said.is_none_or(|said| said.iter().all(is_plain))
    }

    /// Whether some reader may never receive a message. A reader that received the other event
    /// under a forked dot receives neither this copy nor a later one that was stored beside it. A
    /// copy that a rescue wrote again reaches all readers if it is still `held` and the forked one
    /// is not: a later rescue may remove the new copy, and a simultaneous one may keep the forked
    /// copy.
    pub fn is_hidden(&self, message: &str, held: impl Fn(Dot, Hash) -> bool) -> bool {
        let copies = self.copies.get(message).into_iter().flatten();
        let (forked, others): (Vec<_>, Vec<_>) =
            copies.partition(|(dot, _)| self.rewritten.contains(&dot.origin));
        let is_held = |copy: &&(Dot, Hash)| held(copy.0, copy.1);
        let is_brought_back = others.iter().any(is_held)
            && !forked.iter().any(is_held)
            && others
                .iter()
                .all(|(dot, _)| self.written_again.contains(dot));
        !forked.is_empty() && !is_brought_back
    }

    /// Records that no disk holds this event any more. If it was never reported, its dot is free.
    pub fn destroy(&mut self, dot: Dot, hash: Hash) {
        self.destroyed.insert((dot, hash));
        let is_known = self.events.get(&dot).is_some_and(|it| it.hash == hash);
        if self.untold.remove(&(dot, hash)) && is_known {
            self.events.remove(&dot);
        }
    }

    /// Records that this event was acknowledged to a client.
    pub fn answer(&mut self, event: &RawEvent) {
        let envelope = &event.envelope;
        self.answered.push((envelope.stamp.dot(), event.hash));
        if envelope.kind == "MessagePosted" {
            self.messages.insert(envelope.id.clone());
        }
    }
}
