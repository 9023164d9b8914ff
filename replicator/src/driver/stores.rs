//! Hands events of peers to the log and tells the core what became of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_replicator_core::core::Input;
use causeway_replicator_core::failure::StoreFailure;
use causeway_store::log::SubmitError;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;

use super::engine::Engine;

/// Events that the core wants stored, as `Output::Store` says.
pub(super) struct Store {
    pub id: u64,
    pub from: ReplicaId,
    pub events: Vec<RawEvent>,
    pub not_awaited: BTreeSet<Origin>,
}

/// Runs until the engine goes. The events of one peer do not wait for those of another here; the log
/// has the queue.
pub(super) async fn store_all(engine: Arc<Engine>, mut inbox: mpsc::UnboundedReceiver<Store>) {
    let engine = &engine;
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            store = inbox.recv() => {
                let Some(store) = store else { return };
                under_way.push(absorb(engine, store));
            }
            Some(done) = under_way.next() => {
                engine.step(done);
            }
        }
    }
}

async fn absorb(engine: &Engine, work: Store) -> Input {
    let Store {
        id: store,
        from,
        events,
        not_awaited,
    } = work;
    let result = match engine.log.absorb_beside(events, not_awaited).await {
        Ok((absorbed, head)) => {
            engine.step(Input::Committed(head));
            Ok(absorbed)
        }
        Err(SubmitError::Unstorable) => Err(StoreFailure::Unstorable),
        Err(error) => {
            // A full disk is reported once, by whoever watches it.
            if !matches!(error, SubmitError::DiskFull) {
                tracing::warn!(peer = %from, %error, "cannot store events of a peer");
            }
            Err(StoreFailure::Unavailable)
        }
    };
    Input::StoreDone { store, result }
}
