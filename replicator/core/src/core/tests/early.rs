//! Pushes whose events come before their past, and events that the log does not take.

use super::*;

#[test]
fn a_push_waits_for_the_past_of_its_events_and_is_stored_when_it_comes() {
    let mut given = Given::peers(3);
    let pushed = given.pushes(2, vec![event(2, 1, &[(3, 4)])]);
    assert_eq!(stores(&pushed), [(2, vec![1])]);

    assert_eq!(answers(&given.stored(lacking(range(3, 1, 4)))), []);
    assert_eq!(stores(&given.holds(&[(3, 3)])), []);
    assert_eq!(stores(&given.holds(&[(3, 4)])), [(2, vec![1])]);
    given.holds(&[(2, 1), (3, 4)]);
    let outputs = given.stored(Absorbed {
        stored: 1,
        ..Absorbed::default()
    });

    assert_eq!(answers(&outputs), [Ok(vector(&[(2, 1), (3, 4)]))]);
}

#[test]
fn a_push_whose_past_does_not_come_is_answered_in_time_and_what_it_lacks_is_pulled() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    given.pushes(2, vec![event(2, 2, &[])]);
    given.at(100);

    assert_eq!(answers(&given.stored(lacking(range(2, 1, 1)))), []);
    assert_eq!(given.core.waiting_pushes(), 1);
    assert_eq!(given.core.next_wake(), given.now.ms + 150);
    assert_eq!(answers(&given.at(149)), []);
    let outputs = given.at(1);

    assert_eq!(answers(&outputs), [Ok(vector(&[]))]);
    assert_eq!(pulls(&outputs), [2]);
}

#[test]
fn a_fork_that_the_first_attempt_found_is_told_of_though_the_second_does_not_see_it() {
    let mut given = Given::peers(3);
    given.pushes(2, vec![event(2, 2, &[])]);
    given.stored(Absorbed {
        forked: vec![origin(3)],
        ..lacking(range(2, 1, 1))
    });

    given.holds(&[(2, 1)]);

    assert_eq!(forks(&given.stored(Absorbed::default())), [(2, 3)]);
}

#[test]
fn a_push_that_cannot_be_stored_is_answered_so() {
    let mut given = Given::peers(2);
    given.pushes(2, vec![event(2, 1, &[])]);

    let outputs = given.store_ends(Err(StoreFailure::Unavailable));

    assert_eq!(answers(&outputs), [Err(StoreFailure::Unavailable)]);
}

#[test]
fn an_event_that_the_log_refuses_is_left_out_and_the_others_are_stored() {
    let mut given = Given::peers(2);
    given.pushes(2, (1..=3).map(|seq| event(2, seq, &[])).collect());

    let first = given.store_ends(Err(StoreFailure::Unstorable));
    let left_out = given.store_ends(Err(StoreFailure::Unstorable));
    let done = given.stored(Absorbed::default());

    assert_eq!(stores(&first), [(2, vec![1])]);
    assert_eq!(stores(&left_out), [(2, vec![2, 3])]);
    let is_first =
        |output: &Output| matches!(output, Output::LeftOut { dot: it, .. } if *it == dot(2, 1));
    assert!(left_out.iter().any(is_first));
    assert_eq!(answers(&done).len(), 1);
}

fn lacking(missing: Range) -> Absorbed {
    Absorbed {
        missing: vec![missing],
        ..Absorbed::default()
    }
}

fn answers(outputs: &[Output]) -> Vec<Result<VersionVector, StoreFailure>> {
    let answer = |output: &Output| match output {
        Output::PushAnswer { answer, .. } => Some(answer.clone().map(|it| it.vector)),
        _ => None,
    };
    outputs.iter().filter_map(answer).collect()
}

/// Who gave what is to be stored, and its numbers.
pub(super) fn stores(outputs: &[Output]) -> Vec<(u16, Vec<u64>)> {
    let store = |output: &Output| match output {
        Output::Store { from, events, .. } => {
            let seqs = events.iter().map(|event| event.envelope.stamp.seq);
            Some((from.get(), seqs.collect()))
        }
        _ => None,
    };
    outputs.iter().filter_map(store).collect()
}
