//! Pushes: what is sent, and what of it waits for its past.

use causeway_domain::ids::ReplicaId;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::{Absorbed, Task};
use causeway_replicator_core::core::{Input, Output};
use causeway_replicator_core::orphans;
use causeway_replicator_core::plan::Push;
use causeway_replicator_core::wire::events::{self, BATCH_EVENTS};

use crate::hits::Hit;
use crate::replica::{Asker, Parked};

use super::super::{Happening, World};
use super::{Answer, Kind, Open, Question, Storm, slot};

const EARLY_PATIENCE_MS: u64 = 250;
/// So often may the same push go to a peer that says nothing.
const STORM: u32 = 4;

impl World {
    pub(in crate::world) fn send_push(&mut self, at: usize, to: ReplicaId, push: &Push) {
        let replica = &self.replicas[at];
        let mut held = if replica.away_until_ms > self.now_ms {
            Vec::new()
        } else {
            replica.read_beyond(&push.after, BATCH_EVENTS)
        };
        held.retain(|event| {
            push.only
                .is_none_or(|only| only == event.envelope.stamp.origin)
        });
        let mut sent = VersionVector::default();
        for event in &held {
            sent.record(event.envelope.stamp.dot());
        }
        if held.is_empty() {
            // The own log could not be read.
            self.counter += 1;
            let (call, life) = (self.counter, self.replicas[at].life);
            let kind = Kind::Push { sent };
            let open = Open {
                from: at,
                life,
                to,
                kind,
            };
            self.calls.insert(call, open);
            return self.plan(1, Happening::Fails { call });
        }
        self.watch_for_storm(at, to, &sent);
        self.events_sent += held.len() as u64;
        let Some(caller) = self.caller(at) else {
            return;
        };
        let body = Question::Push(caller, events::encode(&held));
        self.call(at, to, body, Kind::Push { sent });
    }

    /// A peer that took nothing of a push is not sent it over and over.
    pub(super) fn watch_for_storm(&mut self, at: usize, to: ReplicaId, sent: &VersionVector) {
        let storm = self.storms.entry((at, slot(to))).or_default();
        if storm.sent == *sent {
            storm.times += 1;
        } else {
            *storm = Storm {
                sent: sent.clone(),
                times: 1,
            };
        }
        if storm.times > STORM {
            self.violate(|| format!("{} sends {to} the same push again and again", at + 1));
        }
    }

    pub(super) fn park(&mut self, call: u64, from: usize, to: usize, body: &[u8]) {
        self.counter += 1;
        let ticket = self.counter;
        let events = events::decode(body).events;
        let parked = Parked {
            ticket,
            call,
            from,
            orphaned: orphans::in_push(&events),
            events,
            stored: 0,
            missing: Vec::new(),
            forked: Vec::new(),
            unknown_own: None,
            until_ms: self.now_ms + EARLY_PATIENCE_MS,
            is_asked: true,
        };
        let task = self.absorb_task(to, parked.events.clone(), &parked.orphaned);
        let life = self.replicas[to].life;
        if let Some(process) = &mut self.replicas[to].process {
            process.parked.push(parked);
        }
        self.plan(EARLY_PATIENCE_MS, Happening::Patience(to, life));
        self.hand_over(to, task, Asker::Push(ticket));
    }

    /// The log took in what it could of a push.
    pub(in crate::world) fn push_absorbed(
        &mut self,
        at: usize,
        ticket: u64,
        taken: Option<Absorbed>,
    ) {
        let now_ms = self.now_ms;
        let Some(process) = &mut self.replicas[at].process else {
            return;
        };
        let Some(index) = process.parked.iter().position(|p| p.ticket == ticket) else {
            return;
        };
        let Some(taken) = taken else {
            let parked = process.parked.remove(index);
            return self.answer(parked.call, parked.from, at, Answer::Busy);
        };
        let parked = &mut process.parked[index];
        parked.is_asked = false;
        parked.stored += taken.stored;
        parked.missing = taken.missing;
        parked.forked = taken.forked;
        parked.unknown_own = taken.unknown_own;
        let held = &process.writing.head().vector;
        parked
            .events
            .retain(|event| !held.covers(event.envelope.stamp.dot()));
        let waits = !parked.events.is_empty() && !parked.missing.is_empty();
        if waits && now_ms < parked.until_ms {
            return self.hit(Hit::Parked);
        }
        self.push_taken(at, index);
    }

    /// What waits for its past is tried again when that has come.
    pub(in crate::world) fn look_at_parked(&mut self, at: usize) {
        let forked = self.not_awaited(at);
        let Some(process) = &mut self.replicas[at].process else {
            return;
        };
        let held = process.writing.head().vector.clone();
        let mut again = Vec::new();
        for parked in &mut process.parked {
            let has_come = |range: &causeway_domain::version_vector::Range| {
                range.last <= held.get(range.origin)
            };
            if !parked.is_asked && parked.missing.iter().all(has_come) {
                parked.is_asked = true;
                let task = Task::Absorb {
                    events: parked.events.clone(),
                    forked: forked.union(&parked.orphaned).copied().collect(),
                };
                again.push((parked.ticket, task));
            }
        }
        for (ticket, task) in again {
            self.hand_over(at, task, Asker::Push(ticket));
        }
    }

    pub(in crate::world) fn lose_patience(&mut self, at: usize) {
        let now_ms = self.now_ms;
        while let Some(process) = &self.replicas[at].process
            && let Some(index) = process
                .parked
                .iter()
                .position(|p| !p.is_asked && p.until_ms <= now_ms)
        {
            self.push_taken(at, index);
        }
    }

    pub(super) fn push_taken(&mut self, at: usize, index: usize) {
        let Some(process) = &mut self.replicas[at].process else {
            return;
        };
        let parked = process.parked.remove(index);
        let from = self.replicas[parked.from].id;
        let absorbed = Absorbed {
            stored: parked.stored,
            missing: parked.missing,
            forked: parked.forked,
            unknown_own: parked.unknown_own,
        };
        let answers = self.step(at, Input::PushCalled { from, absorbed });
        for answer in answers {
            if let Output::PushAnswer(answer) = answer {
                self.answer(parked.call, parked.from, at, Answer::Push(answer));
            }
        }
    }
}
