//! Pasts that nobody holds any more.
//!
//! A replica stores an event after all in its past, so whoever gives an event holds its past, but
//! for one case: it took the event beside a fork, whose side the event knew has yielded since or is
//! gone. When a peer that gave such an event still does not hold what the event names, it never will
//! before that event, and waiting for it would be for ever.
//!
//! Other events may stand under the numbers named by now, written in the knowledge of the very
//! event that names them: then the vector of the peer hides what the order of its log shows.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::Origin;
use causeway_domain::version_vector::{Range, VersionVector};

use crate::plan;

/// What a peer said before it gave an event can arrive after the event, but not by more: calls are
/// given up sooner.
pub(crate) const IN_FLIGHT_MS: u64 = 2_500;

/// Most origins noted of one peer: no cluster has so many, and a peer can name any number.
const MOST: usize = 10_000;

/// What the events that one peer gave were found to lack.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    /// The highest number named, and since when it is missing.
    missing: BTreeMap<Origin, (u64, u64)>,
    found: BTreeMap<Origin, u64>,
}

impl Orphans {
    /// Takes in what events of the peer named that is not held here.
    pub(crate) fn miss(&mut self, now_ms: u64, missing: &[Range]) {
        for range in missing {
            if self.missing.len() >= MOST && !self.missing.contains_key(&range.origin) {
                continue;
            }
            let known = self.missing.entry(range.origin);
            let (last, since_ms) = known.or_insert((range.last, now_ms));
            if range.last > *last {
                (*last, *since_ms) = (range.last, now_ms);
            }
        }
    }

    /// Takes in what the peer holds now.
    pub(crate) fn compare(&mut self, now_ms: u64, theirs: &VersionVector) {
        self.found
            .retain(|&origin, last| theirs.get(origin) < *last);
        self.missing.retain(|&origin, &mut (last, since_ms)| {
            let is_there = theirs.get(origin) >= last;
            let is_sure = now_ms >= since_ms + IN_FLIGHT_MS;
            if !is_there && is_sure && self.found.len() < MOST {
                let named = self.found.entry(origin).or_default();
                *named = last.max(*named);
            }
            !is_there && !is_sure
        });
    }

    /// Origins of which the peer gave what names more than it holds. What is `held` here by now came
    /// from elsewhere: the peer lost it since.
    pub(crate) fn origins(&self, held: &VersionVector) -> impl Iterator<Item = Origin> {
        let found = self.found.iter();
        let found = found.filter(|&(&origin, &last)| held.get(origin) < last);
        found.map(|(&origin, _)| origin)
    }
}

/// Lists the origins of which events that were pulled name more than stands before them in the log
/// that they come from: its holder took them beside a fork. `after`: beyond what was asked.
pub fn in_pull(pulled: &[RawEvent], after: &VersionVector) -> BTreeSet<Origin> {
    let mut given = after.clone();
    let mut orphaned = BTreeSet::new();
    for event in pulled {
        let stamp = &event.envelope.stamp;
        let others = stamp.past.iter().filter(|&(it, _)| it != stamp.origin);
        let early = others.filter(|&(origin, seq)| given.get(origin) < seq);
        orphaned.extend(early.map(|(origin, _)| origin));
        given.record(stamp.dot());
    }
    orphaned
}

/// Lists the same of events that were pushed, as far as they show it by themselves: what is named
/// comes later in the same push.
pub fn in_push(pushed: &[RawEvent]) -> BTreeSet<Origin> {
    let stamps = || pushed.iter().map(|event| &event.envelope.stamp);
    let mut first = BTreeMap::new();
    for stamp in stamps() {
        first.entry(stamp.origin).or_insert(stamp.seq);
    }
    if first.len() < 2 {
        return BTreeSet::new();
    }
    let named = stamps().flat_map(|stamp| stamp.past.iter());
    let named = named.map(|(origin, _)| origin);
    let others: BTreeSet<Origin> = named.filter(|it| !first.contains_key(it)).collect();
    let before = first.iter().map(|(&origin, seq)| (origin, seq - 1));
    in_pull(pushed, &plan::masked(&before.collect(), &others))
}

#[cfg(test)]
pub(crate) mod tests {
    use causeway_domain::chain::Hash;
    use causeway_domain::envelope::Envelope;
    use causeway_domain::hlc::Hlc;
    use causeway_domain::ids::{Epoch, ReplicaId};
    use causeway_domain::stamp::Stamp;

    use super::*;

