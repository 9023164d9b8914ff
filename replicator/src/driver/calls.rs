//! The task of one peer: makes the calls that the core wants and tells it how they ended.

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Absorbed;
use causeway_replicator_core::core::Input;
use causeway_replicator_core::failure::{CallFailure, LinkError};
use causeway_replicator_core::foreseen::Foreseen;
use causeway_replicator_core::plan::Push;
use causeway_replicator_core::wire::events::{BATCH_BYTES, BATCH_EVENTS, Decoded};
use causeway_replicator_core::wire::{Digest, PushAnswer};
use causeway_store::log::SubmitError;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};

use crate::link::Link;

use super::Engine;
use super::ahead::{self, Ahead};

/// Something to do with one peer.
pub(super) enum Call {
    Digest(Box<Digest>),
    Push(Push),
    Pull(VersionVector),
    ReadHash(Origin, u64, Hash),
    Ask(Box<Digest>, oneshot::Sender<Hlc>),
}

/// Runs until the engine goes. Calls of different kinds overlap, so a long pull does not hold up
/// digests; a new call takes the place of one of its kind.
pub(super) async fn talk<L: Link>(
    engine: Arc<Engine>,
    peer: ReplicaId,
    link: L,
    mut inbox: mpsc::UnboundedReceiver<Call>,
) {
    let (engine, link) = (&engine, &Arc::new(link));
    let ahead = &Ahead::default();
    let mut digest = Slot::empty();
    let mut push = Slot::empty();
    let mut pull = Slot::empty();
    let mut others = FuturesUnordered::new();
    loop {
        let ended = tokio::select! {
            call = inbox.recv() => {
                let Some(call) = call else { return };
                let slot = match call {
                    Call::Digest(_) => Some(&mut digest),
                    Call::Push(_) => Some(&mut push),
                    Call::Pull(_) => Some(&mut pull),
                    Call::ReadHash(..) | Call::Ask(..) => None,
                };
                let made = make(engine, peer, link, ahead, call);
                match slot {
                    Some(slot) => slot.0 = Some(Box::pin(made)),
                    None => others.push(made),
                }
                None
            }
            ended = digest.end() => {
                // A pull that did not go on at once will not need it.
                if pull.0.is_none() {
                    ahead.forget();
                }
                ended
            }
            ended = push.end() => ended,
            ended = pull.end() => ended,
            Some(ended) = others.next() => ended,
        };
        if let Some(input) = ended {
            engine.step(input);
        }
    }
}

/// The one call of its kind that is under way.
struct Slot<F>(Option<Pin<Box<F>>>);

impl<F: Future<Output = Option<Input>>> Slot<F> {
    fn empty() -> Self {
        Self(None)
    }

    /// Waits for the end of the call; forever where there is none.
    async fn end(&mut self) -> Option<Input> {
        let Some(call) = &mut self.0 else {
            return pending().await;
        };
        let ended = call.await;
        self.0 = None;
        ended
    }
}

async fn make<L: Link>(
    engine: &Arc<Engine>,
    peer: ReplicaId,
    link: &Arc<L>,
    ahead: &Ahead,
    call: Call,
) -> Option<Input> {
    Some(match call {
        Call::Digest(digest) => Input::DigestDone {
            peer,
            result: link.digest(&digest).await.map(Box::new),
        },
        Call::Push(plan) => {
            let mut sent = VersionVector::default();
            let result = push(engine, peer, &**link, plan, &mut sent).await;
            Input::PushDone { peer, sent, result }
        }
        Call::Pull(after) => {
            let done = pull(engine, peer, link, ahead, &after).await;
            let is_followed = done.as_ref().is_ok_and(|(_, is_followed)| *is_followed);
            Input::PullDone {
                peer,
                result: done.map(|(absorbed, _)| absorbed),
                is_followed,
            }
        }
        Call::ReadHash(origin, seq, theirs) => Input::HashRead {
            peer,
            origin,
            seq,
            theirs,
            ours: engine.log.hash_at(origin, seq).await.ok().flatten(),
        },
        Call::Ask(question, answer) => {
            if let Ok(digest) = link.digest(&question).await {
                // Whoever asked may have stopped waiting.
                let _ = answer.send(digest.floor);
            }
            return None;
        }
    })
}

