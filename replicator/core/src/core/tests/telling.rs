//! What others may know: what is settled, where an event is stored, who is online.

use super::*;

#[test]
fn a_floor_counts_once_all_that_was_held_with_it_is_here() {
    let mut given = Given::peers(3);
    let closed_ts = |n, ms, held: &[(u16, u64)]| Digest {
        closed_ts: Hlc::at_ms(ms),
        ..digest(2, n, held)
    };
    given.holds_with_floor(&[], 900);
    given.answered(Digest {
        closed_ts: Hlc::at_ms(800),
        ..digest(3, 1, &[])
    });

    given.answered(closed_ts(1, 500, &[]));
    assert_eq!(given.settled_ms(), 500);
    given.called(closed_ts(2, 700, &[(2, 1)]));
    assert_eq!(given.settled_ms(), 500, "an event is missing");
    given.holds_with_floor(&[(2, 1)], 900);
    assert_eq!(given.settled_ms(), 700);
    given.called(closed_ts(3, 950, &[(2, 1)]));
    assert_eq!(given.settled_ms(), 800, "the lowest of all");
}

#[test]
fn an_event_is_stored_on_its_origin_here_and_where_a_peer_says_so() {
    let mut given = Given::peers(4);
    given.holds(&[(2, 5)]);
    given.answered(digest(3, 1, &[(2, 4)]));
    given.answered(digest(4, 1, &[(2, 5)]));

    let stored_on = |seq| {
        given
            .core
            .knowledge()
            .stored_on(dot(2, seq), &vector(&[(2, 5)]))
    };

    assert_eq!(stored_on(5), [id(1), id(2), id(4)]);
    assert_eq!(stored_on(4), [id(1), id(2), id(3), id(4)]);
    assert!(stored_on(6).is_empty());
}

#[test]
fn users_of_a_peer_are_online_until_it_goes_down_or_begins_anew() {
    let mut given = Given::peers(2);
    let with_ann = |n| {
        let mut digest = digest(2, n, &[]);
        digest.presence = Report {
            version: 1,
            full: Some(BTreeSet::from([online("ann")])),
            ..Report::default()
        };
        digest
    };

    given.answered(with_ann(1));
    assert_eq!(given.online(), ["ann"]);
    given.at(10_000);
    assert_eq!(given.online(), Vec::<String>::new());
    given.answered(with_ann(2));
    assert_eq!(given.online(), ["ann"]);
    given.answered(Digest {
        instance: Instance(77),
        ..digest(2, 1, &[])
    });
    assert_eq!(given.online(), Vec::<String>::new());
}

#[test]
fn presence_changes_are_gathered_and_then_told_at_once() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    given.at(300);
    given.answered(told(digest(2, 2, &[]), 0));

    given.step(Input::Presence {
        came: vec![online("ann")],
        went: vec![],
    });
    given.step(Input::Presence {
        came: vec![online("bob")],
        went: vec![],
    });
    assert_eq!(given.core.next_wake(), given.now.ms + 50);
    let sent = given.at(50);

    let Some(Output::Digest { digest, .. }) = sent.first() else {
        panic!("{sent:?}");
    };
    let change = digest.presence.change.as_ref().unwrap();
    assert_eq!(
        (change.since, change.online.len(), digest.presence.version),
        (0, 2, 2)
    );
}

#[test]
fn a_large_set_is_told_part_by_part_without_a_pause_between_them() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    let crowd = (0..9_000).map(|user| online(&user.to_string())).collect();
    given.step(Input::Presence {
        came: crowd,
        went: vec![],
    });
    let (mut version, mut parts, began_ms) = (None, 0, given.now.ms);

    for n in 2.. {
        let heard = digest(2, n, &[]);
        let heard = version.map_or(heard.clone(), |version| told(heard, version));
        let answered = answer(&given.called(heard)).presence;
        if version == Some(answered.version) {
            break;
        }
        version = Some(answered.version);
        parts += 1;
        assert!(given.core.next_wake() <= given.now.ms + 250);
    }

    assert_eq!(version, Some(9_000));
    assert!((2..9).contains(&parts), "{parts}");
    assert_eq!(began_ms, given.now.ms);
}

#[test]
fn whoever_watches_is_told_of_whatever_may_have_changed() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    let mut told = given.core.revision();
    let mut is_told = |given: &Given| {
        let former = std::mem::replace(&mut told, given.core.revision());
        told > former
    };

    given.called(digest(2, 2, &[(2, 1)]));
    assert!(is_told(&given), "what it holds");
    given.pushed(2, 3, &[(1, 1)], &[(1, 1)]);
    assert!(is_told(&given), "what it took");
    given.fails(2);
    assert!(is_told(&given), "it does not answer");
    given.at(60_000);
    assert!(is_told(&given), "it is down");
}

#[test]
fn what_is_held_and_the_floor_never_go_back() {
    let mut given = Given::peers(2);
    given.step(Input::Committed(head(&[(1, 5)], 7, 5)));

    given.step(Input::Committed(head(&[(1, 4)], 7, 4)));
    given.step(Input::Committed(head(&[(1, 6)], 6, 6)));

    let question = given.core.question();
    assert_eq!(
        (question.held(), question.closed_ts),
        (vector(&[(1, 5)]), Hlc::at_ms(7))
    );
}

#[test]
fn nothing_is_learned_from_an_answer_of_another_cluster_or_without_a_common_version() {
    let mut given = Given::peers(2);
    let foreign = Digest {
        cluster: "d".into(),
        ..digest(2, 1, &[(2, 5)])
    };
    assert_eq!(pulls(&given.answered(foreign)), NOBODY);
    let later = Digest {
        protocol: [PROTOCOL[1] + 1; 2],
        ..digest(2, 1, &[(2, 5)])
    };
    assert_eq!(pulls(&given.answered(later)), NOBODY);
}

#[test]
fn the_peer_itself_may_push_and_pull() {
    let mut given = Given::peers(2);
    given.answered(digest(2, 1, &[]));
    let caller = crate::wire::Caller {
        cluster: "c".into(),
        replica: id(2),
        instance: instance(2),
    };

    assert!(given.core.admit_pull(&caller, vector(&[]), false).is_ok());
    assert!(given.core.admit_push(&caller).is_ok());
}

#[test]
fn a_late_answer_of_a_former_process_teaches_nothing() {
    let mut given = Given::peers(2);
    let successor = |n| Digest {
        instance: Instance(77),
        ..digest(2, n, &[(2, 1)])
    };
    given.called(digest(2, 1, &[(2, 3)]));
    given.fails(2);
    given.called(successor(1));
    given.fails(2);
    given.at(1_500);
    given.at(10);
    given.called(successor(2));
    assert_eq!(given.known(2), vector(&[(2, 1)]));

    given.answered(digest(2, 5, &[(2, 3)]));

    assert_eq!(given.known(2), vector(&[(2, 1)]));
}
