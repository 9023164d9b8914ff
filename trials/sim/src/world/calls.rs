//! Calls between replicas, in place of `driver`, in simulated time. Events are sent in their wire
//! encoding.

mod events;
mod fresh;

use std::mem::discriminant;

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::ReplicaId;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::machine::Machine;
use causeway_replicator_core::auth::Head;
use causeway_replicator_core::core::{Input, Output};
use causeway_replicator_core::failure::{CallFailure, LinkError};
use causeway_replicator_core::wire::events::decode;
use causeway_replicator_core::wire::{Caller, Digest, PushAnswer, Refusal};

use crate::hits::Hit;
use crate::net::Way;

use super::{Happening, World};

pub(crate) use fresh::{Again, Arriving};

const DIGEST_TIMEOUT_MS: u64 = 2_000;
const BULK_TIMEOUT_MS: u64 = 5_000;

#[derive(Clone)]
pub(crate) enum Question {
    Digest(Box<Digest>),
    Push(Caller, Vec<u8>),
    Pull(Caller, VersionVector),
}

pub(crate) enum Answer {
    Refused(Refusal),
    Busy,
    Again(Again),
    Digest(Box<Digest>),
    Push(PushAnswer),
    Pull(Vec<u8>),
}

/// A pending call.
pub(crate) struct Open {
    pub from: usize,
    life: u64,
    to: ReplicaId,
    kind: Kind,
    /// None where there is nothing to send.
    body: Option<Question>,
    attempts: u8,
}

enum Kind {
    Digest,
    Ask,
    Push {
        sent: VersionVector,
    },
    /// With the core's number of the call.
    Pull(u64),
}

/// Repetitions of one push.
#[derive(Default)]
pub(crate) struct Storm {
    sent: VersionVector,
    times: u32,
}

impl World {
    pub(super) fn send_digest(&mut self, at: usize, to: ReplicaId, digest: Box<Digest>) {
        self.call(at, to, Question::Digest(digest), Kind::Digest);
    }

    /// Asks a peer for its closed timestamp.
    pub(super) fn send_question(&mut self, at: usize, to: ReplicaId, question: Digest) {
        self.call(at, to, Question::Digest(Box::new(question)), Kind::Ask);
    }

    fn caller(&self, at: usize) -> Option<Caller> {
        let replica = &self.replicas[at];
        Some(replica.process.as_ref()?.caller(replica.id))
    }

    fn call(&mut self, from: usize, to: ReplicaId, body: Question, kind: Kind) {
        self.counter += 1;
        let call = self.counter;
        let timeout_ms = match kind {
            Kind::Digest | Kind::Ask => DIGEST_TIMEOUT_MS,
            Kind::Push { .. } | Kind::Pull(_) => BULK_TIMEOUT_MS,
        };
        // A new digest or push replaces the former one.
        let is_former = |open: &Open| {
            (open.from, open.to) == (from, to) && discriminant(&open.kind) == discriminant(&kind)
        };
        if !matches!(kind, Kind::Pull(_)) {
            self.calls.retain(|_, open| !is_former(open));
        }
        let life = self.replicas[from].life;
        let open = Open {
            from,
            life,
            to,
            kind,
            body: Some(body.clone()),
            attempts: fresh::ATTEMPTS,
        };
        self.calls.insert(call, open);
        self.plan(timeout_ms, Happening::Fails { call });
        if let Some(head) = self.next_head(from, to) {
            self.send(call, slot(to), from, head, body);
        }
    }

    fn send(&mut self, call: u64, to: usize, from: usize, head: Head, body: Question) {
        let way = self.net.way(from, to);
        if way == Way::Cut {
            return self.plan(1, Happening::Fails { call });
        }
        if way == Way::BlackHole || self.is_lost() {
            return;
        }
        let original = Arriving {
            call,
            head,
            is_copy: false,
        };
        if self.rng.permille(self.net.weather.repeat_permille) {
            self.hit(Hit::Repeated);
            let copy = Arriving {
                is_copy: true,
                ..original
            };
            self.carry(copy, to, from, body.clone());
        }
        self.carry(original, to, from, body);
    }

    fn carry(&mut self, call: Arriving, to: usize, from: usize, body: Question) {
        let delay_ms = self.delay() + self.replicas[to].slow_ms;
        let arrives = Happening::Arrives {
            call,
            to,
            from,
            body,
        };
        self.plan(delay_ms, arrives);
    }

    fn delay(&mut self) -> u64 {
        let weather = self.net.weather;
        let delay_ms = weather.delay(&mut self.rng);
        if delay_ms >= 500 {
            self.hit(Hit::Stalled);
        }
        delay_ms
    }

