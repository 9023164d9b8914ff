//! What the rest of the server may know of the peers: a snapshot, cheap to clone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Dot, Origin, ReplicaId};
use causeway_domain::timeline::Fate;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Head;

use crate::alarm::Alarm;
use crate::liveness::{Liveness, Outward, Status};
use crate::me::Me;
use crate::peer::Peer;
use crate::run;

/// What is known of all peers at one moment.
#[derive(Clone, Debug)]
pub struct Knowledge {
    /// This replica.
    pub me: ReplicaId,
    /// Every configured peer.
    pub peers: BTreeMap<ReplicaId, PeerKnowledge>,
    /// No replica can any more write an event at or below this reading, and all that any of them
    /// has written there is held here. Stands still while one replica is away.
    pub settled_ts: Hlc,
    /// What was held here then. A read model that does not show all of it yet may still put a
    /// message before others at or below it.
    pub settled_within: VersionVector,
    /// A clock reading that was past at every replica when it last said what it holds. Nothing
    /// before all have been heard since each of them runs as it does, and since what was under way
    /// then has arrived or failed.
    pub all_past: Option<Hlc>,
    /// Since the start, everything that some peer showed was held here at some time.
    pub has_caught_up: bool,
    /// What an operator must know, as it stood at the last tick.
    pub alarms: Arc<Vec<Alarm>>,
}

/// What is known of one peer.
#[derive(Clone, Debug)]
pub struct PeerKnowledge {
    /// Whether it is there.
    pub liveness: Liveness,
    /// What it said it holds, last; nothing when it was never heard of.
    pub held: Option<Arc<VersionVector>>,
    /// Origins of which it holds other events than we do under the same numbers.
    pub forked: BTreeSet<Origin>,
    /// Origins that it neither gives nor takes, because they are forked between it and others.
    pub withheld: BTreeSet<Origin>,
    /// How far its clock is ahead of ours, where known.
    pub clock_ms: Option<i64>,
}

/// One line of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Who.
    pub replica: ReplicaId,
    /// Up, suspect or down.
    pub status: Status,
    /// Whether calling it works.
    pub out: Outward,
    /// Since when `status` is so, milliseconds since 1970.
    pub since_wall_ms: i64,
    /// How long ago it was last heard of.
    pub last_heard_ms: Option<u64>,
    /// How long its last answer took.
    pub rtt_ms: Option<u64>,
    /// Events it holds that are missing here; nothing when it was never heard of.
    pub missing_here: Option<u64>,
    /// Events held here that are missing there; nothing when it was never heard of.
    pub missing_there: Option<u64>,
    /// How far its clock is ahead of ours; nothing before its first answer.
    pub clock_ms: Option<i64>,
}

impl Knowledge {
    /// What is known when there are no peers, or nothing has been heard of them.
    pub fn alone(me: ReplicaId) -> Self {
        Self {
            me,
            peers: BTreeMap::new(),
            settled_ts: Hlc::default(),
            settled_within: VersionVector::default(),
            all_past: None,
            has_caught_up: false,
            alarms: Arc::default(),
        }
    }

    pub(crate) fn gather(
        me: &Me,
        head: &Head,
        peers: &BTreeMap<ReplicaId, Peer>,
        has_caught_up: bool,
    ) -> Self {
        let closed_timestamps = peers.values().map(|peer| peer.report.settled());
        Self {
            me: me.origin.replica,
            settled_ts: closed_timestamps
                .min()
                .map_or(head.closed_ts, |f| f.min(head.closed_ts)),
            settled_within: head.vector.clone(),
            all_past: run::all_past(head.closed_ts, peers.values().map(Peer::run)),
            has_caught_up,
            alarms: Arc::default(),
            peers: peers
                .iter()
                .map(|(&id, peer)| (id, PeerKnowledge::gather(peer)))
                .collect(),
        }
    }

    /// Tells whether nothing can come before an event any more where `shown` is shown.
    pub fn is_settled(&self, hlc: Hlc, shown: &VersionVector) -> bool {
        hlc <= self.settled_ts && shown.covers_all(&self.settled_within)
    }

