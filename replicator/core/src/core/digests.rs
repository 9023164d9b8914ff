//! What the core makes of the digests of peers.

use std::collections::BTreeSet;

use causeway_domain::ids::{Dot, Origin, ReplicaId};
use causeway_domain::mutant;
use causeway_domain::version_vector::{Range, VersionVector};

use crate::alarm::Alarm;
use crate::failure::LinkError;
use crate::forks::Lists;
use crate::identity::Admission;
use crate::liveness::Outward;
use crate::now::Now;
use crate::peer::Peer;
use crate::wire::{Digest, Refusal};

use super::{Core, GATHER_MS, Output, fork_alarm, unknown_own_alarm};

/// How soon a peer that holds another version of our presence is told again.
const RETELL_MS: u64 = 250;
/// Most refused callers that are remembered: a caller with the key can give any number.
const MOST_REFUSED: usize = 100;

impl Core {
    pub(super) fn digest_called(
        &mut self,
        now: Now,
        digest: Digest,
        out: &mut Vec<Output>,
    ) -> Result<ReplicaId, Refusal> {
        let from = digest.replica;
        let admitted = self.admit_digest(now, &digest);
        match admitted {
            Ok(is_peer) => {
                // Another calls beside the peer itself, which must not make it forgotten.
                let is_beside = |(reason, _): &(Refusal, u64)| {
                    matches!(
                        reason,
                        Refusal::Clone { .. } | Refusal::WrongCertificate { .. }
                    )
                };
                if !self.refused.get(&from).is_some_and(is_beside) {
                    self.refused.remove(&from);
                }
                if is_peer {
                    self.read_clock(now, from, digest.wall, None, out);
                    self.learn(now, from, digest, out);
                }
                Ok(from)
            }
            Err(reason) => {
                self.refuse(now, from, reason.clone(), out);
                Err(reason)
            }
        }
    }

    pub(super) fn refuse(
        &mut self,
        now: Now,
        replica: ReplicaId,
        reason: Refusal,
        out: &mut Vec<Output>,
    ) {
        if self.refused.len() >= MOST_REFUSED && !self.refused.contains_key(&replica) {
            return;
        }
        let former = self.refused.insert(replica, (reason.clone(), now.ms));
        if former.is_none_or(|(former, _)| former != reason) {
            out.push(Output::Alarm(Alarm::Refused { replica, reason }));
        }
    }

    /// Tells whether to learn from a digest that called.
    fn admit_digest(&mut self, now: Now, digest: &Digest) -> Result<bool, Refusal> {
        let from = digest.replica;
        self.known_peer(&digest.cluster, from)?;
        check_protocol(self.me.protocol, digest.protocol)?;
        let Some(peer) = self.peers.get_mut(&from).filter(|_| digest.n > 0) else {
            return Ok(false);
        };
        let is_answering = peer.liveness.out == Outward::Ok;
        let before = peer.identity.current();
        match peer.identity.on_call(digest.instance, now.ms, is_answering) {
            Admission::Clone => return Err(Refusal::Clone { replica: from }),
            Admission::Stranger => return Ok(false),
            Admission::Newcomer => {
                peer.digest.due_ms = now.ms;
                return Ok(false);
            }
            Admission::Peer => {}
        }
        if before != peer.identity.current() {
            peer.begin_instance(now);
        }
        Ok(true)
    }

    pub(super) fn digest_done(
        &mut self,
        now: Now,
        id: ReplicaId,
        result: Result<Box<Digest>, LinkError>,
        out: &mut Vec<Output>,
    ) {
        self.drop_idle_prefetch(id, out);
        let me = &self.me;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let called_ms = peer.digest.sent_ms.take().unwrap_or(now.ms);
        let checked = result.and_then(|digest| check_answer(&me.cluster, me.protocol, id, digest));
        let out_before = peer.liveness.out;
        let digest = match checked {
            Ok(digest) => digest,
            Err(error) => {
                peer.identity.on_silence(called_ms);
                peer.liveness.out = Outward::Failing;
                self.revision += u64::from(out_before != Outward::Failing);
                out.extend(peer.fails_with(id, error).map(Output::Alarm));
                return;
            }
        };
        if out_before == Outward::Failing {
            peer.give_up_bulk();
        }
        peer.liveness.out = Outward::Ok;
        peer.liveness.rtt_ms = Some(now.ms - called_ms);
        let before = peer.identity.current();
        if !peer.identity.on_answer(digest.instance, called_ms, now.ms) {
            return;
        }
        if before != peer.identity.current() {
            peer.begin_instance(now);
        }
        (peer.refusal, peer.insecure) = (None, None);
        let rtt_ms = Some(now.ms - called_ms);
        self.read_clock(now, id, digest.wall, rtt_ms, out);
        self.learn(now, id, *digest, out);
    }

