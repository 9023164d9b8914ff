//! Taking in what peers push and give: patient with what comes early, and with what cannot be stored.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::writing::{Absorbed, Head};
use causeway_replicator_core::core::Input;
use causeway_replicator_core::orphans;
use causeway_store::log::SubmitError;
use tokio::time::{Instant, timeout_at};

use super::Engine;

/// How long a push waits for events that must come first and are probably under way from another
/// peer.
const EARLY_PATIENCE: Duration = Duration::from_millis(250);

impl Engine {
    /// Takes events in; what they name of the `orphaned` origins is not waited for. When the database
    /// refuses one of them, it alone is left out: what its origin wrote after it waits, all else is
    /// stored (F27).
    pub(super) async fn absorb(
        &self,
        from: ReplicaId,
        events: Vec<RawEvent>,
        orphaned: &BTreeSet<Origin>,
    ) -> Result<(Absorbed, Arc<Head>), SubmitError> {
        let mut waiting = vec![events];
        let mut all = Absorbed::default();
        let mut head = self.log.head();
        while let Some(events) = waiting.pop() {
            let mut not_awaited = self.core().not_awaited();
            not_awaited.extend(orphaned);
            let (absorbed, now) = match self.log.absorb_beside(events.clone(), not_awaited).await {
                Ok(absorbed) => absorbed,
                Err(SubmitError::Unstorable) => {
                    self.traffic.left_out(from, usize::from(events.len() == 1));
                    waiting.extend(halves(events));
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            self.step(Input::Committed(Arc::clone(&now)));
            all = all.and(absorbed);
            head = now;
        }
        Ok((all, head))
    }

    pub(super) async fn absorb_patiently(
        &self,
        from: ReplicaId,
        mut events: Vec<RawEvent>,
    ) -> Result<Absorbed, SubmitError> {
        let deadline = Instant::now() + EARLY_PATIENCE;
        let orphaned = orphans::in_push(&events);
        let mut stored = 0;
        loop {
            let (mut taken, head) = self.absorb(from, events.clone(), &orphaned).await?;
            stored += taken.stored;
            taken.stored = stored;
            events.retain(|event| !head.vector.covers(event.envelope.stamp.dot()));
            let has_come = |head: &Arc<Head>| {
                let mut missing = taken.missing.iter();
                missing.all(|range| range.last <= head.vector.get(range.origin))
            };
            if events.is_empty() || taken.missing.is_empty() {
                return Ok(taken);
            }
            let mut bell = self.log.bell();
            match timeout_at(deadline, bell.wait_for(has_come)).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return Ok(taken),
            }
        }
    }
}

/// Cuts refused events in two, the later half first; an event that stands alone is given up.
fn halves(mut events: Vec<RawEvent>) -> Vec<Vec<RawEvent>> {
    if let [event] = &events[..] {
        let stamp = &event.envelope.stamp;
        let (origin, seq) = (stamp.origin, stamp.seq);
        tracing::error!(%origin, seq, "an event cannot be stored; its origin waits behind it");
        return Vec::new();
    }
    let later = events.split_off(events.len() / 2);
    vec![later, events]
}
