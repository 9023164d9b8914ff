//! What stands as an alarm now, and where the clock may lead.

use std::sync::Arc;

use causeway_domain::ids::{Dot, Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::{Absorbed, Head};

use crate::alarm::{self, Alarm};
use crate::clock;
use crate::liveness::Status;
use crate::now::Now;
use crate::peer::Peer;

use super::{Core, Output};

/// A refused caller that is silent for so long has gone.
const CALLS_AGAIN_MS: u64 = 30_000;
/// Own events that nobody else holds for so long are an alarm.
const ALONE_MS: u64 = 60_000;

impl Core {
    /// How many own events no peer has shown to hold, and for how many milliseconds the oldest.
    pub fn unconfirmed(&self) -> Option<(u64, u64)> {
        self.unconfirmed.oldest(self.now.ms)
    }

    /// How far the wall clock may lead what this replica originates, less the clock of [`Now::ms`]:
    /// an hour beyond the median of the peers that are there, of all where none is (F15). Nothing
    /// before the first was heard of.
    pub fn ceiling_ms(&self) -> Option<i64> {
        let clock_of = |peer: &Peer| peer.clock.base_ms();
        let is_there = |peer: &&Peer| peer.liveness.status != Status::Down;
        let near = self.peers.values().filter(is_there).filter_map(clock_of);
        let all = || self.peers.values().filter_map(clock_of).collect();
        clock::ceiling_ms(near.collect()).or_else(|| clock::ceiling_ms(all()))
    }

    pub(super) fn read_clock(
        &mut self,
        now: Now,
        id: ReplicaId,
        wall_ms: i64,
        rtt_ms: Option<u64>,
        out: &mut Vec<Output>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let told = peer.clock.read(now, wall_ms, rtt_ms);
        out.extend(told.map(|offset_ms| {
            Output::Alarm(Alarm::ClockOff {
                peer: id,
                offset_ms,
            })
        }));
    }

    /// Looks what stands now; whoever watches is told when that has changed.
    pub(super) fn review_alarms(&mut self, now: Now, out: &mut Vec<Output>) {
        let is_calling = |at: u64| now.ms < at + CALLS_AGAIN_MS;
        self.refused.retain(|_, (_, at)| is_calling(*at));
        let standing = self.standing_alarms();
        let is_alone = |alarm: &Alarm| matches!(alarm, Alarm::Unconfirmed { .. });
        if !self.alarms.iter().any(is_alone) {
            let news = standing.iter().filter(|&alarm| is_alone(alarm));
            out.extend(news.cloned().map(Output::Alarm));
        }
        if *self.alarms != standing {
            self.alarms = Arc::new(standing);
            self.revision += 1;
        }
    }

    fn standing_alarms(&self) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        for (&peer, known) in &self.peers {
            let forked = known.forks.all();
            alarms.extend(forked.map(|origin| Alarm::Fork { peer, origin }));
            let refusal = known.refusal.clone();
            alarms.extend(refusal.map(|reason| Alarm::RefusedBy { peer, reason }));
            let insecure = known.insecure.clone();
            alarms.extend(insecure.map(|why| Alarm::Insecure { peer, why }));
            let offset = known.clock.alarm();
            alarms.extend(offset.map(|offset_ms| Alarm::ClockOff { peer, offset_ms }));
        }
        let refused = self.refused.iter();
        alarms.extend(refused.map(|(&replica, (reason, _))| Alarm::Refused {
            replica,
            reason: reason.clone(),
        }));
        let alone = self.unconfirmed().filter(|&(_, age)| age >= ALONE_MS);
        alarms.extend(alone.map(|(count, age_ms)| Alarm::Unconfirmed { count, age_ms }));
        alarm::bounded(alarms)
    }

    /// Leaves out alarms beyond what a log can bear.
    pub(super) fn bound_alarms(&mut self, out: Vec<Output>) -> Vec<Output> {
        let now_ms = self.now.ms;
        let bound = |output| match output {
            Output::Alarm(alarm) => self.telling.tell(now_ms, alarm).map(Output::Alarm),
            other => Some(other),
        };
        out.into_iter().filter_map(bound).collect()
    }
}

/// Marks origins of which a peer sent other events than are held.
pub(super) fn find_forks(
    now: Now,
    peer: &mut Peer,
    id: ReplicaId,
    absorbed: &Absorbed,
) -> Vec<Output> {
    let news = absorbed.forked.iter();
    let news = news.filter(|&&origin| peer.forks.find(now.ms, origin));
    news.map(|&origin| fork_alarm(id, origin)).collect()
}

/// A peer gave events of our own that are not here. What was found before a new epoch was drawn is
/// settled by it.
pub(super) fn find_unknown_own(
    peer: &mut Peer,
    id: ReplicaId,
    head: &Head,
    own: Origin,
    absorbed: &Absorbed,
) -> Option<Output> {
    let shown = absorbed.unknown_own.filter(|dot| dot.origin == own)?;
    let is_news = peer.doubt(shown);
    is_news.then(|| unknown_own_alarm(id, shown, &head.vector))
}

pub(super) fn unknown_own_alarm(peer: ReplicaId, shown: Dot, held: &VersionVector) -> Output {
    Output::Alarm(Alarm::OwnEventsUnknown {
        peer,
        origin: shown.origin,
        shown: shown.seq,
        held: held.get(shown.origin),
    })
}

pub(super) fn fork_alarm(peer: ReplicaId, origin: Origin) -> Output {
    Output::Alarm(Alarm::Fork { peer, origin })
}
