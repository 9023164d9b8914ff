//! The machine, step by step: a failure of each kind, and what whoever waits hears when.

mod events;
mod rig;

use super::*;
use crate::writing::{Facts, Verdict};
use rig::Rig;

#[test]
fn writes_that_wait_are_one_transaction_and_answered_in_order_after_the_commit() {
    let mut rig = Rig::begun();
    let insertion = rig.inserts(["a"]);
    rig.accept_posts(["b", "c"]);
    assert_eq!(rig.told(), "");

    rig.insertion_ends(insertion, Ok(true));
    assert_eq!(rig.told(), "file");
    rig.file_ends(true);
    assert_eq!(rig.told(), "a: written, insert 2");

    let insertion = rig.take_insertion();
    rig.insertion_ends(insertion, Ok(true));
    assert_eq!(
        rig.told(),
        "b: written, c: written",
        "the file was written just now"
    );
}

#[test]
fn a_batch_whose_commit_fails_is_decided_again_thrice_at_most() {
    let mut rig = Rig::begun();
    let mut insertion = rig.inserts(["a"]);

    for _ in 0..2 {
        rig.insertion_ends(insertion, Err(StatementFailure::Lost));
        assert_eq!(rig.told(), "connect");
        rig.session_comes();
        assert_eq!(rig.told(), "insert 1");
        insertion = rig.take_insertion();
    }
    rig.insertion_ends(insertion, Err(StatementFailure::Lost));
    assert_eq!(rig.told(), "connect");
    rig.session_comes();

    assert_eq!(rig.told(), "a: Unavailable");
}

#[test]
fn a_lost_answer_is_settled_by_the_next_session() {
    let mut rig = Rig::begun();
    let insertion = rig.inserts(["a"]);
    rig.is_stored(&insertion);

    rig.insertion_ends(insertion, Err(StatementFailure::Lost));
    rig.session_comes();

    assert_eq!(rig.told(), "connect, file");
    rig.file_ends(true);
    assert_eq!(rig.told(), "a: written");
    assert_eq!(rig.machine.head().arrival, 2);
}

#[test]
fn a_lost_answer_is_settled_also_after_the_first_wait_for_a_session() {
    let mut rig = Rig::begun();
    let insertion = rig.inserts(["a"]);
    rig.is_stored(&insertion);
    rig.insertion_ends(insertion, Err(StatementFailure::Lost));

    let mut attempts = 0;
    while rig.now_ms < 4_500 {
        assert_eq!(rig.told(), "connect");
        attempts += 1;
        rig.no_session_comes();
        rig.wait(100);
    }
    assert!(attempts > 40, "{attempts}");
    rig.session_comes();
    rig.file_ends(true);

    assert_eq!(rig.told(), "connect, file, a: written, reserve");
}

#[test]
fn who_waits_too_long_for_a_session_hears_so() {
    let mut rig = Rig::begun();
    let insertion = rig.inserts(["a"]);
    rig.insertion_ends(insertion, Err(StatementFailure::Lost));

    while !rig.told().contains("a: Unavailable") {
        assert!(rig.now_ms < 7_000);
        rig.no_session_comes();
        rig.wait(100);
    }
    assert!(rig.now_ms >= 6_000);
}

#[test]
fn one_task_that_cannot_be_stored_costs_no_other() {
    let mut rig = Rig::begun();
    let before = rig.inserts(["before"]);
    rig.accept_posts(["a", "b", "c"]);
    rig.insertion_ends(before, Ok(true));
    rig.file_ends(true);
    rig.told();
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
    let told = rig.answers();
    assert_eq!(told, "a: written, b: Unstorable, c: written");
}

#[test]
fn a_full_disk_is_said_at_once() {
    let mut rig = Rig::begun();
    let insertion = rig.inserts(["a"]);

    rig.insertion_ends(insertion, Err(StatementFailure::DiskFull));
    rig.session_comes();

    assert_eq!(rig.told(), "connect, a: DiskFull");
}

