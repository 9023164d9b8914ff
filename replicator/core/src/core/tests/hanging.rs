//! Pushes that come too early, and calls that hang in a link that was lost (F10, F22).

use super::*;

#[test]
fn what_a_push_lacks_is_pulled_at_once_from_who_pushed_it() {
    let mut given = Given::peers(3);
    given.answered(digest(2, 1, &[]));
    given.answered(digest(3, 1, &[]));

    let pushed = given.push_called(
        2,
        Absorbed {
            missing: vec![range(3, 1, 4)],
            ..Absorbed::default()
        },
    );

    assert_eq!(pulls(&pushed), [2]);
}

#[test]
fn a_pull_that_hangs_is_made_anew_when_the_link_works_again() {
    let mut given = Given::peers(2);
    assert_eq!(pulls(&given.answered(digest(2, 1, &[(2, 5)]))), [2]);
    given.loses_the_link();

    assert_eq!(pulls(&given.answered(digest(2, 2, &[(2, 5)]))), [2]);
}

#[test]
fn a_push_that_hangs_is_made_anew_when_the_link_works_again() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    assert_eq!(pushes(&given.holds(&[(1, 1)])), [2]);
    given.loses_the_link();

    // What it may be about to pull is pushed only when it still lacks it.
    let mut again = given.answered(digest(2, 2, &[]));
    for n in 3..5 {
        given.at(1_000);
        again.extend(given.answered(digest(2, n, &[])));
    }

    assert_eq!(pushes(&again)[..1], [2]);
}

impl Given {
    fn loses_the_link(&mut self) {
        self.at(10_000);
        self.fails(2);
    }
}
