//! Events of an origin that differ.

use super::*;

#[test]
fn a_fork_is_told_once_and_its_origin_exchanged_no_further_until_it_is_mended() {
    let mut given = Given::peers(3);
    given.holds(&[(1, 1), (2, 5)]);
    given.answered(digest(3, 1, &[(1, 1), (2, 5)]));
    let mut forked = digest(2, 1, &[(1, 1), (2, 5)]);
    forked.vector.insert(origin(2), (5, Hash([9; 32])));

    let first = given.answered(forked.clone());
    forked.n = 2;
    let second = given.called(forked);
    let third = given.called(digest(3, 2, &[(1, 1), (2, 9)]));

    assert_eq!(forks(&first), [(2, 2)]);
    assert_eq!(forks(&second), NO_FORK);
    assert_eq!(pulls(&third), NOBODY);
    assert_eq!(pulls(&given.at(400)), NOBODY, "of nobody");

    given.called(digest(2, 3, &[(1, 1), (2, 5)]));
    given.called(digest(3, 3, &[(1, 1), (2, 9)]));

    assert_eq!(pulls(&given.at(400)), [3]);
}

#[test]
fn a_chain_below_our_own_is_looked_up_once() {
    let mut given = Given::peers(2);
    given.holds(&[(2, 5)]);

    let asked = given.answered(digest(2, 1, &[(2, 3)]));
    let read = |ours| Input::HashRead {
        peer: id(2),
        origin: origin(2),
        seq: 3,
        theirs: chain(2, 3),
        ours: Some(ours),
    };
    let fine = given.step(read(chain(2, 3)));
    let again = given.called(digest(2, 2, &[(2, 3)]));
    let forked = given.step(read(Hash([9; 32])));

    assert_eq!(lookups(&asked), 1);
    assert_eq!(lookups(&again), 0);
    assert_eq!(forks(&fine), NO_FORK);
    assert_eq!(forks(&forked), [(2, 2)]);
}

#[test]
fn who_holds_less_goes_by_the_other_side_whether_an_origin_is_still_forked() {
    let mut given = Given::peers(3);
    given.holds(&[(2, 4)]);
    given.answered(digest(3, 1, &[(2, 7)]));
    let found = given.pulled_forked(3, 2);
    given.at(1_000);
    assert_eq!(pulls(&given.called(saying_forked(3, 2, 7))), NOBODY);
    given.at(2_000);
    assert_eq!(pulls(&given.called(saying_forked(3, 3, 7))), NOBODY);
    assert_eq!(forks(&given.called(saying_forked(3, 4, 7))), NO_FORK);
    assert_eq!(pulls(&given.at(300)), NOBODY);

    given.called(digest(3, 5, &[(2, 7)]));
    given.called(digest(3, 6, &[(2, 7)]));

    assert_eq!(forks(&found), [(3, 2)]);
    assert_eq!(pulls(&given.at(400)), [3]);
}

#[test]
fn who_holds_more_is_given_time_to_find_a_fork_too() {
    let mut given = Given::peers(2);
    given.holds(&[(2, 4)]);
    given.answered(digest(2, 1, &[(2, 7)]));
    given.pulled_forked(2, 2);

    given.at(1_000);
    given.called(digest(2, 2, &[(2, 7)]));
    given.at(1_000);
    given.called(digest(2, 3, &[(2, 7)]));

    assert_eq!(pulls(&given.at(400)), NOBODY);
}

#[test]
fn every_peer_is_told_what_is_kept_back_because_of_another() {
    let mut given = Given::peers(3);
    given.holds(&[(2, 5)]);
    let mut forked = digest(2, 1, &[(2, 5)]);
    forked.vector.insert(origin(2), (5, Hash([9; 32])));
    given.called(forked.clone());

    let to_third = answer(&given.called(digest(3, 1, &[])));
    forked.n = 2;
    let to_second = answer(&given.called(forked));

    assert_eq!(
        (to_third.forked, to_third.withheld),
        ([].into(), [origin(2)].into())
    );
    assert_eq!(
        (to_second.forked, to_second.withheld),
        ([origin(2)].into(), [].into())
    );
}

#[test]
fn who_is_told_that_its_own_origin_is_forked_elsewhere_is_alarmed_once() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 3)]);

    assert_eq!(forks(&given.answered(telling(2, 1, 1, 0))), [(2, 1)]);
    assert_eq!(forks(&given.called(telling(2, 2, 1, 0))), NO_FORK);

    given.is_renewed(&[(1, 3)]);
    given.called(digest(2, 3, &[]));
    let later = given.called(telling(2, 4, 1, 0));
    assert_eq!(forks(&later), NO_FORK, "it is a former one");
}

