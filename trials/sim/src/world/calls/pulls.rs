//! Pulls, and the batch of each peer that is asked for ahead.

use std::collections::BTreeSet;

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Absorbed;
use causeway_replicator_core::core::Input;
use causeway_replicator_core::failure::{CallFailure, LinkError};
use causeway_replicator_core::foreseen::Foreseen;
use causeway_replicator_core::plan;
use causeway_replicator_core::wire::events;

use crate::hits::Hit;
use crate::replica::{Ahead, Asker};
use crate::world::{Happening, World};

use super::{Answer, Kind, Open, Question};

/// A pull under way, or what it brought being stored.
#[derive(Default)]
pub(super) struct Pulling {
    after: VersionVector,
    /// It takes what was asked for ahead, beyond this.
    asked: Option<VersionVector>,
    /// The next batch is on its way.
    is_followed: bool,
    /// Where nothing of it can be stored, what is wanted by now is to be asked for.
    is_to_ask_again: bool,
}

impl Open {
    fn is_ahead(&self, at: usize, from: ReplicaId) -> bool {
        (self.from, self.to) == (at, from) && matches!(self.kind, Kind::Ahead { .. })
    }
}

impl World {
    pub(in crate::world) fn send_pull(&mut self, at: usize, from: ReplicaId, after: VersionVector) {
        let process = self.replicas[at].process.as_mut();
        let Some(Ahead { asked, came }) = process.and_then(|it| it.foreseen.remove(&from)) else {
            return self.ask_for_pull(at, from, after);
        };
        if !plan::fits(&after, &asked) {
            self.hit(Hit::ForeseenInVain);
            self.give_up_ahead(at, from);
            return self.ask_for_pull(at, from, after);
        }
        let pulling = Pulling {
            after,
            asked: Some(asked),
            ..Pulling::default()
        };
        let Some(came) = came else {
            let mut open = self.calls.values_mut();
            let open = open.find(|open| open.is_ahead(at, from));
            let open = open.expect("what has not come is open");
            open.kind = Kind::Pull(pulling);
            return;
        };
        let call = self.open_pull(at, from, pulling);
        match came {
            Ok(body) => {
                let body = Answer::Pull(body);
                self.plan(1, Happening::Answered { call, body });
            }
            Err(_) => self.plan(1, Happening::Fails { call }),
        }
    }

    fn ask_for_pull(&mut self, at: usize, from: ReplicaId, after: VersionVector) {
        let Some(caller) = self.caller(at) else {
            return;
        };
        let question = Question::Pull(caller, after.clone());
        let pulling = Pulling {
            after,
            ..Pulling::default()
        };
        self.call(at, from, question, Kind::Pull(pulling));
    }

    fn ask_ahead(&mut self, at: usize, from: ReplicaId, next: VersionVector) {
        let Some(caller) = self.caller(at) else {
            return;
        };
        if let Some(process) = &mut self.replicas[at].process {
            let ahead = Ahead {
                asked: next.clone(),
                came: None,
            };
            process.foreseen.insert(from, ahead);
        }
        let question = Question::Pull(caller, next.clone());
        self.call(at, from, question, Kind::Ahead { asked: next });
    }

    fn open_pull(&mut self, at: usize, to: ReplicaId, pulling: Pulling) -> u64 {
        self.counter += 1;
        let open = Open {
            from: at,
            life: self.replicas[at].life,
            to,
            kind: Kind::Pull(pulling),
        };
        self.calls.insert(self.counter, open);
        self.counter
    }

    /// What was asked for ahead came, before it was wanted.
    pub(super) fn ahead_came(
        &mut self,
        at: usize,
        from: ReplicaId,
        asked: VersionVector,
        body: Result<Vec<u8>, LinkError>,
    ) {
        if let Some(process) = &mut self.replicas[at].process {
            let came = Some(body);
            process.foreseen.insert(from, Ahead { asked, came });
        }
    }

    /// A pull that did not go on at once will not need it.
    pub(super) fn forget_ahead(&mut self, at: usize, from: ReplicaId) {
        let life = self.replicas[at].life;
        let is_pull = |open: &Open| {
            let is_ours = (open.from, open.life, open.to) == (at, life, from);
            is_ours && matches!(open.kind, Kind::Pull(_))
        };
        if self.calls.values().any(is_pull) {
            return;
        }
        let process = self.replicas[at].process.as_mut();
        let forgotten = process.and_then(|process| process.foreseen.remove(&from));
        if forgotten.is_some() {
            self.hit(Hit::ForeseenInVain);
            self.give_up_ahead(at, from);
        }
    }

    fn give_up_ahead(&mut self, at: usize, from: ReplicaId) {
        self.calls.retain(|_, open| !open.is_ahead(at, from));
    }

    /// A batch came for a pull: it is stored, while the next one is asked for.
    pub(super) fn pull_came(&mut self, at: usize, peer: ReplicaId, pulling: Pulling, body: &[u8]) {
        let mut pulled = events::decode(body);
        let (after, mut beyond) = (pulling.after.clone(), pulling.after);
        if let Some(asked) = pulling.asked {
            let Some(foreseen) = Foreseen::of(&asked, &after, pulled) else {
                return self.ask_for_pull(at, peer, after);
            };
            (beyond, pulled) = (foreseen.beyond, foreseen.pulled);
            self.hit(Hit::Foreseen);
        }
        if pulled.events.is_empty() {
            let result = Ok(Absorbed::default());
            let is_followed = false;
            let done = Input::PullDone {
                peer,
                result,
                is_followed,
            };
            self.step(at, done);
            return;
        }
        let is_to_ask_again = beyond != after;
        if is_to_ask_again {
            self.hit(Hit::ForeseenWider);
        }
        let mut next = after.clone();
        for event in &pulled.events {
            next.record(event.envelope.stamp.dot());
        }
        let is_full = pulled.events.len() >= self.swarm.batch;
        let core = self.replicas[at].core();
        let is_followed = is_full && core.is_some_and(|core| core.is_more_shown(peer, &next));
        let orphaned: BTreeSet<Origin> = core
            .map(|core| core.orphaned_in_pull(peer, &beyond, &pulled.events))
            .unwrap_or_default();
        if is_followed {
            self.ask_ahead(at, peer, next);
        }
        // The call goes on until the log has taken them in.
        let storing = Pulling {
            after,
            asked: None,
            is_followed,
            is_to_ask_again,
        };
        let call = self.open_pull(at, peer, storing);
        let task = self.absorb_task(at, pulled.events, &orphaned);
        self.hand_over(at, task, Asker::Pull(call));
    }

    /// The log took in what it could of a pull.
    pub(in crate::world) fn pull_absorbed(
        &mut self,
        at: usize,
        call: u64,
        taken: Option<Absorbed>,
    ) {
        let Some(open) = self.calls.remove(&call) else {
            return;
        };
        let Kind::Pull(pulling) = open.kind else {
            unreachable!("a pull was stored");
        };
        let peer = open.to;
        self.note(format_args!("{} took {taken:?}", at + 1));
        let is_in_vain = taken.as_ref().is_some_and(|taken| taken.stored == 0);
        if is_in_vain && pulling.is_to_ask_again {
            return self.ask_for_pull(at, peer, pulling.after);
        }
        let is_followed = pulling.is_followed;
        let result = taken.ok_or(CallFailure::Log);
        let done = Input::PullDone {
            peer,
            result,
            is_followed,
        };
        self.step(at, done);
    }
}
