//! The next batch of a pull is asked for while the last one is being stored.

use super::early::stores;
use super::*;

#[test]
fn the_next_batch_is_asked_for_while_a_full_one_is_stored_and_used_without_another_call() {
    let mut given = Given::in_batches_of_two(&[(2, 6)]);

    let first = given.batch_comes(2, events(1..=2));
    assert_eq!(stores(&first), [(2, vec![1, 2])]);
    assert_eq!(after(&first).get(origin(2)), 2);
    let early = given.prefetch_ends(&first, Ok(events(3..=4)));
    assert_eq!(stores(&early), [], "one batch at a time");
    given.holds(&[(2, 2)]);
    let next = given.stored(stored(2));

    assert_eq!(stores(&next), [(2, vec![3, 4])]);
    assert_eq!(after(&next).get(origin(2)), 4, "and so on");
    assert_eq!(given.core.prefetches().used, 1);
}

#[test]
fn a_prefetched_batch_that_comes_later_is_waited_for() {
    let mut given = Given::in_batches_of_two(&[(2, 6)]);
    let first = given.batch_comes(2, events(1..=2));
    given.holds(&[(2, 2)]);

    assert_eq!(pulls(&given.stored(stored(2))), NOBODY);

    let came = given.prefetch_ends(&first, Ok(events(3..=4)));
    assert_eq!(stores(&came), [(2, vec![3, 4])]);
}

#[test]
fn only_a_full_batch_without_flaws_of_a_peer_that_shows_more_has_a_next_one() {
    let asked_next = |seqs: std::ops::RangeInclusive<u64>, flawed, shown: &[(u16, u64)]| {
        let mut given = Given::in_batches_of_two(shown);
        let Stage::Asking { call, .. } = given.pull_from(2).stage else {
            panic!("a batch is asked for");
        };
        let events = events(seqs);
        let outputs = given.step(Input::PullDone {
            peer: id(2),
            call,
            result: Ok(Decoded { events, flawed }),
        });
        !pulls(&outputs).is_empty()
    };

    assert!(asked_next(1..=2, 0, &[(2, 6)]));
    assert!(!asked_next(1..=1, 0, &[(2, 6)]));
    assert!(!asked_next(1..=2, 1, &[(2, 6)]));
    assert!(
        !asked_next(1..=2, 0, &[(1, 9), (2, 2)]),
        "ours are not pulled"
    );
}

#[test]
fn a_prefetched_batch_is_dropped_where_what_comes_before_it_could_not_be_stored() {
    let mut given = Given::in_batches_of_two(&[(2, 6)]);
    let first = given.batch_comes(2, events(1..=2));
    let prefetch = call(&first);
    given.holds(&[(2, 1)]);

    let again = given.stored(stored(1));

    assert_eq!(cancelled(&again), [prefetch]);
    assert_eq!(after(&again).get(origin(2)), 1);
    assert_eq!(given.core.prefetches().dropped, 1);
}

#[test]
fn a_prefetch_that_failed_has_failed_for_the_pull_that_waits_for_it() {
    let mut given = Given::in_batches_of_two(&[(2, 6)]);
    let first = given.batch_comes(2, events(1..=2));
    given.prefetch_ends(&first, Err(LinkError::Busy));
    given.holds(&[(2, 2)]);

    assert_eq!(pulls(&given.stored(stored(2))), NOBODY);
    assert_eq!(pulls(&given.at(250)), [2]);
}

#[test]
fn a_batch_that_waits_for_origins_that_were_not_asked_for_is_asked_for_again_with_them() {
    let mut given = Given::peers(2);
    given.core = given.core.with_batches_of(2);
    given.answered(Digest {
        withheld: [origin(3)].into(),
        ..digest(2, 1, &[(2, 6), (3, 1)])
    });
    let first = given.batch_comes(2, events(1..=2));
    assert!(after(&first).covers(dot(3, 1)));
    given.prefetch_ends(&first, Ok(vec![event(2, 3, &[(3, 1)])]));
    given.holds(&[(2, 2)]);
    given.called(digest(2, 2, &[(2, 6), (3, 1)]));
    assert_eq!(stores(&given.stored(stored(2))), [(2, vec![3])]);

    let again = given.stored(Absorbed {
        missing: vec![range(3, 1, 1)],
        ..Absorbed::default()
    });

    assert_eq!(pulls(&again), [2]);
    assert!(!after(&again).covers(dot(3, 1)));
    assert_eq!(given.core.prefetches().used_by_wider, 1);
}

#[test]
fn a_peer_that_is_not_pulled_from_when_its_digest_comes_is_not_going_to_need_the_prefetch() {
    let mut given = Given::in_batches_of_two(&[(2, 6)]);
    let first = given.batch_comes(2, events(1..=2));
    let prefetch = call(&first);
    given.store_ends(Err(StoreFailure::Unavailable));

    let outputs = given.answered(digest(2, 2, &[(2, 6)]));

    assert_eq!(cancelled(&outputs), [prefetch]);
}

#[test]
fn what_a_pull_that_was_given_up_brings_is_not_stored() {
    let mut given = Given::in_batches_of_two(&[(2, 6)]);
    let Stage::Asking { call: former, .. } = given.pull_from(2).stage else {
        panic!("a batch is asked for");
    };
    given.at(10_000);
    given.fails(2);

    let again = given.answered(digest(2, 2, &[(2, 6)]));

    assert_eq!(cancelled(&again), [former]);
    assert_eq!(pulls(&again), [2]);
    assert_eq!(stores(&given.call_ends(2, former, Ok(events(1..=2)))), []);
}

impl Given {
    /// Peer 2 has shown this, and is pulled from.
    fn in_batches_of_two(shown: &[(u16, u64)]) -> Self {
        let mut given = Self::peers(2);
        given.core = given.core.with_batches_of(2);
        assert_eq!(pulls(&given.answered(digest(2, 1, shown))), [2]);
        given
    }

    fn prefetch_ends(
        &mut self,
        outputs: &[Output],
        result: Result<Vec<RawEvent>, LinkError>,
    ) -> Vec<Output> {
        self.call_ends(2, call(outputs), result)
    }
}

fn events(seqs: std::ops::RangeInclusive<u64>) -> Vec<RawEvent> {
    seqs.map(|seq| event(2, seq, &[])).collect()
}

fn stored(count: usize) -> Absorbed {
    Absorbed {
        stored: count,
        ..Absorbed::default()
    }
}

/// The number of the one call for a batch among these.
fn call(outputs: &[Output]) -> u64 {
    let call = |output: &Output| match output {
        Output::Pull { call, .. } => Some(*call),
        _ => None,
    };
    outputs.iter().find_map(call).expect("a pull")
}

fn cancelled(outputs: &[Output]) -> Vec<u64> {
    let cancelled = |output: &Output| match output {
        Output::CancelPull { call, .. } => Some(*call),
        _ => None,
    };
    outputs.iter().filter_map(cancelled).collect()
}
