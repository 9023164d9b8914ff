//! The next batch of a pull, asked for while the last one is being stored: the peer reads and sends
//! it meanwhile, instead of waiting for our disk.

use causeway_domain::mutant;
use causeway_domain::version_vector::VersionVector;

use crate::failure::LinkError;
use crate::plan;
use crate::wire::events::Decoded;

/// A batch that was asked for before the pull that needs it.
#[derive(Debug)]
pub(crate) struct Prefetch {
    pub call: u64,
    /// Beyond what it was asked for.
    pub after: VersionVector,
    /// How the call ended; nothing while it is under way.
    pub result: Option<Result<Decoded, LinkError>>,
}

/// The usable part of a prefetched batch.
#[derive(Debug)]
pub(crate) struct UsablePart {
    /// The batch is all that the peer's log gives next beyond this: what was held or not asked for
    /// when it was asked for, and what is held or not asked for by now.
    pub beyond: VersionVector,
    pub batch: Decoded,
}

/// Returns of a batch that was asked for beyond `asked` what a pull beyond `after` would bring:
/// nothing where what comes before it could not be stored.
pub(crate) fn usable_part(
    asked: &VersionVector,
    after: &VersionVector,
    mut batch: Decoded,
) -> Option<UsablePart> {
    if !plan::fits(after, asked) {
        return None;
    }
    // Meanwhile some may have come another way.
    let events = &mut batch.events;
    events.retain(|event| !after.covers(event.envelope.stamp.dot()));
    let beyond = shown_beyond(asked, after);
    (!batch.events.is_empty()).then_some(UsablePart { beyond, batch })
}

/// A prefetched batch shows the order of the peer's log only of the origins it was asked for.
fn shown_beyond(asked: &VersionVector, after: &VersionVector) -> VersionVector {
    mutant!(PrefetchShowsItsOrigins => after.clone());
    let mut beyond = after.clone();
    beyond.merge(asked);
    beyond
}

/// How prefetched batches fared, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefetchCounts {
    /// Batches that a pull used.
    pub used: u64,
    /// Of those: by a pull that asks for more origins than the prefetch did.
    pub used_by_wider: u64,
    /// Batches that no pull could use.
    pub dropped: u64,
}

#[cfg(test)]
mod tests {
    use causeway_domain::ids::{Epoch, Origin, ReplicaId};

    use crate::orphans;
    use crate::orphans::tests::event;

    use super::*;

    #[test]
    fn what_fits_is_used_without_what_came_another_way_meanwhile() {
        let part = usable_part(&held(&[(1, 3)]), &held(&[(1, 4), (2, 9)]), batch(4..=6));

        assert_eq!(seqs(&part.unwrap().batch), [5, 6]);
        assert!(usable_part(&held(&[(1, 3)]), &held(&[(1, 9)]), batch(4..=6)).is_none());
    }

    #[test]
    fn what_was_asked_beyond_events_that_could_not_be_stored_is_of_no_use() {
        assert!(usable_part(&held(&[(1, 3)]), &held(&[(1, 2)]), batch(4..=6)).is_none());
    }

    #[test]
    fn what_fits_is_used_though_more_origins_are_asked_for_by_now_and_their_events_are_awaited() {
        let asked = plan::masked(&held(&[(1, 3)]), &[origin(2)]);
        let names_other = Decoded {
            events: vec![event(1, 4, &[(2, 5)])],
            flawed: 0,
        };

        let part = usable_part(&asked, &held(&[(1, 3)]), names_other).unwrap();

        assert_eq!(seqs(&part.batch), [4]);
        let orphaned = orphans::in_pull(&part.batch.events, &part.beyond);
        assert!(orphaned.is_empty(), "that it lacks them shows nothing");
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
