//! The task of one peer: makes the calls that the core wants and tells it how they ended.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::core::Input;
use causeway_replicator_core::failure::{CallFailure, LinkError};
use causeway_replicator_core::plan::Push;
use causeway_replicator_core::wire::events::{BATCH_BYTES, BATCH_EVENTS, Decoded};
use causeway_replicator_core::wire::{Digest, PushAnswer};
use futures_util::future::Either;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::link::Link;

use super::engine::Engine;

/// Something to do with one peer.
pub(super) enum Call {
    Digest(Box<Digest>),
    Push(Push),
    Pull {
        call: u64,
        after: VersionVector,
        limit: usize,
    },
    CancelPull(u64),
    ReadHash(Origin, u64, Hash),
    Ask(Box<Digest>, oneshot::Sender<Hlc>),
}

/// Runs until the engine goes. Calls overlap, so a long pull does not hold up digests; a new digest
/// or push takes the place of the former.
pub(super) async fn talk<L: Link>(
    engine: Arc<Engine>,
    peer: ReplicaId,
    link: L,
    mut inbox: mpsc::UnboundedReceiver<Call>,
) {
    let (engine, link) = (&*engine, &link);
    let mut digest = Slot::empty();
    let mut push = Slot::empty();
    let mut pulls = FuturesUnordered::new();
    let mut cancels = BTreeMap::new();
    let mut others = FuturesUnordered::new();
    loop {
        let ended = tokio::select! {
            call = inbox.recv() => {
                match call {
                    None => return,
                    Some(Call::Digest(say)) => digest.put(send_digest(peer, link, say)),
                    Some(Call::Push(plan)) => push.put(send_push(engine, peer, link, plan)),
                    Some(Call::Pull { call, after, limit }) => {
                        let cancel = CancellationToken::new();
                        cancels.insert(call, cancel.clone());
                        let pull = pull(engine, peer, link, after, limit);
                        pulls.push(async move { (call, cancel.run_until_cancelled(pull).await) });
                    }
                    Some(Call::CancelPull(call)) => {
                        cancels.get(&call).inspect(|it| it.cancel());
                    }
                    Some(Call::ReadHash(origin, seq, theirs)) => {
                        others.push(Either::Left(read_hash(engine, peer, origin, seq, theirs)));
                    }
                    Some(Call::Ask(question, answer)) => {
                        others.push(Either::Right(ask(link, question, answer)));
                    }
                }
                None
            }
            ended = digest.end() => Some(ended),
            ended = push.end() => Some(ended),
            Some((call, result)) = pulls.next() => {
                cancels.remove(&call);
                result.map(|result| Input::PullDone { peer, call, result })
            }
            Some(ended) = others.next() => ended,
        };
        if let Some(input) = ended {
            engine.step(input);
        }
    }
}

/// The one call of its kind that is under way.
struct Slot<F>(Option<Pin<Box<F>>>);

impl<F: Future<Output = Input>> Slot<F> {
    fn empty() -> Self {
        Self(None)
    }

    fn put(&mut self, call: F) {
        self.0 = Some(Box::pin(call));
    }

    /// Waits for the end of the call; forever where there is none.
    async fn end(&mut self) -> Input {
        let Some(call) = &mut self.0 else {
            return pending().await;
        };
        let ended = call.await;
        self.0 = None;
        ended
    }
}

async fn send_digest<L: Link>(peer: ReplicaId, link: &L, digest: Box<Digest>) -> Input {
    let result = link.digest(&digest).await.map(Box::new);
    Input::DigestDone { peer, result }
}

async fn send_push<L: Link>(engine: &Engine, peer: ReplicaId, link: &L, plan: Push) -> Input {
    let mut sent = VersionVector::default();
    let result = push(engine, peer, link, &plan, &mut sent).await;
    Input::PushDone { peer, sent, result }
}

async fn push<L: Link>(
    engine: &Engine,
    peer: ReplicaId,
    link: &L,
    plan: &Push,
    sent: &mut VersionVector,
) -> Result<PushAnswer, CallFailure> {
    let read = engine
        .log
        .read_beyond(&plan.after, BATCH_EVENTS, BATCH_BYTES);
    let mut events = read.await.map_err(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "cannot read events to push");
        CallFailure::Log
    })?;
    *sent = plan.select(&mut events);
    if events.is_empty() {
        return Err(CallFailure::Log);
    }
    engine.traffic.sent(peer, events.len());
    Ok(link.push(&events).await?)
}

async fn pull<L: Link>(
    engine: &Engine,
    peer: ReplicaId,
    link: &L,
    after: VersionVector,
    limit: usize,
) -> Result<Decoded, LinkError> {
    let pulled = link.pull(&after, limit).await?;
    engine.traffic.received(peer, pulled.events.len());
    engine.traffic.left_out(peer, pulled.flawed);
    if pulled.flawed > 0 {
        let flawed = pulled.flawed;
        tracing::error!(%peer, flawed, "a peer sent lines that are no events; left them out");
    }
    Ok(pulled)
}

async fn read_hash(
    engine: &Engine,
    peer: ReplicaId,
    origin: Origin,
    seq: u64,
    theirs: Hash,
) -> Option<Input> {
    let ours = engine.log.hash_at(origin, seq).await.ok().flatten();
    Some(Input::HashRead {
        peer,
        origin,
        seq,
        theirs,
        ours,
    })
}

async fn ask<L: Link>(
    link: &L,
    question: Box<Digest>,
    answer: oneshot::Sender<Hlc>,
) -> Option<Input> {
    if let Ok(digest) = link.digest(&question).await {
        // Whoever asked may have stopped waiting.
        let _ = answer.send(digest.closed_ts);
    }
    None
}
