//! Events of an origin that differ, and own ones that only others know.

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
fn own_events_that_only_a_peer_holds_are_told_of_when_it_is_certain() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 3)]);

    let first = given.answered(digest(2, 1, &[(1, 5)]));
    given.at(1_000);
    let second = given.called(digest(2, 2, &[(1, 5)]));

    assert_eq!(pulls(&first), NOBODY);
    assert!(!first.iter().any(|o| matches!(o, Output::Alarm(_))));
    let expected = Alarm::OwnEventsUnknown {
        peer: id(2),
        origin: origin(1),
        shown: 5,
        held: 3,
    };
    assert!(
        second
            .iter()
            .any(|o| matches!(o, Output::Alarm(a) if *a == expected))
    );
}

#[test]
fn a_former_epoch_is_pulled_like_anyones_once_a_new_one_is_drawn() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 3)]);
    given.answered(digest(2, 1, &[(1, 5)]));
    given.at(1_000);
    given.called(digest(2, 2, &[(1, 5)]));

    let mut renewed = (*head(&[(1, 3)], 0, 9)).clone();
    renewed.origin.epoch = Epoch(99);
    given.step(Input::Committed(Arc::new(renewed)));
    let mut outputs = given.answered(digest(2, 3, &[(1, 5)]));
    outputs.extend(given.at(300));

    assert_eq!(pulls(&outputs), [2]);
}
