//! What a replica that is not running asks of its peers to come back to them after a fork: where
//! the histories part, and then everything that they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Dot, Origin, ReplicaId};
use causeway_domain::rescue::Parting;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::failure::LinkError;
use causeway_replicator_core::orphans;
use causeway_replicator_core::parting::{self, Comparison};
use causeway_replicator_core::wire::Refusal;
use causeway_replicator_core::wire::events::BATCH_EVENTS;
use causeway_store::log::{Log, ReadError, SubmitError};
use tokio::time::{Instant, sleep};

use crate::inquiry::Answer;
use crate::link::http::HttpLink;

/// How long a peer may still take the server that was just stopped for alive, and so this process
/// for its copy.
const FORMER: Duration = Duration::from_secs(15);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);
/// Stands for "nothing of this origin".
const NOTHING: u64 = i64::MAX as u64;

/// Why a rescue came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// A peer fell silent or refuses.
    #[error("replica {peer} does not give its events: {reason}")]
    Peer {
        /// Which.
        peer: ReplicaId,
        /// Why not.
        reason: LinkError,
    },
    /// Peers hold different events themselves.
    #[error(
        "replicas {one} and {other} hold different events of {origin} themselves; say whose are to stay with `--follow {one}` or `--follow {other}`"
    )]
    Ambiguous {
        /// One side.
        one: ReplicaId,
        /// The other side.
        other: ReplicaId,
        /// Of which origin.
        origin: Origin,
    },
    /// The own log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The own log.
    #[error(transparent)]
    Write(#[from] SubmitError),
}

/// A peer that answered, and the way to it.
pub struct Peer<'a> {
    /// Which.
    pub id: ReplicaId,
    /// The way.
    pub link: &'a HttpLink,
    /// What it holds.
    pub answer: &'a Answer,
}

/// Where the histories of this replica and of each peer part. Peers that hold nothing else than
/// this replica are left out.
pub async fn compare(
    log: &Log,
    peers: &[Peer<'_>],
) -> Result<BTreeMap<ReplicaId, Parting>, RescueError> {
    let mut partings = BTreeMap::new();
    for peer in peers {
        let mut parting = Parting::default();
        for (&origin, &(theirs, _)) in &peer.answer.digest.vector {
            let both = theirs.min(log.head().vector.get(origin));
            if both > 0 && !is_shared(log, peer, Dot { origin, seq: both }).await? {
                let shared = last_shared(log, peer, origin, both).await?;
                parting.0.insert(origin, shared);
            }
        }
        if !parting.0.is_empty() {
            partings.insert(peer.id, parting);
        }
    }
    Ok(partings)
}

/// Joins where the histories part, after making sure that the peers that are followed agree among
/// themselves.
pub async fn join(
    peers: &[Peer<'_>],
    partings: &BTreeMap<ReplicaId, Parting>,
) -> Result<Parting, RescueError> {
    let joined = parting::join(partings.values());
    let followed: BTreeMap<ReplicaId, &Peer<'_>> = peers
        .iter()
        .filter(|peer| partings.contains_key(&peer.id))
        .map(|peer| (peer.id, peer))
        .collect();
    let digests = followed.iter().map(|(&id, peer)| (id, &peer.answer.digest));
    for Comparison { one, other, dot } in parting::comparisons(&digests.collect(), &joined) {
        if hash_at(followed[&one], dot).await? != hash_at(followed[&other], dot).await? {
            let origin = dot.origin;
            return Err(RescueError::Ambiguous { one, other, origin });
        }
    }
    Ok(joined)
}

/// Takes in everything that a peer holds. `severed`: what a past names of these origins is not
/// waited for, because nobody may have it any more; nor is what the peer itself took events without.
/// Returns how many events came; calls `on_progress` with that number after each batch.
pub async fn pull_all(
    log: &Log,
    peer: &Peer<'_>,
    severed: &BTreeSet<Origin>,
    on_progress: impl Fn(u64),
) -> Result<u64, RescueError> {
    let mut came = 0;
    loop {
        let held = log.head().vector.clone();
        let events = pull(peer, &held, BATCH_EVENTS).await?;
        let mut not_awaited = orphans::in_pull(&events, &held);
        not_awaited.extend(severed);
        let (absorbed, _) = log.absorb_beside(events, not_awaited).await?;
        if absorbed.stored == 0 {
            return Ok(came);
        }
        came += absorbed.stored as u64;
        on_progress(came);
    }
}

/// The highest number that both hold alike, below one that they do not.
async fn last_shared(
    log: &Log,
    peer: &Peer<'_>,
    origin: Origin,
    differs_at: u64,
) -> Result<u64, RescueError> {
    let (mut shared, mut differs) = (0, differs_at);
    while shared + 1 < differs {
        let seq = shared + (differs - shared) / 2;
        if is_shared(log, peer, Dot { origin, seq }).await? {
            shared = seq;
        } else {
            differs = seq;
        }
    }
    Ok(shared)
}

async fn is_shared(log: &Log, peer: &Peer<'_>, dot: Dot) -> Result<bool, RescueError> {
    let ours = log.hash_at(dot.origin, dot.seq).await?;
    Ok(ours == hash_at(peer, dot).await?)
}

/// The chain up to one event, as the peer holds it.
async fn hash_at(peer: &Peer<'_>, dot: Dot) -> Result<Option<Hash>, RescueError> {
    let held = &peer.answer.digest.vector;
    if let Some(&(seq, hash)) = held.get(&dot.origin)
        && seq == dot.seq
    {
        return Ok(Some(hash));
    }
    let others = held.keys().filter(|&&origin| origin != dot.origin);
    let after: VersionVector = others
        .map(|&origin| (origin, NOTHING))
        .chain([(dot.origin, dot.seq - 1)])
        .collect();
    // An origin may have come up since the peer answered, so more than one event is asked for.
    let events = pull(peer, &after, 10).await?;
    let mut events = events.into_iter();
    let event = events.find(|event| event.envelope.stamp.dot() == dot);
    Ok(event.map(|event| event.hash))
}

async fn pull(
    peer: &Peer<'_>,
    after: &VersionVector,
    limit: usize,
) -> Result<Vec<RawEvent>, RescueError> {
    let deadline = Instant::now() + FORMER;
    loop {
        let reason = match peer.link.pull_whole(after, limit).await {
            Ok(pulled) => return Ok(pulled.events),
            Err(reason) => reason,
        };
        let may_pass = matches!(
            reason,
            LinkError::Refused(Refusal::Clone { .. }) | LinkError::Busy
        );
        if !may_pass || Instant::now() >= deadline {
            return Err(RescueError::Peer {
                peer: peer.id,
                reason,
            });
        }
        sleep(PAUSE).await;
    }
}