#[test]
fn what_is_told_of_forks_is_passed_on_so_far_and_not_to_who_told_it() {
    let mut given = Given::peers(4);
    given.called(telling(2, 1, 3, 5));
    given.called(telling(4, 1, 3, 0));

    let to_second = answer(&given.called(telling(2, 2, 3, 5)));
    let to_third = answer(&given.called(digest(3, 1, &[])));
    let to_fourth = answer(&given.called(telling(4, 2, 3, 0)));

    assert_eq!(to_second.rumours, [].into(), "nobody else passes it on");
    assert_eq!(to_third.rumours, [(origin(3), 4)].into());
    assert_eq!(to_fourth.rumours, [(origin(3), 4)].into());
    given.called(digest(2, 3, &[]));
    let later = answer(&given.called(digest(3, 2, &[])));
    assert_eq!(later.rumours, [].into(), "it has passed");
}

#[test]
fn who_finds_a_fork_tells_everybody() {
    let mut given = Given::peers(3);
    given.holds(&[(2, 5)]);
    let mut forked = digest(2, 1, &[(2, 5)]);
    forked.vector.insert(origin(2), (5, Hash([9; 32])));
    given.called(forked);

    let to_third = answer(&given.called(digest(3, 1, &[])));

    assert_eq!(to_third.rumours, [(origin(2), FAR)].into());
}

#[test]
fn what_a_peer_keeps_back_is_not_asked_of_it() {
    let mut given = Given::peers(2);

    let pull = given.answered(Digest {
        withheld: [origin(3)].into(),
        ..digest(2, 1, &[(2, 5), (3, 5)])
    });

    assert!(after(&pull).covers(dot(3, 5)));
    assert!(!after(&pull).covers(dot(2, 5)));
}

#[test]
fn a_fork_that_a_push_shows_is_told_of() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[]));
    let forked = vec![origin(3)];
    let absorbed = Absorbed {
        forked,
        ..Absorbed::default()
    };
    let found = given.push_called(2, absorbed);

    assert_eq!(forks(&found), [(2, 3)]);
}

fn telling(peer: u16, n: u64, forked: u16, far: u8) -> Digest {
    Digest {
        rumours: [(origin(forked), far)].into(),
        ..digest(peer, n, &[])
    }
}

fn saying_forked(peer: u16, n: u64, seq: u64) -> Digest {
    Digest {
        forked: [origin(2)].into(),
        ..digest(peer, n, &[(2, seq)])
    }
}

impl Given {
    fn pulled_forked(&mut self, peer: u16, forked: u16) -> Vec<Output> {
        let absorbed = Absorbed {
            forked: vec![origin(forked)],
            ..Absorbed::default()
        };
        self.pull_is_stored(peer, absorbed)
    }
}

#[test]
fn a_peer_that_finds_fifty_thousand_forks_costs_a_hundred_alarms() {
    let mut given = Given::peers(3);
    given.answered(digest(3, 1, &[]));
    let all = (0..50_000).map(|epoch| Origin {
        epoch: Epoch(epoch),
        ..origin(3)
    });
    let flood = |n| Digest {
        forked: all.clone().collect(),
        withheld: all.clone().collect(),
        rumours: all.clone().map(|it| (it, 16)).collect(),
        ..digest(2, n, &[])
    };

    let mut told = 0;
    for n in 1..5 {
        let out = given.called(flood(n));
        told += out
            .iter()
            .filter(|it| matches!(it, Output::Alarm(_)))
            .count();
        given.at(1_000);
    }

    assert_eq!(told, 101, "and that there are more");
    let alarms = given.core.knowledge().alarms;
    assert_eq!(alarms.len(), 101);
    let count: u64 = alarms.iter().map(Alarm::count).sum();
    assert_eq!(count, 1_000);
    let passed_on = answer(&given.called(digest(3, 2, &[])));
    let bytes = serde_json::to_vec(&passed_on).unwrap();
    assert!(bytes.len() < 100_000, "{}", bytes.len());
}

#[test]
fn the_own_origin_is_found_among_fifty_thousand_forks() {
    let mut given = Given::peers(2);
    let mut flood = digest(2, 1, &[]);
    flood.forked = (0..50_000)
        .map(|epoch| Origin {
            epoch: Epoch(epoch),
            ..origin(3)
        })
        .collect();
    flood.forked.insert(given.core.me.origin);

    let out = given.called(flood);

    assert!(out.iter().any(|it| matches!(it, Output::Renew { .. })));
}
