//! Where the histories of a replica and of several peers part, when it comes back to them after a
//! fork, and what has to be compared to know that these peers agree among themselves.

use std::collections::BTreeMap;

use causeway_domain::ids::{Dot, ReplicaId};
use causeway_domain::rescue::Parting;

use crate::wire::Digest;

/// An event that two peers must hold alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// One peer.
    pub one: ReplicaId,
    /// The other peer.
    pub other: ReplicaId,
    /// The last event of a parted origin that both hold.
    pub dot: Dot,
}

/// Joins the partings from several peers: per origin the lowest number.
pub fn join<'a>(partings: impl IntoIterator<Item = &'a Parting>) -> Parting {
    let mut joined = Parting::default();
    for (&origin, &seq) in partings.into_iter().flat_map(|parting| &parting.0) {
        let shared = joined.0.entry(origin).or_insert(seq);
        *shared = seq.min(*shared);
    }
    joined
}

/// Lists which events have to be compared, for every two of the peers that are followed.
pub fn comparisons(followed: &BTreeMap<ReplicaId, &Digest>, joined: &Parting) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for (&one, first) in followed {
        for (&other, second) in followed.range(one..).skip(1) {
            for &origin in joined.0.keys() {
                let held = |digest: &Digest| digest.vector.get(&origin).map_or(0, |held| held.0);
                let seq = held(first).min(held(second));
                if seq > 0 {
                    let dot = Dot { origin, seq };
                    comparisons.push(Comparison { one, other, dot });
                }
            }
        }
    }
    comparisons
}

#[cfg(test)]
mod tests {
    use causeway_domain::chain::Hash;
    use causeway_domain::ids::{Epoch, Origin};

    use crate::instance::Instance;
    use crate::now::Now;
    use crate::wire::Caller;

    use super::*;

    #[test]
    fn histories_part_where_the_first_of_the_followed_peers_parts() {
        let partings = [parting(&[(1, 5), (2, 7)]), parting(&[(1, 3)])];

        assert_eq!(join(&partings), parting(&[(1, 3), (2, 7)]));
    }

    #[test]
    fn every_two_peers_are_compared_at_the_last_event_of_a_parted_origin_that_both_hold() {
        let (two, three, four) = (digest(&[(1, 9), (5, 1)]), digest(&[(1, 4)]), digest(&[]));
        let followed = [(id(2), &two), (id(3), &three), (id(4), &four)].into();

        let found = comparisons(&followed, &parting(&[(1, 3)]));

        let dot = Dot {
            origin: origin(1),
            seq: 4,
        };
        let (one, other) = (id(2), id(3));
        assert_eq!(found, [Comparison { one, other, dot }]);
    }

    fn parting(shared: &[(u16, u64)]) -> Parting {
        Parting(shared.iter().map(|&(o, seq)| (origin(o), seq)).collect())
    }

    fn digest(held: &[(u16, u64)]) -> Digest {
        let caller = Caller {
            cluster: "c".into(),
            replica: id(2),
            instance: Instance(1),
        };
        let vector = held.iter().map(|&(o, seq)| (origin(o), (seq, Hash::START)));
        Digest {
            vector: vector.collect(),
            ..Digest::question(&caller, Now::default())
        }
    }

    fn origin(replica: u16) -> Origin {
        Origin {
            replica: id(replica),
            epoch: Epoch(0),
        }
    }

    fn id(number: u16) -> ReplicaId {
        ReplicaId::new(number).unwrap()
    }
}
