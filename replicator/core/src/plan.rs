//! What must move between two replicas, from their vectors alone.
//!
//! Pull is the protocol; a push is only quicker. A replica pushes what it accepted itself as soon
//! as it is committed. What a peer still lacks later it is expected to pull, from anybody; only a
//! peer that pulls nothing, perhaps because it cannot call out, is pushed everything.

use std::collections::BTreeSet;

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Dot, Origin};
use causeway_domain::version_vector::{Range, VersionVector};

use crate::wire::events::{BATCH_BYTES, Decoded};

/// A difference above this is moved by pull alone, at once, in batches.
pub(crate) const BULK_EVENTS: u64 = 1_000;
/// How long a pull waits for a push that is probably under way.
pub(crate) const PULL_GRACE_MS: u64 = 250;

/// Stands in a vector for "whatever there is of this origin": nothing lies beyond it. Fits a signed
/// 64-bit column.
const EVERYTHING: u64 = i64::MAX as u64;

/// What to push to one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The peer holds this: read the log beyond it, in log order.
    pub after: VersionVector,
    /// Leave out what other origins wrote.
    pub only: Option<Origin>,
}

impl Push {
    /// Takes of what the log gave what is to be sent; returns the highest numbers in it. An empty
    /// vector: there is nothing to send.
    pub fn select(&self, read: &mut Vec<RawEvent>) -> VersionVector {
        if let Some(only) = self.only {
            read.retain(|event| event.envelope.stamp.origin == only);
        }
        let mut sent = VersionVector::default();
        for event in read {
            sent.record(event.envelope.stamp.dot());
        }
        sent
    }
}

/// What decides whether and what a peer is pushed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushState<'a> {
    /// What it is known to hold.
    pub known: &'a VersionVector,
    /// What we held already when its newest but one digest came.
    pub long_held: &'a VersionVector,
    /// It pulls from somebody.
    pub is_pulling: bool,
    /// It follows our own events by push.
    pub is_in_step: bool,
    /// The last push taught it nothing, and it has not spoken since.
    pub is_stalled: bool,
}

/// Plans a push: a backlog, else our own new events, else nothing.
pub(crate) fn push(
    own: Origin,
    held: &VersionVector,
    excluded: &BTreeSet<Origin>,
    peer: PushState<'_>,
) -> Option<Push> {
    if peer.is_stalled {
        return None;
    }
    let lacks = |range: &Range| !excluded.contains(&range.origin);
    if !peer.is_pulling && peer.long_held.beyond(peer.known).iter().any(lacks) {
        return Some(Push {
            after: masked(peer.known, excluded),
            only: None,
        });
    }
    let news = held.get(own).saturating_sub(peer.known.get(own));
    if !peer.is_in_step || news == 0 || excluded.contains(&own) {
        return None;
    }
    // Thousands come with what it pulls: pushed as well, they would travel twice (F26).
    if peer.is_pulling && news > BULK_EVENTS {
        return None;
    }
    let others = held.iter().filter(|&(origin, _)| origin != own);
    let known_of_own = (own, peer.known.get(own));
    Some(Push {
        after: others.chain([known_of_own]).collect(),
        only: Some(own),
    })
}

/// Tells whether a peer that has just spoken can follow our own events by push from here on.
pub(crate) fn is_in_step(
    own: Origin,
    held: &VersionVector,
    known: &VersionVector,
    is_pulling: bool,
) -> bool {
    let gap = held.get(own).saturating_sub(known.get(own));
    gap == 0 || (!is_pulling && gap <= BULK_EVENTS)
}

/// Lists what to pull: what a peer shows beyond what is held, without the excluded origins.
pub(crate) fn wanted(
    held: &VersionVector,
    shown: &VersionVector,
    excluded: &BTreeSet<Origin>,
) -> Vec<Range> {
    let mut ranges = shown.beyond(held);
    ranges.retain(|range| !excluded.contains(&range.origin));
    ranges
}

/// How many events these ranges span.
pub(crate) fn count(ranges: &[Range]) -> u64 {
    ranges
        .iter()
        .fold(0, |sum, range| sum.saturating_add(range.count()))
}

/// Returns the vector to pull after, so that nothing of the excluded origins is sent.
pub(crate) fn masked<'a>(
    held: &VersionVector,
    excluded: impl IntoIterator<Item = &'a Origin>,
) -> VersionVector {
    let mut after = held.clone();
    for &origin in excluded {
        after.record(Dot {
            origin,
            seq: EVERYTHING,
        });
    }
    after
}

/// Returns what the next batch lies beyond, once this one is stored; nothing when it is the last, as a
/// batch that is not full tells.
pub(crate) fn next_after(
    after: &VersionVector,
    batch: &Decoded,
    limit: usize,
) -> Option<VersionVector> {
    let bytes = |event: &RawEvent| event.bytes.len();
    // Whether one more would have fitted is not known; half full is as good as certain.
    let is_full = batch.events.len() >= limit
        || batch.events.iter().map(bytes).sum::<usize>() > BATCH_BYTES / 2;
    // A line that is no event is given again and again: how often it is asked for is decided after
    // each batch.
    if !is_full || batch.flawed > 0 {
        return None;
    }
    let mut next = after.clone();
    for event in &batch.events {
        next.record(event.envelope.stamp.dot());
    }
    Some(next)
}