#[test]
fn what_was_known_after_all_is_read_and_decided_again() {
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
fn the_next_part_of_a_backlog_is_decided_meanwhile_and_follows_at_once() {
    let mut rig = Rig::begun();
    let events = events::of_a_peer(3);
    rig.accept_events("a", &events[..1]);
    let first = rig.take_insertion();
    rig.accept_events("b", &events[1..2]);
    rig.wake();
    assert!(rig.machine.is_pipelining());
    assert!(!rig.machine.wants_work(), "one batch is enough");

    rig.insertion_ends(first, Ok(true));

    let second = rig.take_insertion();
    assert!(second.is_pipelined);
    assert_eq!(second.rows[0].arrival, 3);
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

    assert_eq!(rig.answers(), "a: DiskFull, b: misses 1", "it is early now");
}

#[test]
fn what_a_person_writes_goes_before_a_pipelined_batch() {
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
    let insertion = rig.inserts(["a"]);
    rig.insertion_ends(insertion, Ok(true));
    rig.file_ends(false);
    assert_eq!(
        rig.told(),
        "file, file is stuck: true, a: FileStuck",
        "it was written"
    );

    rig.accept_posts(["b"]);
    assert_eq!(rig.told(), "file", "tried again");
    rig.accept_events("c", &events::of_a_peer(1));
    rig.file_ends(false);
    assert_eq!(rig.told(), "b: FileStuck, file");
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
    let insertion = rig.inserts(["a"]);
    rig.insertion_ends(insertion, Ok(true));
    assert_eq!(rig.told(), "file");

    rig.wait(4_999);
    assert_eq!(rig.told(), "");
    rig.wait(1);
    assert_eq!(rig.told(), "file is stuck: true, a: FileStuck, reserve");
    rig.reservation_ends(Ok(()));
    rig.wait(10);
    rig.accept_posts(["b"]);
    rig.wait(10);
    assert_eq!(
        rig.told(),
        "b: FileStuck",
        "no second write beside the first"
    );

    rig.file_ends(true);
    assert_eq!(rig.told(), "file is stuck: false");
    rig.accept_posts(["c"]);
    assert_eq!(rig.told(), "insert 1");
}

#[test]
fn a_new_epoch_is_in_the_database_and_the_file_before_anything_is_numbered_under_it() {
    let mut rig = Rig::begun();
    let former = rig.machine.origin();
    let before = rig.inserts(["before"]);
    rig.accept_posts(["a"]);
    rig.accept_renewal(former, "new");
    rig.insertion_ends(before, Ok(true));
    rig.file_ends(true);
    assert_eq!(rig.told(), "file, before: written, identity");

    let renewed = rig.identity_is_stored();
    assert_eq!(rig.told(), "file");
    assert_ne!(renewed, former);
    rig.file_ends(true);

    let insertion = rig.take_insertion();
    assert_eq!(insertion.rows[0].event.envelope.stamp.origin, renewed);
    rig.insertion_ends(insertion, Ok(true));
    assert_eq!(rig.answers(), format!("new: {renewed}, a: written"));
}

#[test]
fn nothing_more_is_written_to_a_database_that_is_another_one() {
    let mut rig = Rig::begun();
    let insertion = rig.inserts(["a"]);
    rig.accept_posts(["b"]);
    rig.insertion_ends(insertion, Err(StatementFailure::Lost));

    rig.other_database_comes();
    assert_eq!(rig.told(), "connect, not ours, a: Unavailable, file");
    rig.file_ends(true);
    assert_eq!(rig.told(), "b: Unavailable, end");
    rig.accept_posts(["c"]);
    assert_eq!(rig.told(), "c: Unavailable, end");
}

#[test]
fn the_end_gives_back_what_was_reserved_and_comes_after_all_that_waits() {
    let mut rig = Rig::begun();
    let insertion = rig.inserts(["a"]);
    rig.accept_posts(["b"]);
    rig.close();
    rig.insertion_ends(insertion, Ok(true));
    rig.file_ends(true);
    let insertion = rig.take_insertion();
    rig.insertion_ends(insertion, Ok(true));

    assert_eq!(rig.answers(), "a: written, b: written");
    assert!(rig.told().ends_with("reserve"));
    rig.reservation_ends(Ok(()));
    assert_eq!(rig.told(), "file");
    rig.file_ends(true);
    assert_eq!(rig.told(), "end");
}

#[test]
fn an_idle_writer_raises_the_closed_timestamp_and_finds_the_database_again() {
    let mut rig = Rig::begun();
    let before = rig.machine.head().floor;
    rig.wait(500);
    assert!(rig.machine.head().floor > before);
    rig.wait(4_500);
    assert_eq!(rig.told(), "reserve", "the present one is short by now");
    rig.reservation_ends(Err(StatementFailure::Lost));

    rig.wait(500);
    assert_eq!(rig.told(), "connect");
    rig.no_session_comes();
    assert_eq!(rig.told(), "", "only a glance");
    rig.wait(500);
    rig.session_comes();
    assert_eq!(rig.told(), "connect, reserve");
}
