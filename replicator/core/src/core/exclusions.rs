//! Which origins are not pulled, not given, or not awaited.

use std::collections::BTreeSet;

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;

use crate::orphans;
use crate::peer::Peer;
use crate::wire::events::Decoded;

use super::Core;

impl Core {
    /// What is not pulled from anybody: forked origins, those that pulls got stuck on, and our own,
    /// of which nobody can have more.
    pub(super) fn not_pulled(&self) -> BTreeSet<Origin> {
        let mut origins = self.forked();
        origins.extend(self.blocked.now(self.now.ms));
        origins.insert(self.me.origin);
        origins
    }

    /// Origins that the past of an event may name without being waited for: the forked ones; and of
    /// those of which no peer that is there gives more, the ones that are withheld because of a fork,
    /// and the ones of which somebody gave what names more than it holds.
    pub(super) fn not_awaited(&self) -> BTreeSet<Origin> {
        let peers = || self.peers.values();
        let held = &self.head.vector;
        let is_given = |origin| peers().any(|peer| peer.gives(origin, held));
        // A giver that lost its database since does not hold either what others still give. Who can
        // only push may have it behind the very event that waits for it.
        let is_to_be_had = |origin| {
            let mut peers = peers();
            peers.any(|peer| peer.is_reachable() && peer.gives(origin, held))
        };
        let orphans = peers().flat_map(|peer| peer.orphans.origins(held));
        let orphans = orphans.filter(|&origin| !is_to_be_had(origin));
        let withheld = peers().flat_map(|peer| peer.forks.withheld()).copied();
        let withheld = withheld.filter(|&origin| !is_given(origin));
        let forked = self.forked().into_iter();
        forked.chain(withheld).chain(orphans).collect()
    }

    /// Tells whether a peer has shown more than lies in `after`, of what is pulled.
    pub(super) fn is_more_shown(&self, by: ReplicaId, after: &VersionVector) -> bool {
        let not_pulled = self.not_pulled();
        let shows_more = |peer: &Peer| !peer.wanted(after, &not_pulled).is_empty();
        self.peers.get(&by).is_some_and(shows_more)
    }

    /// Origins that the past of what was pulled from a peer may name without being waited for: that
    /// its log gives them only later shows that it took the events beside a fork. What the peer
    /// keeps back is missing for another reason. `beyond`: the batch is all that its log gives next
    /// beyond this.
    pub(super) fn orphaned_in_pull(
        &self,
        from: ReplicaId,
        beyond: &VersionVector,
        batch: &Decoded,
    ) -> BTreeSet<Origin> {
        if batch.flawed > 0 {
            // What is named may stand in a line that was left out.
            return BTreeSet::new();
        }
        let mut orphaned = orphans::in_pull(&batch.events, beyond);
        if let Some(peer) = self.peers.get(&from) {
            let forks = &peer.forks;
            let kept_back = forks.all().chain(forks.withheld().iter().copied());
            for origin in kept_back {
                orphaned.remove(&origin);
            }
        }
        orphaned
    }

    /// What is neither pushed nor served: forked origins, and our own where some peer knows more of
    /// it than we do, so that other events may come to stand under its numbers.
    pub(super) fn withheld(&self) -> BTreeSet<Origin> {
        let own = self.me.origin;
        let mut origins = self.forked();
        origins.extend(self.is_known_to_have_lost(own).then_some(own));
        origins
    }

    /// Origins of which some peer and we hold different events under the same numbers: exchanged no
    /// further, and not waited for.
    pub(super) fn forked(&self) -> BTreeSet<Origin> {
        self.peers.values().flat_map(|p| p.forks.all()).collect()
    }

    /// Tells whether some peer knows more of an origin of ours than is held here.
    fn is_known_to_have_lost(&self, own: Origin) -> bool {
        self.peers.values().any(|peer| peer.knows_more_of(own))
    }

    /// Tells whether the numbers of an origin of ours are not safe to give, because peers hold more of
    /// it or other events.
    pub fn is_doubted(&self, own: Origin) -> bool {
        self.is_known_to_have_lost(own) || self.forked().contains(&own)
    }
}