    /// Tells whether what is not held here of an origin can still come. `highest`: a clock reading
    /// at or above that of every event in question. `held`: what is held here.
    ///
    /// What no replica holds, though the clocks of all are past `highest`, was lost with a disk: an
    /// event reaches its readers from a replica that holds it. What this process has committed
    /// counts as held even if `held` lacks it: then the database was exchanged beneath the process,
    /// which is about to notice.
    pub fn fate_of(&self, origin: Origin, highest: Hlc, held: &VersionVector) -> Fate {
        if self.peers.values().any(|it| it.forked.contains(&origin)) {
            return Fate::KeptBack;
        }
        let is_withheld = self.peers.values().any(|it| it.withheld.contains(&origin));
        if is_withheld || self.all_past.is_none_or(|past| past < highest) {
            return Fate::Awaited;
        }
        let theirs = self.peers.values().filter_map(|peer| peer.held.as_ref());
        let theirs = theirs.map(|theirs| theirs.get(origin)).max();
        let ours = held.get(origin).max(self.settled_within.get(origin));
        Fate::LostBeyond(ours.max(theirs.unwrap_or(0)))
    }

    /// Lists the replicas known to hold an event, ascending. `held`: what is held here. The origin
    /// of an event that is held here counts always.
    pub fn stored_on(&self, dot: Dot, held: &VersionVector) -> Vec<ReplicaId> {
        let holders = self.peers.iter().filter(|(_, peer)| {
            let held = peer.held.as_ref();
            held.is_some_and(|held| held.covers(dot)) && !peer.forked.contains(&dot.origin)
        });
        let mut replicas: BTreeSet<_> = holders.map(|(&id, _)| id).collect();
        if held.covers(dot) {
            replicas.extend([self.me, dot.origin.replica]);
        }
        replicas.into_iter().collect()
    }

    /// Lists the peers as people are shown them. `now_ms` is on the clock of the core.
    pub fn view(&self, now_ms: u64, held: &VersionVector) -> Vec<PeerView> {
        let line = |(&replica, peer): (&ReplicaId, &PeerKnowledge)| {
            let liveness = peer.liveness;
            let theirs = peer.held.as_deref();
            PeerView {
                replica,
                status: liveness.status,
                out: liveness.out,
                since_wall_ms: liveness.since_wall_ms,
                last_heard_ms: liveness.last_heard_ms.map(|at| now_ms.saturating_sub(at)),
                rtt_ms: liveness.rtt_ms,
                missing_here: theirs.map(|theirs| theirs.count_beyond(held)),
                missing_there: theirs.map(|theirs| held.count_beyond(theirs)),
                clock_ms: peer.clock_ms,
            }
        };
        self.peers.iter().map(line).collect()
    }
}

impl PeerKnowledge {
    fn gather(peer: &Peer) -> Self {
        Self {
            liveness: peer.liveness,
            held: peer.known().cloned(),
            forked: peer.forks.all().collect(),
            withheld: peer.forks.withheld().clone(),
            clock_ms: peer.clock.offset_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_domain::ids::Epoch;

    use super::*;

    #[test]
    fn nothing_is_settled_where_something_that_is_held_is_not_shown_yet() {
        let me = ReplicaId::new(1).expect("1 is a number of a replica");
        let origin = Origin {
            replica: me,
            epoch: Epoch(7),
        };
        let upto = |seq| [(origin, seq)].into_iter().collect::<VersionVector>();
        let knowledge = Knowledge {
            settled_ts: Hlc::at_ms(5),
            settled_within: upto(3),
            ..Knowledge::alone(me)
        };

        assert!(knowledge.is_settled(Hlc::at_ms(5), &upto(3)));
        assert!(!knowledge.is_settled(Hlc::at_ms(6), &upto(3)));
        assert!(!knowledge.is_settled(Hlc::at_ms(5), &upto(2)));
    }

    #[test]
    fn what_nobody_holds_is_lost_once_the_clocks_of_all_are_past_it() {
        let me = ReplicaId::new(1).expect("1 is a number of a replica");
        let origin = Origin {
            replica: me,
            epoch: Epoch(7),
        };
        let held: VersionVector = [(origin, 3)].into_iter().collect();
        let alone = Knowledge::alone(me);
        let known = Knowledge {
            all_past: Some(Hlc::at_ms(5)),
            ..Knowledge::alone(me)
        };

        let fate = |of: &Knowledge, ms| of.fate_of(origin, Hlc::at_ms(ms), &held);
        assert_eq!(fate(&alone, 5), Fate::Awaited);
        assert_eq!(fate(&known, 5), Fate::LostBeyond(3));
        assert_eq!(
            fate(&known, 6),
            Fate::Awaited,
            "it was written since, perhaps"
        );
        let committed = Knowledge {
            settled_within: [(origin, 4)].into_iter().collect(),
            ..known
        };
        assert_eq!(
            fate(&committed, 5),
            Fate::LostBeyond(4),
            "the database was exchanged beneath this process"
        );
    }
}
