//! Asks every peer once, before anything of this replica runs: a question that tells nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_domain::ids::ReplicaId;
use causeway_replicator_core::clock;
use causeway_replicator_core::core::check_answer;
use causeway_replicator_core::failure::LinkError;
use causeway_replicator_core::now::Now;
use causeway_replicator_core::wire::{Caller, Digest, PROTOCOL};
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use crate::link::Link;

/// What one peer answered.
#[derive(Debug)]
pub struct Answer {
    /// Its digest.
    pub digest: Digest,
    /// How long that took.
    pub rtt: Duration,
}

/// Asks every peer at once; whoever has not answered in time is left out, like whoever refuses or
/// is not the one that is configured.
pub async fn ask<L: Link>(
    links: &BTreeMap<ReplicaId, L>,
    caller: &Caller,
    now: Now,
    patience: Duration,
) -> BTreeMap<ReplicaId, Answer> {
    let asked = links.iter().map(async |(&peer, link)| {
        match ask_one(peer, link, caller, now, patience).await {
            Ok(answer) => Some((peer, answer)),
            Err(failure) => {
                if let LinkError::Refused(reason) = failure {
                    tracing::warn!(%peer, %reason, "a peer refuses to talk to this replica");
                }
                None
            }
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Asks one peer.
pub async fn ask_one<L: Link>(
    peer: ReplicaId,
    link: &L,
    caller: &Caller,
    now: Now,
    patience: Duration,
) -> Result<Answer, LinkError> {
    let called = Instant::now();
    let asked = timeout(patience, link.digest(&Digest::question(caller, now))).await;
    let digest = Box::new(asked.map_err(|_| LinkError::Unreachable)??);
    let digest = check_answer(&caller.cluster, PROTOCOL, peer, digest)?;
    Ok(Answer {
        digest: *digest,
        rtt: called.elapsed(),
    })
}

/// Returns how far the wall may lead after what peers answered just now, as
/// [`crate::driver::Clocks::bound`] takes it.
pub fn ceiling_ms(answers: &BTreeMap<ReplicaId, Answer>, now: Now) -> Option<i64> {
    clock::ceiling_of_walls(answers.values().map(|answer| answer.digest.wall), now)
}
