//! What stands as an alarm, and where peers' clocks let the own one lead.

use super::*;

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_peer_whose_clock_is_off_is_told_of_once_and_stands_until_it_is_right() {
    let mut given = Given::peers(2);
    given.now.wall_ms = 10_000;

    let mut told = 0;
    for n in 1..5 {
        told += clock_alarms(&given.answered(showing(2, n, 10_700)));
    }
    given.at(1);
    assert_eq!((told, given.kinds()), (1, vec!["clock"]));

    for n in 5..8 {
        told += clock_alarms(&given.answered(showing(2, n, 10_100)));
    }
    given.at(1);
    assert_eq!((told, given.kinds()), (1, vec![]));
}

#[test]
fn a_round_trip_is_taken_off_the_offset_of_a_clock() {
    let mut given = Given::peers(2);
    given.now.wall_ms = 10_000;

    given.now.ms += 800;
    given.now.wall_ms += 800;
    given.answered(showing(2, 1, 10_400));

    assert_eq!(given.core.knowledge().peers[&id(2)].clock_ms, Some(0));
}

#[test]
fn events_are_let_lead_the_median_of_the_peers_by_an_hour_whatever_the_wall_does() {
    let mut given = Given::peers(4);
    assert_eq!(given.core.ceiling_ms(), None, "nobody was heard of");

    for (peer, wall_ms) in [(2, 1_000), (3, 2_000), (4, i64::MAX)] {
        given.answered(showing(peer, 1, wall_ms));
    }
    let ceiling = given.core.ceiling_ms();
    given.now.wall_ms = i64::MAX;
    given.at(0);

    assert_eq!(given.core.ceiling_ms(), ceiling);
    assert_eq!(
        ceiling,
        Some(2_000 - 1 + HOUR_MS),
        "less the clock that stood at 1"
    );
}

#[test]
fn peers_that_are_down_bound_the_clock_only_where_nobody_else_is_there() {
    let mut given = Given::peers(3);
    given.answered(showing(2, 1, 1_000));
    given.at(10_000);
    given.called(showing(3, 1, 500_000));
    assert_eq!(given.core.ceiling_ms(), Some(500_000 - 10_001 + HOUR_MS));

    given.at(10_000);

    assert_eq!(given.core.ceiling_ms(), Some(500_000 - 10_001 + HOUR_MS));
}

#[test]
fn a_refused_caller_stands_as_an_alarm_until_it_stays_away() {
    let mut given = Given::peers(2);

    given.called(digest(9, 1, &[]));
    given.at(1);
    assert_eq!(given.kinds(), ["refused"]);
    given.at(31_000);

    assert_eq!(given.kinds(), NOTHING);
}

#[test]
fn a_fork_stands_as_an_alarm_until_both_sides_show_the_same_chain() {
    let mut given = Given::peers(2);
    given.holds(&[(3, 1)]);
    let mut forked = digest(2, 1, &[(3, 1)]);
    forked.vector.insert(origin(3), (1, chain(7, 7)));

    given.answered(forked);
    given.at(1);
    assert_eq!(given.kinds(), ["fork"]);
    given.answered(digest(2, 2, &[(3, 1)]));
    given.at(1);

    assert_eq!(given.kinds(), NOTHING);
}

#[test]
fn own_events_that_nobody_takes_for_a_minute_are_told_of() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    given.holds(&[(1, 3)]);

    let told = given.at(60_000);
    given.at(1_000);
    assert_eq!(
        told.iter()
            .filter(|it| matches!(it, Output::Alarm(_)))
            .count(),
        1
    );
    assert_eq!(given.kinds(), ["unconfirmed"]);
    given.answered(digest(2, 2, &[(1, 3)]));
    given.at(1_000);

    assert_eq!(given.kinds(), NOTHING);
}

#[test]
fn what_is_written_later_makes_what_nobody_takes_no_younger() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    given.holds(&[(1, 3)]);
    given.at(30_000);
    given.holds(&[(1, 4)]);

    given.at(31_000);
    given.at(1_000);

    assert_eq!(given.kinds(), ["unconfirmed"]);
}

const NOTHING: [&str; 0] = [];

impl Given {
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let knowledge = self.core.knowledge();
        knowledge.alarms.iter().map(Alarm::kind).collect()
    }
}

fn showing(peer: u16, n: u64, wall_ms: i64) -> Digest {
    Digest {
        wall: wall_ms,
        ..digest(peer, n, &[])
    }
}

fn clock_alarms(outputs: &[Output]) -> usize {
    let is_one = |it: &&Output| matches!(it, Output::Alarm(Alarm::ClockOff { .. }));
    outputs.iter().filter(is_one).count()
}

#[test]
fn a_clone_is_told_of_once_while_the_peer_itself_goes_on_calling() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    let clone = |n| Digest {
        instance: Instance(66),
        ..digest(2, n, &[])
    };
    given.at(1_000);
    given.called(clone(1));
    given.at(1_000);
    given.answered(digest(2, 2, &[]));
    given.called(clone(2));

    let peer = given.called(digest(2, 3, &[]));
    let again = given.called(clone(3));

    assert!(matches!(peer.last(), Some(Output::Answer(Ok(_)))));
    assert!(matches!(&again[..], [Output::Answer(Err(_))]), "{again:?}");
    let alarm = |alarm: &Alarm| matches!(alarm, Alarm::Refused { .. });
    given.at(1_000);
    assert!(given.core.knowledge().alarms.iter().any(alarm));
    given.at(1_000 + 31_000);
    assert!(
        !given.core.knowledge().alarms.iter().any(alarm),
        "it is gone"
    );
}

#[test]
fn a_refusal_stands_until_the_peer_answers_and_is_told_again_then() {
    let mut given = Given::peers(2);
    let refuse = |given: &mut Given| {
        let replica = id(1);
        given.step(Input::DigestDone {
            peer: id(2),
            result: Err(LinkError::Refused(crate::wire::Refusal::SameNumber {
                replica,
            })),
        })
    };
    let told = |outputs: &[Output]| {
        let is_told = |output: &&Output| matches!(output, Output::Alarm(Alarm::RefusedBy { .. }));
        outputs.iter().filter(is_told).count()
    };
    assert_eq!(told(&refuse(&mut given)), 1);
    assert_eq!(told(&refuse(&mut given)), 0);
    given.at(1);
    assert_eq!(given.core.knowledge().alarms.len(), 1);

    given.answered(digest(2, 1, &[]));
    given.at(1);

    assert_eq!(given.core.knowledge().alarms.len(), 0);
    assert_eq!(told(&refuse(&mut given)), 1);
}
