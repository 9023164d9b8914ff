//! Whether a call is new, as `serve` and `link/http` treat it: a repeated call is refused, and a
//! caller whose call is not taken for a new one makes it again.

use causeway_domain::ids::ReplicaId;
use causeway_replicator_core::auth::{Head, Process, Session};
use causeway_replicator_core::failure::LinkError;
use causeway_replicator_core::freshness::{Outgoing, Verdict};

use crate::hits::Hit;

use super::super::World;
use super::{Answer, Open, slot};

/// As many as `link/http` makes.
pub(super) const ATTEMPTS: u8 = 5;

/// Answers to copies of a call go nowhere.
const NOBODY: u64 = 0;

/// How a call arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arriving {
    pub call: u64,
    pub head: Head,
    /// It is a second one, whose sender gets the answer.
    pub is_copy: bool,
}

impl Arriving {
    /// The call to answer.
    pub fn answer_to(self) -> u64 {
        if self.is_copy { NOBODY } else { self.call }
    }
}

/// The refusal of a call that is not new.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again {
    head: Head,
    is_session_refused: bool,
    offer: Session,
}

impl World {
    /// The head of the next call of a replica.
    pub(super) fn next_head(&mut self, at: usize, to: ReplicaId) -> Option<Head> {
        let replica = &mut self.replicas[at];
        let process = replica.process.as_mut()?;
        let from = Process {
            replica: replica.id,
            instance: process.instance,
        };
        let outgoing = process.outgoing.entry(to);
        let outgoing = outgoing.or_insert_with(|| Outgoing::new(from, to));
        Some(outgoing.next([0; 32]))
    }

    /// Judges a call; returns the answer where it is refused.
    pub(super) fn refuse_repeated(&mut self, to: usize, head: Head) -> Option<Answer> {
        let now_ms = self.now_ms;
        let process = self.replicas[to].process.as_mut()?;
        let incoming = process.incoming.as_mut()?;
        let verdict = incoming.judge(now_ms, &head);
        let is_session_refused = verdict == Verdict::UnknownSession;
        let offer = incoming.offer(now_ms);
        if matches!(verdict, Verdict::Fresh | Verdict::Stranger) {
            let is_first = process.served.insert((head.from, head.count));
            if !is_first {
                self.violate(|| format!("{} serves the same call twice: {head:?}", to + 1));
            }
            return None;
        }
        self.hit(if is_session_refused {
            Hit::SessionOffered
        } else {
            Hit::RepeatedRefused
        });
        Some(Answer::Again(Again {
            head,
            is_session_refused,
            offer,
        }))
    }

    /// Makes a call again that was not taken for a new one.
    pub(super) fn call_again(&mut self, call: u64, again: Again) {
        let Some(Open {
            from,
            life,
            to,
            body,
            attempts,
            ..
        }) = self.calls.get_mut(&call)
        else {
            return;
        };
        *attempts -= 1;
        let (from, life, to, body) = (*from, *life, *to, body.clone());
        let is_last = *attempts == 0;
        let Some(body) = body.filter(|_| self.is_alive(from, life)) else {
            return;
        };
        if is_last {
            return self.ends(call, Err(LinkError::Busy));
        }
        if let Some(process) = &mut self.replicas[from].process
            && let Some(outgoing) = process.outgoing.get_mut(&to)
        {
            outgoing.learn(&again.head, again.is_session_refused, again.offer);
        }
        if let Some(head) = self.next_head(from, to) {
            self.send(call, slot(to), from, head, body);
        }
    }
}
