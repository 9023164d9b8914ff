//! Own events that only others know.

use super::*;

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

    let brought = given.pull_is_stored(
        2,
        Absorbed {
            stored: 1,
            unknown_own: Some(dot(1, 5)),
            ..Absorbed::default()
        },
    );

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
fn everybody_is_told_that_our_own_origin_is_kept_back_while_it_is_doubted() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[(1, 5)]));
    given.at(5_000);
    let doubted = given.answered(digest(2, 2, &[(1, 5)]));
    assert_eq!(unknown_own(&doubted), [(2, 5)]);

    let told = answer(&given.called(digest(3, 1, &[])));

    assert_eq!(told.withheld, [origin(1)].into());
}

fn unknown_own(outputs: &[Output]) -> Vec<(u16, u64)> {
    let unknown = |output: &Output| match output {
        Output::Alarm(Alarm::OwnEventsUnknown { peer, shown, .. }) => Some((peer.get(), *shown)),
        _ => None,
    };
    outputs.iter().filter_map(unknown).collect()
}

impl Given {
    fn is_pushed_own(&mut self, peer: u16, seq: u64) -> Vec<Output> {
        let absorbed = Absorbed {
            unknown_own: Some(dot(1, seq)),
            ..Absorbed::default()
        };
        self.push_called(peer, absorbed)
    }
}