    fn is_lost(&mut self) -> bool {
        let is_lost = self.rng.permille(self.net.weather.loss_permille);
        if is_lost {
            self.hit(Hit::Lost);
        }
        is_lost
    }

    pub(super) fn arrives(&mut self, arriving: Arriving, to: usize, from: usize, body: Question) {
        let call = arriving.answer_to();
        if self.replicas[to].core().is_none() {
            // No process is running there.
            return self.plan(1, Happening::Fails { call });
        }
        if let Some(refusal) = self.refuse_repeated(to, arriving.head) {
            return self.answer(call, from, to, refusal);
        }
        let Some(core) = self.replicas[to].core() else {
            return;
        };
        match body {
            Question::Digest(digest) => {
                self.storms.remove(&(to, from));
                let answers = self.step(to, Input::DigestCalled(digest));
                let answer = answers.into_iter().find_map(|answer| match answer {
                    Output::Answer(Ok(digest)) => Some(Answer::Digest(digest)),
                    Output::Answer(Err(refusal)) => Some(Answer::Refused(refusal)),
                    _ => None,
                });
                self.answer(call, from, to, answer.expect("every digest is answered"));
            }
            Question::Push(caller, body) => match core.admit_push(&caller) {
                Ok(()) => self.push_comes(call, from, to, &body),
                Err(refusal) => self.answer(call, from, to, Answer::Refused(refusal)),
            },
            Question::Pull(caller, after) => match core.admit_pull(&caller, after, false) {
                Ok(after) => self.give_events(call, from, to, &after),
                Err(refusal) => self.answer(call, from, to, Answer::Refused(refusal)),
            },
        }
    }

    fn answer(&mut self, call: u64, from: usize, to: usize, body: Answer) {
        if self.net.way(from, to) != Way::Open || self.is_lost() {
            return;
        }
        let delay_ms = self.delay() + self.replicas[to].slow_ms / 2;
        self.plan(delay_ms, Happening::Answered { call, body });
    }

    pub(super) fn fails(&mut self, call: u64) {
        self.ends(call, Err(LinkError::Unreachable));
    }

    /// Ends a call for its caller, once; later answers are dropped.
    pub(super) fn ends(&mut self, call: u64, result: Result<Answer, LinkError>) {
        if let Ok(Answer::Again(again)) = result {
            return self.call_again(call, again);
        }
        let Some(Open {
            from,
            life,
            to: peer,
            kind,
            ..
        }) = self.calls.remove(&call)
        else {
            return;
        };
        if !self.is_alive(from, life) {
            return;
        }
        let result = match result {
            Ok(Answer::Refused(refusal)) => Err(LinkError::Refused(refusal)),
            Ok(Answer::Busy) => Err(LinkError::Busy),
            other => other,
        };
        if let (Kind::Digest, Ok(_)) = (&kind, &result) {
            self.storms.remove(&(from, slot(peer)));
        }
        match (kind, result) {
            (Kind::Ask, Ok(Answer::Digest(digest))) => self.floor_came(from, digest.closed_ts),
            (Kind::Ask, _) => self.floor_came(from, Hlc::default()),
            (kind, result) => {
                self.step(from, ended(peer, kind, result));
            }
        }
    }

    /// The pushes and tasks that wait for the writer, if any.
    pub(crate) fn waiting(&self, at: usize) -> Option<String> {
        let process = self.replicas[at].process.as_ref()?;
        let tasks = process.writer.machine().map_or(0, Machine::waiting);
        let pushes = process.pushes.len();
        let waits = pushes > 0 || tasks > 0;
        waits.then(|| format!("{pushes} pushes and {tasks} tasks"))
    }
}

/// The input for the caller's core when a call ends.
fn ended(peer: ReplicaId, kind: Kind, result: Result<Answer, LinkError>) -> Input {
    match (kind, result) {
        (Kind::Digest, result) => Input::DigestDone {
            peer,
            result: result.map(|answer| match answer {
                Answer::Digest(digest) => digest,
                _ => unreachable!("a digest is answered with a digest"),
            }),
        },
        (Kind::Push { sent }, result) => Input::PushDone {
            peer,
            sent,
            result: result
                .map_err(CallFailure::Link)
                .map(|answer| match answer {
                    Answer::Push(answer) => answer,
                    _ => unreachable!("a push is answered as a push"),
                }),
        },
        (Kind::Pull(call), result) => Input::PullDone {
            peer,
            call,
            result: result.map(|answer| match answer {
                Answer::Pull(body) => decode(&body),
                _ => unreachable!("a pull is answered with events"),
            }),
        },
        (Kind::Ask, _) => unreachable!("the core does not ask"),
    }
}

/// The index of the replica at a configured address.
pub(crate) fn slot(id: ReplicaId) -> usize {
    usize::from(id.get()) - 1
}
