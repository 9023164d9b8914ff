//! Pushes that peers send, and how our own ended.

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::ReplicaId;
use causeway_domain::version_vector::VersionVector;

use crate::failure::{CallFailure, StoreFailure};
use crate::inbound::InboundPush;
use crate::now::Now;
use crate::orphans;
use crate::storing::Storing;
use crate::wire::PushAnswer;

use super::stores::Purpose;
use super::{Core, Output, find_forks, find_unknown_own};

impl Core {
    /// A peer pushed events: the log is to take them in.
    pub(super) fn push_called(
        &mut self,
        now: Now,
        from: ReplicaId,
        ticket: u64,
        events: Vec<RawEvent>,
        out: &mut Vec<Output>,
    ) {
        let orphaned = orphans::in_push(&events);
        self.pushes.insert(ticket, InboundPush::new(now, from));
        self.store(
            Purpose::Push(ticket),
            from,
            Storing::new(events, orphaned),
            out,
        );
    }

    /// The log took in what it could of a push, or could not. Events whose past is still missing wait
    /// a moment for it; then they are left, and the peer is pulled from.
    pub(super) fn pushed_stored(
        &mut self,
        ticket: u64,
        stored: Result<Storing, StoreFailure>,
        out: &mut Vec<Output>,
    ) {
        let Some(push) = self.pushes.get_mut(&ticket) else {
            return;
        };
        match stored {
            Ok(storing) => push.stored(storing, &self.head.vector),
            Err(failure) => {
                self.pushes.remove(&ticket);
                let answer = Err(failure);
                return out.push(Output::PushAnswer { ticket, answer });
            }
        }
        self.retry_push(ticket, out);
    }

    /// Stores again what waited for its past, where that has come.
    pub(super) fn retry_pushes(&mut self, out: &mut Vec<Output>) {
        for ticket in self.pushes.keys().copied().collect::<Vec<_>>() {
            self.retry_push(ticket, out);
        }
    }

    fn retry_push(&mut self, ticket: u64, out: &mut Vec<Output>) {
        let Some(push) = self.pushes.get_mut(&ticket) else {
            return;
        };
        let from = push.from;
        if let Some(storing) = push.take_ready(&self.head.vector) {
            self.store(Purpose::Push(ticket), from, storing, out);
        }
    }

    /// Learns from the pushes that are over, and answers them at the end of the step.
    pub(super) fn end_pushes(&mut self, now: Now, out: &mut Vec<Output>) {
        for (ticket, push) in self.pushes.extract_if(.., |_, push| push.is_over(now)) {
            self.answered.push(ticket);
            let (from, absorbed) = (push.from, push.absorbed);
            let Some(peer) = self.peers.get_mut(&from) else {
                continue;
            };
            peer.hear(now);
            if !absorbed.missing.is_empty() {
                peer.learn_missing(now, &absorbed.missing);
            }
            out.extend(find_forks(now, peer, from, &absorbed));
            out.extend(find_unknown_own(
                peer,
                from,
                &self.head,
                self.me.origin,
                &absorbed,
            ));
        }
    }

    /// One of our pushes was answered, or not.
    pub(super) fn push_done(
        &mut self,
        now: Now,
        id: ReplicaId,
        sent: &VersionVector,
        result: Result<PushAnswer, CallFailure>,
    ) {
        let not_pulled = self.not_pulled();
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.push.is_under_way = false;
        match result {
            Ok(answer) => {
                self.revision += 1;
                peer.hear(now);
                peer.learn_push(now, sent, answer);
                let known = peer.known().map_or(0, |known| known.get(self.me.origin));
                peer.lag.holds(known);
                let wanted = peer.wanted(&self.head.vector, &not_pulled);
                peer.want(now, &wanted, false);
            }
            Err(_) => peer.push_failed(),
        }
    }
}