    #[test]
    fn what_its_giver_does_not_hold_either_is_not_waited_for() {
        let mut orphans = Orphans::default();
        orphans.miss(0, &[range(7)]);

        orphans.compare(1_000, &held(6));
        assert_eq!(
            orphans.origins(&held(0)).count(),
            0,
            "said before it gave the event, perhaps"
        );
        orphans.miss(1_500, &[range(7)]);
        orphans.compare(2_500, &held(6));
        assert_eq!(orphans.origins(&held(0)).next(), Some(range(7).origin));

        orphans.compare(2_600, &held(7));
        assert_eq!(
            orphans.origins(&held(0)).count(),
            0,
            "it has come after all"
        );
    }

    #[test]
    fn the_highest_number_named_is_what_the_giver_must_come_to_hold() {
        let mut orphans = Orphans::default();
        for named in [9, 7] {
            orphans.miss(0, &[range(named)]);
            orphans.compare(9_000, &held(6));
        }

        orphans.compare(9_100, &held(8));

        assert_eq!(orphans.origins(&held(0)).next(), Some(range(9).origin));
    }

    #[test]
    fn what_its_giver_holds_is_waited_for() {
        let mut orphans = Orphans::default();
        orphans.miss(0, &[range(7)]);

        orphans.compare(9_000, &held(7));
        orphans.compare(9_000, &held(7));

        assert_eq!(orphans.origins(&held(0)).count(), 0);
    }

    #[test]
    fn what_the_giver_has_lost_and_came_from_elsewhere_is_waited_for() {
        let mut orphans = Orphans::default();
        orphans.miss(0, &[range(7)]);
        orphans.compare(9_000, &held(6));
        assert_eq!(orphans.origins(&held(6)).count(), 1);

        assert_eq!(orphans.origins(&held(7)).count(), 0);
    }

    #[test]
    fn a_peer_that_names_more_than_any_cluster_has_costs_no_more_memory() {
        let mut orphans = Orphans::default();
        let named = |epoch| Range {
            origin: Origin {
                epoch: Epoch(epoch),
                ..range(1).origin
            },
            ..range(1)
        };

        for now_ms in [0, 9_000, 18_000] {
            let first = u32::try_from(now_ms).unwrap() * 10;
            for epoch in first..first + 30_000 {
                orphans.miss(now_ms, &[named(epoch)]);
            }
            assert!(orphans.missing.len() <= MOST, "{}", orphans.missing.len());
            orphans.compare(now_ms + 9_000, &VersionVector::default());
            assert!(orphans.found.len() <= MOST, "{}", orphans.found.len());
        }
    }

    #[test]
    fn what_stands_later_in_the_log_of_the_giver_was_not_there_when_it_took_the_event() {
        let cycle = [event(1, 1, &[(2, 2)]), event(2, 1, &[]), event(2, 2, &[])];

        let orphaned = in_pull(&cycle, &VersionVector::default());

        assert_eq!(orphaned, [writer(2)].into());
        assert_eq!(in_push(&cycle), [writer(2)].into());
        let first = in_pull(&cycle[..1], &VersionVector::default());
        assert_eq!(first, [writer(2)].into(), "the batch is full");
        assert_eq!(
            in_push(&cycle[..1]),
            [].into(),
            "it may have been sent before"
        );
    }

    #[test]
    fn what_stands_before_or_was_not_asked_for_is_waited_for() {
        let events = [event(2, 4, &[]), event(1, 1, &[(2, 4), (3, 7)])];
        let after = [(writer(2), 3), (writer(3), 7)].into_iter().collect();

        assert_eq!(in_pull(&events, &after), [].into());
        assert_eq!(in_push(&events), [].into());
    }

    /// An event that knows these of others.
    pub(crate) fn event(replica: u16, seq: u64, past: &[(u16, u64)]) -> RawEvent {
        let past = past.iter().map(|&(replica, seq)| (writer(replica), seq));
        let nothing = serde_json::value::to_raw_value(&()).unwrap();
        let envelope = Envelope {
            stamp: Stamp {
                origin: writer(replica),
                seq,
                hlc: Hlc::at_ms(5),
                past: past.collect(),
            },
            level: 1,
            aggregate: "post".into(),
            id: "x".into(),
            group: None,
            kind: "Posted".into(),
            at: 0,
            event: nothing.into(),
        };
        RawEvent::create(envelope, Hash::START)
    }

    fn writer(replica: u16) -> Origin {
        Origin {
            replica: ReplicaId::new(replica).unwrap(),
            epoch: Epoch(0),
        }
    }

    fn range(last: u64) -> Range {
        Range {
            origin: writer(2),
            first: last,
            last,
        }
    }

    fn held(seq: u64) -> VersionVector {
        [(range(1).origin, seq)].into_iter().collect()
    }
}
