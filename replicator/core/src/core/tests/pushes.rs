//! What is pushed to whom, and when.

use super::*;

#[test]
fn a_peer_that_comes_back_pulls_and_is_pushed_only_what_it_did_not_pull() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 5)]);

    assert_eq!(pushes(&given.answered(digest(2, 1, &[]))), NOBODY);
    given.at(500);
    assert_eq!(pushes(&given.called(digest(2, 2, &[]))), NOBODY);
    given.at(1_000);

    assert_eq!(pushes(&given.called(digest(2, 3, &[]))), [2]);
}

#[test]
fn a_peer_that_starts_again_pulls_first_however_quickly_it_is_back() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 5)]);
    for n in 1..4 {
        given.answered(digest(2, n, &[(1, 5)]));
        given.at(1_000);
    }
    let emptied = |n| Digest {
        instance: Instance(77),
        ..digest(2, n, &[])
    };

    assert_eq!(pushes(&given.answered(emptied(1))), NOBODY);
    given.at(1_600);
    assert_eq!(pushes(&given.answered(emptied(2))), [2]);
}

#[test]
fn an_own_event_is_pushed_to_every_peer_and_the_next_one_after_the_answer() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[]));
    given.answered(digest(3, 1, &[]));

    assert_eq!(pushes(&given.holds(&[(1, 1)])), [2, 3]);
    assert_eq!(pushes(&given.holds(&[(1, 2)])), NOBODY);
    assert_eq!(pushes(&given.pushed(2, 2, &[(1, 1)], &[(1, 1)])), [2]);
}

#[test]
fn nothing_is_pushed_to_a_peer_that_is_down() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[]));
    given.at(10_000);

    assert_eq!(pushes(&given.holds(&[(1, 1)])), NOBODY);
}

#[test]
fn nothing_gathers_for_a_peer_that_is_down_however_much_is_written() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[]));
    given.at(10_000);
    // As many digits as the numbers below will have.
    given.holds(&[(1, 1_000_000)]);
    let before = format!("{:?}", given.core).len();

    for seq in 1_000_001..1_020_000 {
        assert_eq!(pushes(&given.holds(&[(1, seq)])), NOBODY);
    }

    let after = format!("{:?}", given.core).len();
    assert!(after <= before + 200, "from {before} to {after} characters");
}

#[test]
fn a_push_answered_by_a_process_that_has_not_spoken_is_not_repeated_until_it_does() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    assert_eq!(pushes(&given.holds(&[(1, 1)])), [2]);

    let answer = PushAnswer {
        instance: Instance(77),
        n: 1,
        vector: vector(&[(1, 1)]),
    };
    let outputs = given.step(Input::PushDone {
        peer: id(2),
        sent: vector(&[(1, 1)]),
        result: Ok(answer),
    });

    assert_eq!(pushes(&outputs), NOBODY);
}

#[test]
fn a_backlog_that_taught_a_peer_nothing_is_pushed_again_only_when_it_has_spoken() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 5)]);
    for n in 1..3 {
        given.at(1_000);
        assert_eq!(pushes(&given.called(digest(2, n, &[]))), NOBODY);
        given.answered(digest(2, n, &[]));
    }
    given.at(1_000);
    assert_eq!(pushes(&given.called(digest(2, 3, &[]))), [2]);

    let in_part = given.pushed(2, 4, &[(1, 5)], &[(1, 3)]);
    assert_eq!(pushes(&in_part), [2]);
    let not_at_all = given.pushed(2, 5, &[(1, 5)], &[(1, 3)]);
    assert_eq!(pushes(&not_at_all), NOBODY);
    assert_eq!(pushes(&given.called(digest(2, 6, &[(1, 3)]))), [2]);
}