async fn push<L: Link>(
    engine: &Engine,
    peer: ReplicaId,
    link: &L,
    plan: Push,
    sent: &mut VersionVector,
) -> Result<PushAnswer, CallFailure> {
    let read = engine
        .log
        .read_beyond(&plan.after, BATCH_EVENTS, BATCH_BYTES);
    let mut events = read.await.map_err(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "cannot read events to push"
        );
        CallFailure::Log
    })?;
    events.retain(|event| {
        plan.only
            .is_none_or(|only| only == event.envelope.stamp.origin)
    });
    if events.is_empty() {
        return Err(CallFailure::Log);
    }
    for event in &events {
        sent.record(event.envelope.stamp.dot());
    }
    engine.traffic.sent(peer, events.len());
    Ok(link.push(&events).await?)
}

/// Returns what became of the events, and whether the next batch has been asked for.
async fn pull<L: Link>(
    engine: &Arc<Engine>,
    peer: ReplicaId,
    link: &Arc<L>,
    ahead: &Ahead,
    after: &VersionVector,
) -> Result<(Absorbed, bool), CallFailure> {
    let mut found = Absorbed::default();
    if let Some(foreseen) = ahead.take(after).await {
        let Foreseen { beyond, pulled } = foreseen?;
        let (taken, is_followed) = store(engine, peer, link, ahead, after, &beyond, pulled).await?;
        if taken.stored > 0 || beyond == *after {
            return Ok((taken, is_followed));
        }
        // It waits for origins that are to be asked for only now.
        found = taken;
    }
    let pulled = receive(engine, peer, &**link, after).await?;
    let (mut taken, is_followed) = store(engine, peer, link, ahead, after, after, pulled).await?;
    taken.forked.append(&mut found.forked);
    taken.unknown_own = taken.unknown_own.max(found.unknown_own);
    Ok((taken, is_followed))
}

/// Stores a batch of what lies `beyond` this, while what comes next of all beyond `after` is on its
/// way, where there is to be more.
async fn store<L: Link>(
    engine: &Arc<Engine>,
    peer: ReplicaId,
    link: &Arc<L>,
    ahead: &Ahead,
    after: &VersionVector,
    beyond: &VersionVector,
    pulled: Decoded,
) -> Result<(Absorbed, bool), CallFailure> {
    if pulled.events.is_empty() {
        return Ok((Absorbed::default(), false));
    }
    // What has not been shown yet is not what the next pull goes for.
    let next = ahead::beyond(after, &pulled);
    let next = next.filter(|next| engine.core().is_more_shown(peer, next));
    let is_followed = next.is_some();
    if let Some(next) = next {
        let (engine, link, beyond) = (Arc::clone(engine), Arc::clone(link), next.clone());
        let receiving = async move { receive(&engine, peer, &*link, &beyond).await };
        ahead.ask(next, receiving);
    }
    let orphaned = if pulled.flawed > 0 {
        // What is named may stand in a line that was left out.
        BTreeSet::new()
    } else {
        engine.core().orphaned_in_pull(peer, beyond, &pulled.events)
    };
    let absorbed = engine.absorb(peer, pulled.events, &orphaned).await;
    let (taken, _) = absorbed.map_err(|error| {
        if !matches!(error, SubmitError::DiskFull) {
            tracing::warn!(%peer, %error, "cannot store pulled events");
        }
        CallFailure::Log
    })?;
    Ok((taken, is_followed))
}

async fn receive<L: Link>(
    engine: &Engine,
    peer: ReplicaId,
    link: &L,
    after: &VersionVector,
) -> Result<Decoded, LinkError> {
    let pulled = link.pull(after, BATCH_EVENTS).await?;
    engine.traffic.received(peer, pulled.events.len());
    engine.traffic.left_out(peer, pulled.flawed);
    if pulled.flawed > 0 {
        let flawed = pulled.flawed;
        tracing::error!(%peer, flawed, "a peer sent lines that are no events; left them out");
    }
    Ok(pulled)
}
