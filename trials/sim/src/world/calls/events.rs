//! Pushes and pulls between replicas, and the storing of their events.

use std::collections::BTreeSet;

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::{Absorbed, Task};
use causeway_replicator_core::core::Input;
use causeway_replicator_core::failure::StoreFailure;
use causeway_replicator_core::plan::Push;
use causeway_replicator_core::wire::PushAnswer;
use causeway_replicator_core::wire::events::{self, BATCH_EVENTS};

use crate::hits::Hit;
use crate::replica::Asker;

use super::super::{Happening, World};
use super::{Answer, Kind, Open, Question, Storm, slot};

/// The maximum number of repetitions of a push to a peer that sends no answer or digest.
const STORM: u32 = 4;

impl World {
    pub(in crate::world) fn send_push(&mut self, at: usize, to: ReplicaId, push: &Push) {
        let replica = &self.replicas[at];
        let mut held = if replica.away_until_ms > self.now_ms {
            Vec::new()
        } else {
            replica.read_beyond(&push.after, BATCH_EVENTS)
        };
        let sent = push.select(&mut held);
        if held.is_empty() {
            // The log could not be read.
            self.counter += 1;
            let (call, life) = (self.counter, self.replicas[at].life);
            let kind = Kind::Push { sent };
            let open = Open {
                from: at,
                life,
                to,
                kind,
                body: None,
                attempts: 1,
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

    /// Checks that a push without effect is not repeated endlessly.
    fn watch_for_storm(&mut self, at: usize, to: ReplicaId, sent: &VersionVector) {
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

    pub(super) fn push_comes(&mut self, call: u64, from: usize, to: usize, body: &[u8]) {
        self.counter += 1;
        let ticket = self.counter;
        if let Some(process) = &mut self.replicas[to].process {
            process.pushes.insert(ticket, (call, from));
        }
        let pushed = Input::PushCalled {
            from: self.replicas[from].id,
            ticket,
            events: events::decode(body).events,
        };
        self.step(to, pushed);
    }

    pub(in crate::world) fn answer_push(
        &mut self,
        at: usize,
        ticket: u64,
        answer: Result<PushAnswer, StoreFailure>,
    ) {
        let process = self.replicas[at].process.as_mut();
        let push = process.and_then(|process| process.pushes.remove(&ticket));
        if let Some((call, from)) = push {
            let answer = answer.map_or(Answer::Busy, Answer::Push);
            self.answer(call, from, at, answer);
        }
    }

    pub(in crate::world) fn send_pull(
        &mut self,
        at: usize,
        from: ReplicaId,
        call: u64,
        after: VersionVector,
    ) {
        if let Some(caller) = self.caller(at) {
            self.call(at, from, Question::Pull(caller, after), Kind::Pull(call));
        }
    }

    pub(in crate::world) fn cancel_pull(&mut self, at: usize, from: ReplicaId, call: u64) {
        let life = self.replicas[at].life;
        let is_it = |open: &Open| {
            let is_there = (open.from, open.life, open.to) == (at, life, from);
            is_there && matches!(open.kind, Kind::Pull(it) if it == call)
        };
        self.calls.retain(|_, open| !is_it(open));
    }

    pub(super) fn give_events(&mut self, call: u64, from: usize, to: usize, after: &VersionVector) {
        if self.replicas[to].away_until_ms > self.now_ms {
            return self.answer(call, from, to, Answer::Busy);
        }
        let held = self.replicas[to].read_beyond(after, self.swarm.batch);
        self.events_sent += held.len() as u64;
        self.answer(call, from, to, Answer::Pull(events::encode(&held)));
    }

    pub(in crate::world) fn store_events(
        &mut self,
        at: usize,
        store: u64,
        events: Vec<RawEvent>,
        not_awaited: BTreeSet<Origin>,
    ) {
        let forked = not_awaited;
        self.hand_over(at, Task::Absorb { events, forked }, Asker::Store(store));
    }

    /// The log has stored what it could.
    pub(in crate::world) fn stored(
        &mut self,
        at: usize,
        store: u64,
        result: Result<Absorbed, StoreFailure>,
    ) {
        self.note(format_args!("{} stored {result:?}", at + 1));
        let Some(core) = self.replicas[at].core() else {
            return;
        };
        let before = core.waiting_pushes();
        self.step(at, Input::StoreDone { store, result });
        let core = self.replicas[at].core();
        if core.is_some_and(|core| core.waiting_pushes() > before) {
            self.hit(Hit::PushWaited);
        }
    }
}
