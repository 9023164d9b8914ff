//! The task of one peer: makes the calls that the core wants and tells it how they ended.

use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::version_vector::VersionVector;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};

use super::Engine;
use crate::core::{CallFailure, Input, Taken};
use crate::link::Link;
use crate::plan::Push;
use crate::wire::events::{BATCH_BYTES, BATCH_EVENTS};
use crate::wire::{Digest, PushAnswer};

/// Something to do with one peer.
pub(super) enum Call {
    Digest(Box<Digest>),
    Push(Push),
    Pull(VersionVector),
    ReadHash(Origin, u64, Hash),
    Ask(Box<Digest>, oneshot::Sender<Hlc>),
}

/// Runs until the engine goes. Calls to one peer overlap: a long pull does not hold up digests.
pub(super) async fn talk<L: Link>(
    engine: Arc<Engine>,
    peer: ReplicaId,
    link: L,
    mut inbox: mpsc::UnboundedReceiver<Call>,
) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            call = inbox.recv() => match call {
                Some(call) => under_way.push(make(&engine, peer, &link, call)),
                None => return,
            },
            Some(ended) = under_way.next() => {
                if let Some(input) = ended {
                    engine.step(input);
                }
            }
        }
    }
}

async fn make<L: Link>(engine: &Engine, peer: ReplicaId, link: &L, call: Call) -> Option<Input> {
    Some(match call {
        Call::Digest(digest) => Input::DigestDone {
            peer,
            result: link.digest(&digest).await.map(Box::new),
        },
        Call::Push(plan) => {
            let mut sent = VersionVector::default();
            let result = push(engine, link, plan, &mut sent).await;
            Input::PushDone { peer, sent, result }
        }
        Call::Pull(after) => Input::PullDone {
            peer,
            result: pull(engine, peer, link, &after).await,
        },
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
    Ok(link.push(&events).await?)
}

async fn pull<L: Link>(
    engine: &Engine,
    peer: ReplicaId,
    link: &L,
    after: &VersionVector,
) -> Result<Taken, CallFailure> {
    let pulled = link.pull(after, BATCH_EVENTS).await?;
    if pulled.flawed > 0 {
        let flawed = pulled.flawed;
        tracing::error!(%peer, flawed, "a peer sent lines that are no events; left them out");
    }
    if pulled.events.is_empty() {
        return Ok(Taken::default());
    }
    let (taken, _) = engine.absorb(pulled.events).await.map_err(|error| {
        tracing::warn!(%peer, %error, "cannot store pulled events");
        CallFailure::Log
    })?;
    Ok(taken)
}