/// Tells whether all that a batch asked for beyond `asked` stands on is held: what was excluded
/// there is in no such batch.
pub(crate) fn fits(held: &VersionVector, asked: &VersionVector) -> bool {
    let mut asked = asked.iter().filter(|&(_, seq)| seq != EVERYTHING);
    asked.all(|(origin, seq)| held.get(origin) >= seq)
}

#[cfg(test)]
mod tests {
    use causeway_domain::ids::{Epoch, ReplicaId};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_own_event_is_pushed_alone() {
        let held = vector(&[(1, 5), (2, 7)]);
        let known = vector(&[(1, 4), (2, 6)]);

        let push = push(origin(1), &held, &none(), in_step(&known, &known)).unwrap();

        assert_eq!(push.only, Some(origin(1)));
        assert_eq!(held.beyond(&push.after), [range(1, 5, 5)]);
    }

    #[test]
    fn another_origins_event_is_not_pushed_while_it_is_fresh() {
        let held = vector(&[(1, 5), (2, 7)]);
        let known = vector(&[(1, 5), (2, 6)]);

        assert_eq!(
            push(origin(1), &held, &none(), in_step(&known, &known)),
            None
        );
    }

    #[test]
    fn what_a_peer_lacks_for_two_digests_is_pushed_whoever_wrote_it() {
        let held = vector(&[(1, 5), (2, 7)]);
        let known = vector(&[(1, 5), (2, 6)]);

        let push = push(origin(1), &held, &none(), in_step(&known, &held)).unwrap();

        assert_eq!(push.only, None);
        assert_eq!(held.beyond(&push.after), [range(2, 7, 7)]);
    }

    #[test]
    fn a_backlog_is_not_pushed_to_a_peer_that_pulls() {
        let held = vector(&[(1, 5), (2, 7)]);
        let known = vector(&[(1, 5)]);
        let peer = PushState {
            is_pulling: true,
            ..in_step(&known, &held)
        };

        assert_eq!(push(origin(1), &held, &none(), peer), None);
    }

    #[test]
    fn own_events_are_not_pushed_by_thousands_to_a_peer_that_pulls_them() {
        let known = vector(&[(1, 1_000)]);
        let peer = PushState {
            is_pulling: true,
            ..in_step(&known, &known)
        };
        let pushed = |held: u64| push(origin(1), &vector(&[(1, held)]), &none(), peer).is_some();

        assert!(pushed(2_000));
        assert!(!pushed(2_001));
    }

    #[test]
    fn a_push_that_taught_nothing_is_not_repeated_until_the_peer_speaks() {
        let held = vector(&[(1, 5)]);
        let known = vector(&[(1, 4)]);
        let peer = PushState {
            is_stalled: true,
            ..in_step(&known, &held)
        };

        assert_eq!(push(origin(1), &held, &none(), peer), None);
    }

    #[test]
    fn a_forked_origin_is_neither_pushed_nor_pulled() {
        let held = vector(&[(1, 5), (2, 7)]);
        let known = vector(&[(1, 4), (2, 6)]);
        let forked = BTreeSet::from([origin(1), origin(2)]);

        assert_eq!(
            push(origin(1), &held, &forked, in_step(&known, &held)),
            None
        );
        assert_eq!(wanted(&known, &held, &forked), []);
        assert_eq!(held.beyond(&masked(&known, &forked)), []);
    }

    #[test]
    fn a_peer_that_is_far_behind_or_pulling_is_not_in_step() {
        let held = vector(&[(1, 5_000)]);

        assert!(is_in_step(origin(1), &held, &held, true));
        assert!(is_in_step(origin(1), &held, &vector(&[(1, 4_500)]), false));
        assert!(!is_in_step(origin(1), &held, &vector(&[(1, 4_500)]), true));
        assert!(!is_in_step(origin(1), &held, &vector(&[(1, 3_000)]), false));
    }

    proptest! {
        #[test]
        fn what_is_wanted_and_then_held_leaves_nothing_wanted(
            ours in any_vector(), theirs in any_vector(),
        ) {
            let mut held = ours.clone();
            for range in wanted(&ours, &theirs, &none()) {
                held.record(Dot { origin: range.origin, seq: range.last });
            }

            prop_assert_eq!(wanted(&held, &theirs, &none()), []);
            prop_assert!(held.covers_all(&ours) && held.covers_all(&theirs));
            prop_assert_eq!(count(&wanted(&ours, &theirs, &none())), theirs.count_beyond(&ours));
        }
    }

    fn in_step<'a>(known: &'a VersionVector, long_held: &'a VersionVector) -> PushState<'a> {
        PushState {
            known,
            long_held,
            is_pulling: false,
            is_in_step: true,
            is_stalled: false,
        }
    }

    fn any_vector() -> impl Strategy<Value = VersionVector> {
        prop::collection::vec((1..6_u16, 0..2_000_u64), 0..6).prop_map(|pairs| vector(&pairs))
    }

    fn vector(pairs: &[(u16, u64)]) -> VersionVector {
        pairs
            .iter()
            .map(|&(replica, seq)| (origin(replica), seq))
            .collect()
    }

    fn origin(replica: u16) -> Origin {
        Origin {
            replica: ReplicaId::new(replica).unwrap(),
            epoch: Epoch(0),
        }
    }

    fn range(replica: u16, first: u64, last: u64) -> Range {
        Range {
            origin: origin(replica),
            first,
            last,
        }
    }

    fn none() -> BTreeSet<Origin> {
        BTreeSet::new()
    }
}
