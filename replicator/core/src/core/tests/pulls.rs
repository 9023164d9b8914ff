//! What is pulled from whom, and when.

use super::*;

#[test]
fn what_a_peer_shows_is_pulled_at_once_when_it_was_away_and_else_after_a_grace() {
    let mut given = Given::peers(2);

    assert_eq!(pulls(&given.answered(digest(2, 1, &[(2, 5)]))), [2]);
    given.holds(&[(2, 5)]);
    given.pulled(2, 5);
    assert_eq!(pulls(&given.called(digest(2, 2, &[(2, 6)]))), NOBODY);
    assert_eq!(pulls(&given.at(240)), NOBODY);
    assert_eq!(pulls(&given.at(260)), [2]);
}

#[test]
fn a_pull_is_not_made_when_the_push_came_first() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));

    given.called(digest(2, 2, &[(2, 1)]));
    given.holds(&[(2, 1)]);

    assert_eq!(pulls(&given.at(500)), NOBODY);
}

#[test]
fn a_great_difference_is_pulled_at_once() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));

    assert_eq!(pulls(&given.called(digest(2, 2, &[(2, 5_000)]))), [2]);
}

#[test]
fn two_pulls_overlap_only_for_different_origins() {
    let mut given = Given::peers(4);

    assert_eq!(pulls(&given.answered(digest(2, 1, &[(2, 5), (3, 5)]))), [2]);
    assert_eq!(
        pulls(&given.answered(digest(3, 1, &[(2, 5), (3, 5)]))),
        NOBODY
    );
    let third = given.answered(digest(4, 1, &[(2, 5), (4, 5)]));

    assert_eq!(pulls(&third), [4]);
    assert!(
        after(&third).covers(dot(2, 5)),
        "2 is the first puller's part"
    );
    assert!(!after(&third).covers(dot(4, 5)));
}

#[test]
fn a_second_pull_asks_for_nothing_that_the_first_may_bring_without_having_shown_it() {
    let mut given = Given::peers(4);
    given.answered(digest(4, 1, &[]));
    assert_eq!(pulls(&given.answered(digest(2, 1, &[(2, 5)]))), [2]);
    // The others may hold it by now, 2 as well.
    assert_eq!(pulls(&given.called(digest(4, 2, &[(4, 7)]))), NOBODY);

    let second = given.answered(digest(3, 1, &[(3, 5)]));

    assert_eq!(pulls(&second), [3]);
    assert!(!after(&second).covers(dot(3, 5)));
    assert!(after(&second).covers(dot(4, 7)), "3 has not shown it");
}

#[test]
fn a_backlog_is_pulled_to_its_end_from_whom_it_was_begun() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[(2, 5_000)]));
    given.answered(digest(3, 1, &[(2, 9_000)]));

    given.holds(&[(2, 1_000)]);
    assert_eq!(pulls(&given.pulled(2, 1_000)), [2]);
    assert_eq!(pulls(&given.holds(&[(2, 5_000)])), [3], "2 has no more");
    given.pulled(2, 4_000);
    given.answered(digest(2, 2, &[(2, 10_000)]));
    given.holds(&[(2, 6_000)]);
    assert_eq!(pulls(&given.pulled(3, 1_000)), [3]);
    given.holds(&[(2, 7_000)]);
    given.now.ms += 3_000;
    let prefetched_too = [3, 2];
    assert_eq!(pulls(&given.pulled(3, 1_000)), prefetched_too, "3 is slow");
}

#[test]
fn a_backlog_goes_on_beside_a_second_pull_with_all_that_this_one_was_not_asked_for() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[(2, 5_000)]));
    let second = given.answered(digest(3, 1, &[(2, 5_000), (3, 5)]));
    assert_eq!(pulls(&second), [3]);

    given.holds(&[(2, 1_000)]);
    let goes_on = given.pulled(2, 1_000);

    assert_eq!(pulls(&goes_on), [2]);
    let asked = &given.pull_from(2).after;
    assert!(!asked.covers(dot(2, 1_001)));
    assert!(asked.covers(dot(3, 1)), "3 brings it");
}

#[test]
fn a_pull_that_brings_nothing_is_repeated_ever_more_rarely() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[(2, 5)]));

    given.pulled(2, 0);
    assert_eq!(pulls(&given.at(200)), NOBODY);
    assert_eq!(pulls(&given.at(250)), [2]);
    given.pulled(2, 0);
    assert_eq!(pulls(&given.at(400)), NOBODY);
    assert_eq!(pulls(&given.at(100)), [2]);
}

#[test]
fn an_origin_that_a_pull_got_stuck_on_is_left_out_for_a_while_and_then_tried_again() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[(2, 5_000), (3, 5)]));

    given.stuck(2, &[range(2, 1, 999)]);
    let others = after(&given.at(250));
    assert!(others.covers(dot(2, 5_000)), "2 waits");
    assert!(!others.covers(dot(3, 1)), "3 does not");
    given.holds(&[(3, 5)]);
    given.pulled(2, 5);
    assert_eq!(
        pulls(&given.answered(digest(2, 2, &[(2, 5_000), (3, 5)]))),
        NOBODY
    );

    given.at(1_000);
    let again = after(&given.answered(digest(2, 3, &[(2, 5_000), (3, 5)])));
    assert!(!again.covers(dot(2, 1)), "2 again");
}

#[test]
fn what_waits_for_an_origin_that_is_left_out_is_tried_again_together_with_it() {
    let mut given = Given::peers(2);
    let theirs = [(2, 50), (3, 50)];
    given.answered(digest(2, 1, &theirs));
    given.stuck(2, &[range(2, 1, 50)]);
    let without = after(&given.at(400));
    assert!(without.covers(dot(2, 50)) && !without.covers(dot(3, 1)));

    given.stuck(2, &[range(2, 1, 9), range(3, 1, 50)]);

    given.at(600);
    given.answered(digest(2, 2, &theirs));
    let together = after(&given.at(250));
    assert!(!together.covers(dot(2, 1)), "2 again");
    assert!(!together.covers(dot(3, 1)), "3 with it");
}

#[test]
fn what_another_pull_is_to_bring_is_not_what_a_pull_got_stuck_on() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[(2, 5)]));
    given.answered(digest(3, 1, &[(2, 5), (3, 5)]));

    given.stuck(3, &[range(2, 1, 5)]);
    given.holds(&[(2, 3)]);
    let goes_on = given.pulled(2, 3);

    assert!(!after(&goes_on).covers(dot(2, 4)));
}

#[test]
fn an_origin_that_goes_on_from_elsewhere_is_left_out_no_more() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[(2, 5_000)]));
    given.stuck(2, &[range(2, 1, 999)]);
    given.holds(&[(2, 999)]);
    given.answered(digest(2, 2, &[(2, 5_000)]));

    assert!(!after(&given.at(250)).covers(dot(2, 1_000)));
}

#[test]
fn what_a_push_named_is_not_asked_of_a_peer_that_does_not_show_it() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    let missing = vec![range(3, 1, 4)];
    let absorbed = Absorbed {
        missing,
        ..Absorbed::default()
    };
    given.push_called(2, absorbed);
    given.pulled(2, 0);

    given.called(digest(2, 2, &[]));

    assert_eq!(pulls(&given.at(1_000)), NOBODY);
}
