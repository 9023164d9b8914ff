//! What an outsider knows who has seen every commit and every answer.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Dot, Origin, ReplicaId};
use causeway_domain::rescue::Subject;
use causeway_replicator_core::alarm::Alarm;

/// One event that was committed somewhere.
struct Committed {
    hash: Hash,
    hlc: Hlc,
}

/// What was committed, answered, destroyed and alarmed.
#[derive(Default)]
pub(crate) struct Ledger {
    events: BTreeMap<Dot, Committed>,
    /// Who posted a message: every copy of it.
    pub copies: BTreeMap<String, BTreeSet<(Dot, Hash)>>,
    /// All that was ever said about something.
    said: BTreeMap<Subject, BTreeSet<(Dot, Hash)>>,
    /// What clients were told is written.
    pub answered: Vec<(Dot, Hash)>,
    /// Messages that clients were told are written.
    pub messages: BTreeSet<String>,
    /// Events whose last living copy was destroyed at some time.
    pub destroyed: BTreeSet<(Dot, Hash)>,
    /// Events that became durable when their process ended, and that no process has found since:
    /// if their disk is lost, nobody ever knew of them.
    pub untold: BTreeSet<(Dot, Hash)>,
    /// Events that a rescue took out of a log. What they say is in others, or written again.
    pub set_aside: BTreeSet<(Dot, Hash)>,
    /// Events that a rescue wrote again, where no copy was.
    pub written_again: BTreeSet<Dot>,
    /// What a rescue may write again although it was said before what stands elsewhere.
    pub unordered: BTreeSet<Subject>,
    /// Origins under whose numbers other events were committed too.
    pub rewritten: BTreeSet<Origin>,
    pub alarms: Vec<(ReplicaId, Alarm)>,
}

impl Ledger {
    /// Takes in a commit. Says what is wrong with it, whoever committed it.
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

    /// Tells whether all that was ever said about something is still there, and under numbers that
    /// have one content: then whoever reads anywhere knows it as everybody does.
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

    /// Tells whether somebody may never be given a message: a copy stands under a number that has two
    /// contents, and whoever was given the other is not given this one; nor a further copy, where
    /// it came beside the first. What a rescue wrote again came where no copy was, and reaches all
    /// if it is `held` still: a later rescue may find the first copy and set that one aside; and if
    /// the first is not: another rescue may have kept it at the same time.
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

    /// No disk holds this event any more. Where no process ever told of it, its number is free.
    pub fn destroy(&mut self, dot: Dot, hash: Hash) {
        self.destroyed.insert((dot, hash));
        let is_known = self.events.get(&dot).is_some_and(|it| it.hash == hash);
        if self.untold.remove(&(dot, hash)) && is_known {
            self.events.remove(&dot);
        }
    }

    /// A client was told that this event is written.
    pub fn answer(&mut self, event: &RawEvent) {
        let envelope = &event.envelope;
        self.answered.push((envelope.stamp.dot(), event.hash));
        if envelope.kind == "MessagePosted" {
            self.messages.insert(envelope.id.clone());
        }
    }
}
