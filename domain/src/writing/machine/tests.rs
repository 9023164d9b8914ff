//! The machine, step by step: failures of each kind, and the answers with their time.

mod events;
mod rig;

use super::*;
use crate::writing::{Facts, Verdict};
use rig::Rig;

#[test]
fn queued_writes_are_one_transaction_and_answered_in_order_after_the_commit() {
    let mut rig = Rig::begun();
    let insertion = rig.start_insertion(["a"]);
    rig.accept_posts(["b", "c"]);
    assert_eq!(rig.trace(), "");

    rig.insertion_ends(insertion, Ok(true));
    assert_eq!(rig.trace(), "file");
    rig.file_ends(true);
    assert_eq!(rig.trace(), "a: written, insert 2");

    let insertion = rig.take_insertion();
    rig.insertion_ends(insertion, Ok(true));
    assert_eq!(
        rig.trace(),
        "b: written, c: written",
        "the last write of the file is recent"
    );
}

#[test]
fn beside_another_users_flood_a_write_is_in_the_next_transaction_and_that_is_short() {
    let mut rig = Rig::begun();
    let insertion = rig.start_insertion(["a"]);
    rig.accept_posts(["b", "c", "d", "e", "f"]);
    rig.accept_posts_of("bob", ["x"]);

    rig.insertion_ends(insertion, Ok(true));
    rig.file_ends(true);
    rig.trace();
    let insertion = rig.take_insertion();
    rig.insertion_ends(insertion, Ok(true));

    assert_eq!(
        rig.trace(),
        "b: written, c: written, x: written, insert 2",
        "one turn of each user while both are active"
    );
}

#[test]
fn a_batch_whose_commit_fails_is_attempted_at_most_three_times() {
    let mut rig = Rig::begun();
    let mut insertion = rig.start_insertion(["a"]);

    for _ in 0..2 {
        rig.insertion_ends(insertion, Err(StatementFailure::Lost));
        assert_eq!(rig.trace(), "connect");
        rig.session_comes();
        assert_eq!(rig.trace(), "insert 1");
        insertion = rig.take_insertion();
    }
    rig.insertion_ends(insertion, Err(StatementFailure::Lost));
    assert_eq!(rig.trace(), "connect");
    rig.session_comes();

    assert_eq!(rig.trace(), "a: Unavailable");
}

#[test]
fn a_lost_answer_is_settled_by_the_next_session() {
    let mut rig = Rig::begun();
    let insertion = rig.start_insertion(["a"]);
    rig.is_stored(&insertion);

    rig.insertion_ends(insertion, Err(StatementFailure::Lost));
    rig.session_comes();

    assert_eq!(rig.trace(), "connect, file");
    rig.file_ends(true);
    assert_eq!(rig.trace(), "a: written");
    assert_eq!(rig.machine.head().offset, 2);
}

#[test]
fn a_lost_answer_is_settled_also_after_the_first_wait_for_a_session() {
    let mut rig = Rig::begun();
    let insertion = rig.start_insertion(["a"]);
    rig.is_stored(&insertion);
    rig.insertion_ends(insertion, Err(StatementFailure::Lost));

    let mut attempts = 0;
    while rig.now_ms < 4_500 {
        assert_eq!(rig.trace(), "connect");
        attempts += 1;
        rig.no_session_comes();
        rig.wait(100);
    }
    assert!(attempts > 40, "{attempts}");
    rig.session_comes();
    rig.file_ends(true);

    assert_eq!(rig.trace(), "connect, file, a: written, reserve");
}

#[test]
fn work_fails_after_waiting_too_long_for_a_session() {
    let mut rig = Rig::begun();
    let insertion = rig.start_insertion(["a"]);
    rig.insertion_ends(insertion, Err(StatementFailure::Lost));

    while !rig.trace().contains("a: Unavailable") {
        assert!(rig.now_ms < 7_000);
        rig.no_session_comes();
        rig.wait(100);
    }
    assert!(rig.now_ms >= 6_000);
}

#[test]
fn one_task_that_cannot_be_stored_does_not_fail_others() {
    let mut rig = Rig::begun();
    let before = rig.start_insertion(["before"]);
    rig.accept_posts(["a", "b", "c"]);
    rig.insertion_ends(before, Ok(true));
    rig.file_ends(true);
    rig.trace();
    let insertion = rig.take_insertion();
    assert_eq!(insertion.rows.len(), 3);
    rig.insertion_ends(insertion, Err(StatementFailure::Rejected));
    rig.session_comes();

    let mut alone = Vec::new();
    for outcome in [Ok(true), Err(StatementFailure::Rejected), Ok(true)] {
        let insertion = rig.take_insertion();
        alone.push(insertion.rows.len());
        rig.insertion_ends(insertion, outcome);
        if outcome.is_err() {
            rig.session_comes();
        }
    }

    assert_eq!(alone, [1, 1, 1]);
    let answers = rig.answers();
    assert_eq!(answers, "a: written, b: Unstorable, c: written");
}

