//! What the core starts by itself: digests, pulls and pushes that are due.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::Range;

use crate::liveness::{Outward, Status};
use crate::now::Now;
use crate::peer::Peer;
use crate::plan;

use super::{Core, Output};

/// Between two digests to a peer, ±20 %; the same for one that is down.
const PERIOD_MS: u64 = 1_000;

impl Core {
    /// Starts whatever is due.
    pub(super) fn go_on(&mut self, now: Now, out: &mut Vec<Output>) {
        self.end_pushes(now, out);
        for peer in self.peers.values_mut() {
            let before = peer.liveness.status;
            peer.liveness.age(now);
            self.revision += u64::from(before != peer.liveness.status);
            if peer.liveness.status == Status::Down {
                peer.presence.clear();
            }
        }
        self.start_pulls(now, out);
        self.start_pushes(out);
        self.send_digests(now, out);
    }

    fn start_pulls(&mut self, now: Now, out: &mut Vec<Output>) {
        let goes_on = self.goes_on.take();
        if self.peers.values().all(|peer| peer.pull.due_ms.is_none()) {
            return;
        }
        let not_pulled = self.not_pulled();
        let mut wanted = BTreeMap::new();
        for (&id, peer) in &mut self.peers {
            let ranges = peer.wanted(&self.head.vector, &not_pulled);
            if ranges.is_empty() {
                peer.pull.due_ms = None;
            }
            wanted.insert(id, ranges);
        }
        // Two at most: the second only for origins of which the first has nothing to give.
        loop {
            let at_work: Vec<_> = self.pullers().collect();
            if at_work.len() > 1 {
                return;
            }
            let mut left_out = not_pulled.clone();
            for id in &at_work {
                let asked = wanted[id].iter().map(|range| range.origin);
                let skipped = &self.peers[id].pull.left_out;
                left_out.extend(asked.filter(|origin| !skipped.contains(origin)));
            }
            let Some(id) = self.choose_pull(now, goes_on, &wanted, &left_out) else {
                return;
            };
            if !at_work.is_empty() {
                // What this peer has not shown the first one may bring.
                let shown: BTreeSet<_> = wanted[&id].iter().map(|range| range.origin).collect();
                let all = wanted.values().flatten().map(|range| range.origin);
                left_out.extend(all.filter(|origin| !shown.contains(origin)));
            }
            if let Some(peer) = self.peers.get_mut(&id) {
                left_out.extend(peer.forks.withheld());
                let after = plan::masked(&self.head.vector, &left_out);
                peer.pull.is_under_way = true;
                peer.pull.began_ms = now.ms;
                peer.pull.left_out = left_out;
                self.begin_pull(now, id, after, out);
            }
        }
    }

    /// The peers that are being pulled from and answer.
    fn pullers(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let is_at_work = |peer: &Peer| peer.pull.is_under_way && peer.liveness.out == Outward::Ok;
        let at_work = self.peers.iter().filter(move |(_, peer)| is_at_work(peer));
        at_work.map(|(&id, _)| id)
    }

    /// Chooses who `goes_on`, for what comes next was asked of it ahead of time and would travel
    /// twice (F26); else who has most to give; of equals the next above our own number, so that
    /// replicas that heal together do not all ask the same one.
    fn choose_pull(
        &self,
        now: Now,
        goes_on: Option<ReplicaId>,
        wanted: &BTreeMap<ReplicaId, Vec<Range>>,
        left_out: &BTreeSet<Origin>,
    ) -> Option<ReplicaId> {
        let mine = self.me.origin.replica.get();
        let due = self.peers.iter().filter(|(_, peer)| peer.is_pull_due(now));
        let worth = |id: &ReplicaId| {
            let given = wanted[id].iter().filter(|r| !left_out.contains(&r.origin));
            plan::count(&given.copied().collect::<Vec<_>>())
        };
        due.map(|(&id, _)| (id, worth(&id)))
            .filter(|&(_, worth)| worth > 0)
            .max_by_key(|&(id, worth)| (Some(id) == goes_on, worth, mine.wrapping_sub(id.get())))
            .map(|(id, _)| id)
    }

    fn start_pushes(&mut self, out: &mut Vec<Output>) {
        let excluded = self.withheld();
        for (&to, peer) in &mut self.peers {
            if let Some(push) = peer.plan_push(self.me.origin, &self.head.vector, &excluded) {
                peer.push.is_under_way = true;
                out.push(Output::Push { to, push });
            }
        }
    }

    fn send_digests(&mut self, now: Now, out: &mut Vec<Output>) {
        let is_due = |peer: &Peer| peer.digest.sent_ms.is_none() && peer.digest.due_ms <= now.ms;
        let due = self.peers.iter().filter(|(_, peer)| is_due(peer));
        for to in due.map(|(&id, _)| id).collect::<Vec<_>>() {
            let wait = self.next_wait_ms();
            let digest = Box::new(self.digest_for(to));
            if let Some(peer) = self.peers.get_mut(&to) {
                peer.digest.sent_ms = Some(now.ms);
                peer.digest.due_ms = now.ms + wait;
            }
            out.push(Output::Digest { to, digest });
        }
    }

    fn next_wait_ms(&mut self) -> u64 {
        // splitmix64 over the bits that ticks bring in.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        PERIOD_MS * 4 / 5 + (bits ^ (bits >> 31)) % (PERIOD_MS * 2 / 5 + 1)
    }
}
