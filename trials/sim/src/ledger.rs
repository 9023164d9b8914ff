//! What an outsider knows who has seen every commit and every answer.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::stamp::Dot;
use causeway_replicator::core::Alarm;

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
    /// What clients were told is written.
    pub answered: Vec<(Dot, Hash)>,
    /// Messages that clients were told are written.
    pub messages: BTreeSet<String>,
    /// Events whose last living copy was destroyed at some time.
    pub destroyed: BTreeSet<(Dot, Hash)>,
    /// Events that a rescue took out of a log. What they say is in others, or written again.
    pub set_aside: BTreeSet<(Dot, Hash)>,
    /// Origins under whose numbers other events were committed too.
    pub rewritten: BTreeSet<Origin>,
    pub alarms: Vec<(ReplicaId, Alarm)>,
}

impl Ledger {
    /// Takes in a commit. Says what is wrong with it, whoever committed it.
    pub fn commit(&mut self, event: &RawEvent) -> Result<(), String> {
        let (envelope, hash) = (&event.envelope, event.hash);
        let (stamp, dot) = (&envelope.stamp, envelope.stamp.dot());
        if let Some(known) = self.events.get(&dot) {
            if known.hash != hash {
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
        if envelope.kind == "MessagePosted" {
            let copies = self.copies.entry(envelope.id.clone()).or_default();
            copies.insert((dot, hash));
        }
        Ok(())
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