#[test]
fn a_full_disk_fails_a_batch_without_retry() {
    let mut rig = Rig::begun();
    let insertion = rig.start_insertion(["a"]);

    rig.insertion_ends(insertion, Err(StatementFailure::DiskFull));
    rig.session_comes();

    assert_eq!(rig.trace(), "connect, a: DiskFull");
}

#[test]
fn a_batch_is_read_for_and_decided_again_if_a_needed_row_exists() {
    let mut rig = Rig::begun();
    rig.accept_keyed_post("a");
    let insertion = rig.take_insertion();
    assert!(insertion.unmet.is_some());

    let readings = rig.readings;

    rig.insertion_ends(insertion, Ok(false));

    assert_eq!(rig.readings, readings + 1);
    assert!(rig.take_insertion().unmet.is_none());
}

#[test]
fn the_next_batch_of_a_backlog_is_pipelined_and_follows_at_once() {
    let mut rig = Rig::begun();
    let events = events::of_a_peer(3);
    rig.accept_events("a", &events[..1]);
    let first = rig.take_insertion();
    rig.accept_events("b", &events[1..2]);
    rig.wake();
    assert!(rig.machine.is_pipelining());
    assert!(!rig.machine.wants_work(), "only one batch is pipelined");

    rig.insertion_ends(first, Ok(true));

    let second = rig.take_insertion();
    assert!(second.is_pipelined);
    assert_eq!(second.rows[0].offset, 3);
    rig.insertion_ends(second, Ok(true));
    assert_eq!(rig.answers(), "a: 1 stored, b: 1 stored");
}

#[test]
fn a_pipelined_batch_falls_with_the_one_before_it_and_is_decided_again() {
    let mut rig = Rig::begun();
    let events = events::of_a_peer(2);
    rig.accept_events("a", &events[..1]);
    let first = rig.take_insertion();
    rig.accept_events("b", &events[1..]);
    rig.wake();
    assert!(rig.machine.is_pipelining());

    rig.insertion_ends(first, Err(StatementFailure::DiskFull));
    assert!(!rig.machine.is_pipelining());
    rig.session_comes();

    assert_eq!(
        rig.answers(),
        "a: DiskFull, b: misses 1",
        "its past is missing now"
    );
}

#[test]
fn nothing_is_pipelined_before_the_last_part_of_a_split_batch() {
    let mut rig = Rig::begun();
    let events = events::of_a_peer(2);
    let both = rig.start_insertion(["a", "b"]);
    rig.insertion_ends(both, Err(StatementFailure::Rejected));
    rig.session_comes();
    let first = rig.take_insertion();
    rig.accept_events("c", &events[..1]);
    assert!(!rig.machine.is_pipelining());
    rig.insertion_ends(first, Ok(true));
    rig.file_ends(true);

    let second = rig.take_insertion();
    rig.accept_events("d", &events[1..]);
    rig.insertion_ends(second, Ok(true));

    let rest = rig.take_insertion();
    rig.insertion_ends(rest, Ok(true));
    assert_eq!(
        rig.answers(),
        "a: written, b: written, c: 1 stored, d: 1 stored"
    );
}

#[test]
fn a_clients_write_precedes_a_pipelined_batch() {
    let mut rig = Rig::begun();
    let events = events::of_a_peer(2);
    rig.accept_events("a", &events[..1]);
    let first = rig.take_insertion();
    rig.accept_events("b", &events[1..]);
    rig.wake();
    rig.accept_posts(["p"]);

    rig.insertion_ends(first, Ok(true));

    let both = rig.take_insertion();
    assert!(!both.is_pipelined);
    assert_eq!(both.rows.len(), 2);
    rig.insertion_ends(both, Ok(true));
    rig.file_ends(true);
    assert_eq!(rig.answers(), "a: 1 stored, p: written, b: 1 stored");
}

