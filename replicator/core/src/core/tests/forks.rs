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
    given.at(2_000);
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
fn what_peers_know_of_us_before_anything_is_written_is_certain_at_once() {
    let answered = |given: &mut Given, digest: Digest| {
        given.step(Input::AnsweredBefore {
            peer: digest.replica,
            digest: Box::new(digest),
        })
    };
    let mut other = digest(3, 1, &[(1, 3)]);
    other.vector.insert(origin(1), (3, Hash([9; 32])));
    for (doubtful, expected) in [(digest(3, 1, &[(1, 5)]), "rolled_back"), (other, "fork")] {
        let mut given = Given::peers(3);
        given.holds(&[(1, 3)]);

        let mut calm = answered(&mut given, digest(2, 1, &[(1, 2)]));
        calm.extend(answered(&mut given, digest(2, 1, &[(1, 3), (2, 7)])));
        assert!(!given.core.is_doubted(origin(1)));
        let alarmed = answered(&mut given, doubtful);

        let kinds = |outputs: &[Output]| -> Vec<&str> {
            let alarms = outputs.iter().filter_map(|output| match output {
                Output::Alarm(alarm) => Some(alarm.kind()),
                _ => None,
            });
            alarms.collect()
        };
        assert_eq!(kinds(&calm), [""; 0]);
        assert_eq!(kinds(&alarmed), [expected]);
        assert!(given.core.is_doubted(origin(1)));
    }
}

#[test]
fn a_former_epoch_is_pulled_like_anyones_once_a_new_one_is_drawn() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 3)]);
    given.answered(digest(2, 1, &[(1, 5)]));
    given.at(1_000);
    given.called(digest(2, 2, &[(1, 5)]));

    given.is_renewed(&[(1, 3)]);
    let mut outputs = given.answered(digest(2, 3, &[(1, 5)]));
    outputs.extend(given.at(300));

    assert_eq!(pulls(&outputs), [2]);
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
fn own_events_in_a_push_are_told_of_once_and_nothing_is_written_under_their_numbers_elsewhere() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[]));
    given.answered(digest(3, 1, &[]));
    given.holds(&[(1, 3)]);
    given.pushed(2, 2, &[(1, 3)], &[(1, 3)]);

    let first = given.is_pushed_own(3, 5);
    let second = given.is_pushed_own(2, 5);

    assert_eq!(unknown_own(&first), [(3, 5)]);
    assert_eq!(unknown_own(&second), [(2, 5)]);
    assert_eq!(unknown_own(&given.is_pushed_own(3, 6)), []);
    assert_eq!(forks(&first), NO_FORK);
    assert_eq!(pushes(&given.holds(&[(1, 4)])), NOBODY);
    let asked = given.core.servable_after(&vector(&[]));
    assert!(asked.covers(dot(1, 4)), "{asked:?}");
}

#[test]
fn own_events_that_a_pull_brings_are_told_of() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 3)]);
    given.answered(digest(2, 1, &[(2, 9)]));

    let brought = given.step(Input::PullDone {
        peer: id(2),
        result: Ok(Taken {
            stored: 1,
            unknown_own: Some(dot(1, 5)),
            ..Taken::default()
        }),
    });

    assert_eq!(unknown_own(&brought), [(2, 5)]);
}

#[test]
fn what_was_found_in_a_push_before_the_new_epoch_was_drawn_is_settled_by_it() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 3)]);
    given.answered(digest(2, 1, &[(1, 5)]));
    given.is_renewed(&[(1, 3)]);

    let late = given.is_pushed_own(2, 5);

    assert_eq!(unknown_own(&late), []);
    assert_eq!(forks(&late), NO_FORK);
    given.called(digest(2, 2, &[(1, 5)]));
    assert_eq!(pulls(&given.at(400)), [2]);
}

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
fn what_a_peer_gives_only_later_is_not_waited_for_unless_it_keeps_it_back() {
    let mut given = Given::peers(3);
    let cycle = [event(3, 1, &[(2, 2)]), event(2, 2, &[(3, 1)])];
    let after = vector(&[(2, 1)]);
    let orphaned = |given: &Given| given.core.orphaned_in_pull(id(2), &after, &cycle);

    assert_eq!(orphaned(&given), [origin(2)].into());

    given.called(Digest {
        withheld: [origin(2)].into(),
        ..digest(2, 1, &[])
    });
    assert_eq!(orphaned(&given), [].into());
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

fn unknown_own(outputs: &[Output]) -> Vec<(u16, u64)> {
    let unknown = |output: &Output| match output {
        Output::Alarm(Alarm::OwnEventsUnknown { peer, shown, .. }) => Some((peer.get(), *shown)),
        _ => None,
    };
    outputs.iter().filter_map(unknown).collect()
}

fn answer(outputs: &[Output]) -> Digest {
    let answer = |output: &Output| match output {
        Output::Answer(Ok(digest)) => Some((**digest).clone()),
        _ => None,
    };
    outputs.iter().find_map(answer).expect("an answer")
}

impl Given {
    fn pulled_forked(&mut self, peer: u16, forked: u16) -> Vec<Output> {
        let result = Ok(Taken {
            forked: vec![origin(forked)],
            ..Taken::default()
        });
        self.step(Input::PullDone {
            peer: id(peer),
            result,
        })
    }

    fn is_pushed_own(&mut self, peer: u16, seq: u64) -> Vec<Output> {
        let absorbed = Taken {
            unknown_own: Some(dot(1, seq)),
            ..Taken::default()
        };
        self.push_called(peer, absorbed)
    }

    fn is_renewed(&mut self, held: &[(u16, u64)]) {
        self.arrival += 1;
        let mut renewed = (*head(held, 0, self.arrival)).clone();
        renewed.origin.epoch = Epoch(99);
        self.step(Input::Committed(Arc::new(renewed)));
    }
}

#[test]
fn own_events_that_came_after_all_make_later_ones_no_more_certain() {
    let mut given = Given::peers(2);
    given.holds(&[(1, 3)]);
    given.answered(digest(2, 1, &[(1, 5)]));
    given.holds(&[(1, 5)]);
    given.at(300);
    given.called(digest(2, 2, &[(1, 5)]));
    given.at(1_000);

    let ahead = given.called(digest(2, 3, &[(1, 6)]));

    assert_eq!(unknown_own(&ahead), []);
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
    let absorbed = Taken {
        missing,
        ..Taken::default()
    };
    given.push_called(2, absorbed);

    given.at(3_000);
    given.answered(digest(2, 2, &[(2, 5)]));

    assert_eq!(given.core.not_awaited(), [origin(3)].into());
}

#[test]
fn everybody_is_told_that_our_own_origin_is_kept_back_while_it_is_doubted() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[(1, 5)]));
    given.at(5_000);
    let doubted = given.answered(digest(2, 2, &[(1, 5)]));
    assert_eq!(unknown_own(&doubted), [(2, 5)]);

    let told = answer(&given.called(digest(3, 1, &[])));

    assert_eq!(told.withheld, [origin(1)].into());
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

#[test]
fn a_fork_that_a_push_shows_is_told_of() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[]));
    let forked = vec![origin(3)];
    let absorbed = Taken {
        forked,
        ..Taken::default()
    };
    let found = given.push_called(2, absorbed);

    assert_eq!(forks(&found), [(2, 3)]);
}
