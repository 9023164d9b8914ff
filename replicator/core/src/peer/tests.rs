use causeway_domain::ids::{Epoch, ReplicaId};

use super::*;

#[test]
fn a_peer_whose_pushes_lack_origins_without_end_costs_no_more_memory() {
    let now = Now { ms: 1, wall_ms: 1 };
    let mut peer = Peer::unheard(now);

    for epoch in 0..12_000 {
        let origin = Origin {
            replica: ReplicaId::new(1).expect("not zero"),
            epoch: Epoch(epoch),
        };
        let lacking = Range {
            origin,
            first: 1,
            last: 1,
        };
        peer.learn_missing(now, &[lacking]);
    }

    assert_eq!(peer.hint.len(), MOST_HINTS);
}
