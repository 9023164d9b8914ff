//! What the past of an event names and is not waited for.

use super::*;

#[test]
fn what_peers_keep_back_because_of_a_fork_is_not_waited_for() {
    let mut given = Given::peers(4);
    given.holds(&[(3, 1)]);
    let keeps_back = |peer, n| Digest {
        withheld: [origin(3)].into(),
        ..digest(peer, n, &[(3, 5)])
    };

    given.answered(keeps_back(2, 1));
    assert!(given.core.not_awaited().contains(&origin(3)));
    assert_eq!(pulls(&given.at(400)), NOBODY);

    let outputs = given.answered(digest(4, 1, &[(3, 2)]));
    assert_eq!(given.core.not_awaited(), [].into(), "somebody gives it");
    assert_eq!(pulls(&outputs), [4]);
    given.holds(&[(3, 2)]);
    assert!(given.core.not_awaited().contains(&origin(3)));

    given.called(digest(2, 2, &[(3, 5)]));
    assert_eq!(given.core.not_awaited(), [].into());
}

#[test]
fn what_a_peer_gives_only_later_is_not_waited_for_unless_it_keeps_it_back() {
    let mut given = Given::peers(3);
    let cycle = Decoded {
        events: vec![event(3, 1, &[(2, 2)]), event(2, 2, &[(3, 1)])],
        flawed: 0,
    };
    let after = vector(&[(2, 1)]);
    let orphaned = |given: &Given| given.core.orphaned_in_pull(id(2), &after, &cycle);

    assert_eq!(orphaned(&given), [origin(2)].into());

    given.called(Digest {
        withheld: [origin(2)].into(),
        ..digest(2, 1, &[])
    });
    assert_eq!(orphaned(&given), [].into());
}

#[test]
fn what_who_gave_it_by_pull_does_not_hold_either_is_not_awaited() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[(2, 5)]));
    given.stuck(2, &[range(3, 1, 4)]);
    assert!(given.core.not_awaited().is_empty());

    given.at(3_000);
    given.answered(digest(2, 2, &[(2, 5)]));

    assert_eq!(given.core.not_awaited(), [origin(3)].into());
}

#[test]
fn what_who_pushed_it_does_not_hold_either_is_not_awaited() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    let missing = vec![range(3, 1, 4)];
    let absorbed = Absorbed {
        missing,
        ..Absorbed::default()
    };
    given.push_called(2, absorbed);

    given.at(3_000);
    given.answered(digest(2, 2, &[(2, 5)]));

    assert_eq!(given.core.not_awaited(), [origin(3)].into());
}

#[test]
fn what_its_giver_lost_is_awaited_as_long_as_another_gives_it() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[(2, 5), (3, 4)]));
    given.stuck(2, &[range(3, 1, 4)]);
    given.at(3_000);
    given.answered(digest(2, 2, &[]));
    assert_eq!(given.core.not_awaited(), [origin(3)].into());

    given.called(digest(3, 1, &[(3, 3)]));
    assert_eq!(given.core.not_awaited(), [origin(3)].into(), "it may push");
    given.answered(digest(3, 2, &[(3, 3)]));
    assert_eq!(given.core.not_awaited(), [].into());
    given.holds(&[(3, 3)]);
    assert_eq!(given.core.not_awaited(), [origin(3)].into(), "no more");
}