    fn learn(&mut self, now: Now, id: ReplicaId, digest: Digest, out: &mut Vec<Output>) {
        let own = self.me.origin;
        let not_pulled = self.not_pulled();
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if !peer.is_news(digest.n) {
            return;
        }
        let was_away = peer.hear(now);
        let own_seq = self.head.vector.get(own);
        peer.lag.heard(was_away, own_seq, digest.lag_ms);
        self.revision += 1;
        let held = &self.head.vector;
        peer.learn_vector(now, own, held, &digest);
        let (forked, doubts) = peer.forks.compare(now.ms, &digest.vector, &self.head);
        let forks = &mut peer.forks;
        let lists = Lists {
            forked: digest.forked,
            withheld: digest.withheld,
            rumours: digest.rumours,
        };
        let reported = forks.hear(own, held, lists);
        let forked = forked.into_iter().chain(reported);
        out.extend(forked.map(|origin| fork_alarm(id, origin)));
        out.extend(doubts.into_iter().map(|doubt| Output::ReadHash {
            peer: id,
            origin: doubt.origin,
            seq: doubt.seq,
            theirs: doubt.theirs,
        }));
        if let Some(dot) = peer.find_unknown_own_events(now, own, held) {
            out.push(unknown_own_alarm(id, dot, held));
        }
        let confirmed = peer.known().map_or(0, |known| known.get(own));
        self.unconfirmed.confirm(confirmed);
        peer.lag.holds(confirmed);
        let follows = peer.learn_presence(digest.instance, digest.presence);
        if let Some(known) = peer.known().cloned() {
            self.has_caught_up |= peer.has_shown_nothing_beyond(held);
            peer.report.report(digest.closed_ts, known, held);
        }
        let is_told = peer.holds_of_us.is_some_and(|h| {
            h.instance == self.me.instance && h.version == self.presence.version()
        });
        if !is_told {
            // A listener that follows gets the next part of a large set at once.
            let wait = if follows { GATHER_MS } else { RETELL_MS };
            peer.digest.due_ms = peer.digest.due_ms.min(now.ms + wait);
        }
        let wanted = wanted(peer, held, &not_pulled);
        peer.want(now, &wanted, was_away);
    }

    /// Looks whether a peer that was asked before anything was written here knows more of our own
    /// events than we do, or another one in the place of our last: nothing can have been quicker than the
    /// commit signal yet, so that is certain.
    pub(super) fn answered_before(
        &mut self,
        now: Now,
        id: ReplicaId,
        digest: &Digest,
        out: &mut Vec<Output>,
    ) {
        let (origin, held) = (self.me.origin, &self.head.vector);
        let (Some(&(seq, chain)), Some(peer)) =
            (digest.vector.get(&origin), self.peers.get_mut(&id))
        else {
            return;
        };
        let is_last = seq == held.get(origin);
        if seq > held.get(origin) && peer.doubt(Dot { origin, seq }) {
            out.push(unknown_own_alarm(id, Dot { origin, seq }, held));
        } else if is_last
            && self.head.hashes.get(&origin) != Some(&chain)
            && peer.forks.find(now.ms, origin)
        {
            out.push(fork_alarm(id, origin));
        }
    }
}

/// What a peer's digest shows beyond ours, and is pulled.
fn wanted(peer: &Peer, held: &VersionVector, not_pulled: &BTreeSet<Origin>) -> Vec<Range> {
    mutant!(DigestCompares => Vec::new());
    peer.wanted(held, not_pulled)
}

/// Checks what a digest that answers claims to be.
pub fn check_answer(
    cluster: &str,
    protocol: [u16; 2],
    configured: ReplicaId,
    digest: Box<Digest>,
) -> Result<Box<Digest>, LinkError> {
    if digest.cluster != cluster {
        let cluster = cluster.to_owned();
        return Err(Refusal::OtherCluster { cluster }.into());
    }
    if digest.replica != configured {
        let answers = digest.replica;
        return Err(Refusal::WrongNumber {
            configured,
            answers,
        }
        .into());
    }
    check_protocol(protocol, digest.protocol)?;
    Ok(digest)
}

fn check_protocol(ours: [u16; 2], theirs: [u16; 2]) -> Result<(), Refusal> {
    if theirs[0] <= ours[1] && ours[0] <= theirs[1] {
        return Ok(());
    }
    Err(Refusal::NoCommonProtocol { protocol: ours })
}
