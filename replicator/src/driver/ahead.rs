//! The next batch of a pull, asked for while the last one is being stored: the peer reads and sends it
//! meanwhile, instead of waiting for our disk.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use causeway_domain::envelope::RawEvent;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::failure::LinkError;
use causeway_replicator_core::foreseen::Foreseen;
use causeway_replicator_core::plan;
use causeway_replicator_core::wire::events::{BATCH_BYTES, BATCH_EVENTS, Decoded};
use tokio::task::JoinSet;

/// What was asked for in the hope that it fits; dropping it ends the call.
struct Asked {
    after: VersionVector,
    call: JoinSet<Result<Decoded, LinkError>>,
}

/// The place of the next batch of one peer: one at most, so that what waits is bounded (F25).
#[derive(Default)]
pub(super) struct Ahead(Mutex<Option<Asked>>);

impl Ahead {
    /// Begins to ask for what lies beyond `after`.
    pub fn ask(
        &self,
        after: VersionVector,
        call: impl Future<Output = Result<Decoded, LinkError>> + Send + 'static,
    ) {
        let mut asked = Asked {
            after,
            call: JoinSet::new(),
        };
        asked.call.spawn(call);
        *self.place() = Some(asked);
    }

    /// Gives what was asked for, as far as a pull beyond `after` would bring it. What is of no use is
    /// not waited for.
    pub async fn take(&self, after: &VersionVector) -> Option<Result<Foreseen, LinkError>> {
        let mut asked = self.place().take()?;
        if !plan::fits(after, &asked.after) {
            return None;
        }
        match asked.call.join_next().await?.ok()? {
            Ok(pulled) => Foreseen::of(&asked.after, after, pulled).map(Ok),
            Err(failure) => Some(Err(failure)),
        }
    }

    /// Gives up what was asked for.
    pub fn forget(&self) {
        self.place().take();
    }

    fn place(&self) -> MutexGuard<'_, Option<Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what the next batch lies beyond, once `events` are stored; nothing when they were the
/// last, as a batch that is not full tells.
pub(super) fn beyond(after: &VersionVector, pulled: &Decoded) -> Option<VersionVector> {
    let bytes = |event: &RawEvent| event.bytes.len();
    // Whether one more would have fitted is not known; half full is as good as certain.
    let is_full = pulled.events.len() >= BATCH_EVENTS
        || pulled.events.iter().map(bytes).sum::<usize>() > BATCH_BYTES / 2;
    // One that is no event is given again and again: the core decides how often.
    if !is_full || pulled.flawed > 0 {
        return None;
    }
    let mut next = after.clone();
    for event in &pulled.events {
        next.record(event.envelope.stamp.dot());
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use causeway_domain::ids::{Epoch, Origin, ReplicaId};
    use causeway_replicator_core::orphans;

    use super::*;
    use crate::sample::event;

    #[tokio::test]
    async fn what_fits_is_taken_without_what_came_another_way_meanwhile() {
        let ahead = Ahead::default();
        ahead.ask(held(&[(1, 3)]), async { Ok(batch(4..=6)) });

        let taken = ahead.take(&held(&[(1, 4), (2, 9)])).await;

        assert_eq!(seqs(&taken.unwrap().unwrap().pulled), [5, 6]);
        assert!(ahead.take(&held(&[(1, 9)])).await.is_none(), "it was taken");
    }

    #[tokio::test]
    async fn what_was_asked_beyond_events_that_could_not_be_stored_is_given_up() {
        let ahead = Ahead::default();
        ahead.ask(held(&[(1, 3)]), async { Ok(batch(4..=6)) });

        assert!(ahead.take(&held(&[(1, 2)])).await.is_none());
    }

    #[tokio::test]
    async fn what_fits_is_taken_though_more_origins_are_asked_for_by_now_and_their_events_are_awaited()
     {
        let ahead = Ahead::default();
        let other = [origin(2)];
        let asked = plan::masked(&held(&[(1, 3)]), &other);
        let names_other = || Decoded {
            events: vec![event(1, 4, &[(2, 5)])],
            flawed: 0,
        };
        ahead.ask(asked, async move { Ok(names_other()) });

        let taken = ahead.take(&held(&[(1, 3)])).await.unwrap().unwrap();

        assert_eq!(seqs(&taken.pulled), [4]);
        let orphaned = orphans::in_pull(&taken.pulled.events, &taken.beyond);
        assert!(orphaned.is_empty(), "that it lacks them shows nothing");
    }

    #[tokio::test]
    async fn a_call_that_failed_has_failed_for_the_pull_that_waits_for_it() {
        let ahead = Ahead::default();
        ahead.ask(held(&[]), async { Err(LinkError::Busy) });

        let taken = ahead.take(&held(&[])).await;

        assert_eq!(taken.unwrap().unwrap_err(), LinkError::Busy);
    }

    #[test]
    fn only_a_full_batch_without_flaws_has_a_next_one() {
        let full = || batch(1..=BATCH_EVENTS as u64);
        let flawed = Decoded {
            flawed: 1,
            ..full()
        };
        let after = held(&[(2, 7)]);

        assert_eq!(beyond(&after, &batch(1..=999)), None);
        assert_eq!(beyond(&after, &flawed), None);
        assert_eq!(beyond(&after, &full()), Some(held(&[(1, 1_000), (2, 7)])));
    }

    fn seqs(decoded: &Decoded) -> Vec<u64> {
        let events = decoded.events.iter();
        events.map(|event| event.envelope.stamp.seq).collect()
    }

    fn held(pairs: &[(u16, u64)]) -> VersionVector {
        let pairs = pairs.iter();
        pairs
            .map(|&(replica, seq)| (origin(replica), seq))
            .collect()
    }

    fn batch(seqs: impl Iterator<Item = u64>) -> Decoded {
        Decoded {
            events: seqs.map(|seq| event(1, seq, &[])).collect(),
            flawed: 0,
        }
    }

    fn origin(replica: u16) -> Origin {
        Origin {
            replica: ReplicaId::new(replica).unwrap(),
            epoch: Epoch(0),
        }
    }
}
