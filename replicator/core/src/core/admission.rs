//! Who is served, and with what.

use std::collections::BTreeSet;

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::mutant;
use causeway_domain::version_vector::VersionVector;

use crate::identity::Identity;
use crate::instance::Instance;
use crate::liveness::Outward;
use crate::peer::Peer;
use crate::plan;
use crate::wire::{Caller, Refusal};

use super::Core;

impl Core {
    /// Judges a caller of a pull; returns beyond what the log is to be read for it. Only a rescue
    /// pulls forked origins as well: it gives its own side up for ours.
    pub fn admit_pull(
        &self,
        caller: &Caller,
        after: VersionVector,
        with_forked: bool,
    ) -> Result<VersionVector, Refusal> {
        self.admit(caller, Identity::may_pull)?;
        Ok(if with_forked {
            after
        } else {
            self.servable_after(&after)
        })
    }

    /// Judges a caller of a push.
    pub fn admit_push(&self, caller: &Caller) -> Result<(), Refusal> {
        self.admit(caller, Identity::may_push)
    }

    fn admit(
        &self,
        caller: &Caller,
        may: impl Fn(&Identity, Instance, bool) -> bool,
    ) -> Result<(), Refusal> {
        let peer = self.known_peer(&caller.cluster, caller.replica)?;
        let is_answering = peer.liveness.out == Outward::Ok;
        if !may(&peer.identity, caller.instance, is_answering) {
            return Err(Refusal::Clone {
                replica: caller.replica,
            });
        }
        Ok(())
    }

    /// What a pull is served beyond: what the puller holds, and the origins that are exchanged no
    /// further.
    pub(super) fn servable_after(&self, after: &VersionVector) -> VersionVector {
        plan::masked(after, &self.not_served())
    }

    fn not_served(&self) -> BTreeSet<Origin> {
        mutant!(AllIsRelayed => {
            let origins = self.head.vector.iter().map(|(origin, _)| origin);
            origins.filter(|&origin| origin != self.me.origin).collect()
        });
        self.withheld()
    }

    pub(super) fn known_peer(&self, cluster: &str, replica: ReplicaId) -> Result<&Peer, Refusal> {
        if cluster != self.me.cluster {
            return Err(Refusal::OtherCluster {
                cluster: self.me.cluster.clone(),
            });
        }
        if replica == self.me.origin.replica {
            return Err(Refusal::SameNumber { replica });
        }
        let unknown = Refusal::UnknownReplica { replica };
        self.peers.get(&replica).ok_or(unknown)
    }
}