#[test]
fn while_the_file_is_stuck_no_number_is_given_and_peers_events_are_taken() {
    let mut rig = Rig::begun();
    let insertion = rig.start_insertion(["a"]);
    rig.insertion_ends(insertion, Ok(true));
    rig.file_ends(false);
    assert_eq!(
        rig.trace(),
        "file, file is stuck: true, a: FileStuck",
        "the rows are committed"
    );

    rig.accept_posts(["b"]);
    assert_eq!(rig.trace(), "file", "the write of the file is retried");
    rig.accept_events("c", &events::of_a_peer(1));
    rig.file_ends(false);
    assert_eq!(rig.trace(), "b: FileStuck, file");
    rig.file_ends(false);
    let insertion = rig.take_insertion();
    rig.insertion_ends(insertion, Ok(true));
    assert_eq!(rig.answers(), "c: 1 stored");

    rig.wait(20);
    rig.accept_posts(["d"]);
    rig.file_ends(true);
    let insertion = rig.take_insertion();
    rig.insertion_ends(insertion, Ok(true));
    assert_eq!(rig.answers(), "d: written");
}

#[test]
fn a_file_that_hangs_counts_as_stuck_and_is_written_once_at_a_time() {
    let mut rig = Rig::begun();
    let insertion = rig.start_insertion(["a"]);
    rig.insertion_ends(insertion, Ok(true));
    assert_eq!(rig.trace(), "file");

    rig.wait(4_999);
    assert_eq!(rig.trace(), "");
    rig.wait(1);
    assert_eq!(rig.trace(), "file is stuck: true, a: FileStuck, reserve");
    rig.reservation_ends(Ok(()));
    rig.wait(10);
    rig.accept_posts(["b"]);
    rig.wait(10);
    assert_eq!(
        rig.trace(),
        "b: FileStuck",
        "no second write runs beside the first"
    );

    rig.file_ends(true);
    assert_eq!(rig.trace(), "file is stuck: false");
    rig.accept_posts(["c"]);
    assert_eq!(rig.trace(), "insert 1");
}

#[test]
fn a_new_epoch_is_in_the_database_and_the_file_before_its_first_event() {
    let mut rig = Rig::begun();
    let former = rig.machine.origin();
    let before = rig.start_insertion(["before"]);
    rig.accept_posts(["a"]);
    rig.accept_renewal(former, "new");
    rig.insertion_ends(before, Ok(true));
    rig.file_ends(true);
    assert_eq!(rig.trace(), "file, before: written, identity");

    let renewed = rig.identity_is_stored();
    assert_eq!(rig.trace(), "file");
    assert_ne!(renewed, former);
    rig.file_ends(true);

    let insertion = rig.take_insertion();
    assert_eq!(insertion.rows[0].event.envelope.stamp.origin, renewed);
    rig.insertion_ends(insertion, Ok(true));
    assert_eq!(rig.answers(), format!("new: {renewed}, a: written"));
}

#[test]
fn the_machine_ends_if_the_database_is_another_one() {
    let mut rig = Rig::begun();
    let insertion = rig.start_insertion(["a"]);
    rig.accept_posts(["b"]);
    rig.insertion_ends(insertion, Err(StatementFailure::Lost));

    rig.other_database_comes();
    assert_eq!(rig.trace(), "connect, not ours, a: Unavailable, file");
    rig.file_ends(true);
    assert_eq!(rig.trace(), "b: Unavailable, end");
    rig.accept_posts(["c"]);
    assert_eq!(rig.trace(), "c: Unavailable, end");
}

#[test]
fn the_end_follows_all_queued_work_and_releases_the_reservation() {
    let mut rig = Rig::begun();
    let insertion = rig.start_insertion(["a"]);
    rig.accept_posts(["b"]);
    rig.close();
    rig.insertion_ends(insertion, Ok(true));
    rig.file_ends(true);
    let insertion = rig.take_insertion();
    rig.insertion_ends(insertion, Ok(true));

    assert_eq!(rig.answers(), "a: written, b: written");
    assert!(rig.trace().ends_with("reserve"));
    rig.reservation_ends(Ok(()));
    assert_eq!(rig.trace(), "file");
    rig.file_ends(true);
    assert_eq!(rig.trace(), "end");
}

#[test]
fn an_idle_writer_raises_the_closed_timestamp_and_reconnects() {
    let mut rig = Rig::begun();
    let before = rig.machine.head().closed_ts;
    rig.wait(500);
    assert!(rig.machine.head().closed_ts > before);
    rig.wait(4_500);
    assert_eq!(rig.trace(), "reserve", "the reservation is about to expire");
    rig.reservation_ends(Err(StatementFailure::Lost));

    rig.wait(500);
    assert_eq!(rig.trace(), "connect");
    rig.no_session_comes();
    assert_eq!(rig.trace(), "", "an idle writer does not retry at once");
    rig.wait(500);
    rig.session_comes();
    assert_eq!(rig.trace(), "connect, reserve");
}
