//! Tests of the origin that a writer writes as, and of the state on which it decides.

use super::*;
use crate::ids::Epoch;
use crate::names::{GroupName, MessageId, User, UserId};
use crate::post::PostCommand;

#[test]
fn a_session_resumes_only_under_the_current_or_the_renewed_origin() {
    let (mut writing, own) = begun();
    let head = writing.head().clone();
    assert!(writing.resume(&server(), None, head.clone()).is_err());
    let other = row(origin(8));
    assert!(
        writing
            .resume(&server(), Some(&other), head.clone())
            .is_err()
    );

    let drawn = writing
        .renew(own, own.epoch.0)
        .expect("it is the current origin");
    assert_ne!(drawn, own, "the same epoch was drawn again");
    writing
        .resume(&server(), Some(&row(own)), head.clone())
        .expect("the current origin");
    assert_eq!(writing.origin(), own, "the new epoch was not stored");
    writing
        .resume(&server(), Some(&row(drawn)), head)
        .expect("the new origin");
    assert_eq!(writing.origin(), drawn);
}

#[test]
fn a_failure_clears_the_cache() {
    let (mut writing, _) = begun();
    let like = [Task::Submit(Box::new(Command {
        group: GroupName::parse("lobby").unwrap(),
        action: Action::Post(
            MessageId("m".into()),
            PostCommand::Like {
                user: User {
                    id: UserId("anna".into()),
                    name: "anna".into(),
                },
            },
        ),
        above: None,
    }))];
    let needs = writing.needs(&like);
    writing.decide(5, &like, &needs, Facts::default());
    assert_eq!(writing.needs(&like), Needs::default());

    writing.forget();

    assert_eq!(writing.needs(&like), needs);
}

#[test]
fn a_used_epoch_is_not_drawn_again() {
    let (mut writing, own) = begun();
    writing.head.vector = [(origin(8), 2)].into_iter().collect();

    assert_eq!(
        writing.renew(own, 7),
        Some(origin(9)),
        "the current epoch counts as used"
    );
    assert_eq!(writing.renew(own, 8), Some(origin(9)));
    assert_eq!(writing.renew(origin(8), 5), None);
}

#[test]
fn own_events_that_only_a_peer_holds_are_reported_and_not_stored() {
    let (mut writing, own) = begun();
    let stamp = crate::stamp::Stamp {
        origin: own,
        seq: 4,
        hlc: Hlc::at_ms(5),
        past: writing.head().vector.clone(),
    };
    let envelope = crate::envelope::Envelope {
        stamp,
        level: 1,
        aggregate: "post".into(),
        id: "x".into(),
        group: None,
        kind: "Posted".into(),
        at: 0,
        event: serde_json::value::to_raw_value(&()).unwrap().into(),
    };
    let event = crate::envelope::RawEvent::create(envelope, crate::chain::Hash::START);
    let task = [Task::Absorb {
        events: vec![event],
        forked: std::collections::BTreeSet::new(),
    }];

    let decided = writing.decide(5, &task, &Needs::default(), Facts::default());

    assert!(decided.rows().is_empty());
    let verdicts = writing.committed(decided);
    assert!(
        matches!(verdicts[..], [Verdict::Absorbed(Absorbed { unknown_own: Some(dot), .. })] if dot.seq == 4),
        "{verdicts:?}"
    );
}

#[test]
fn an_epoch_that_only_the_file_names_is_not_drawn_again() {
    let file = Record {
        origin: origin(9),
        seq_seen: 3,
        hlc: Hlc::default(),
        system_identifier: "1".into(),
        timeline: "1".into(),
    };
    let head = Head {
        origin: origin(9),
        vector: [].into_iter().collect(),
        hashes: std::collections::BTreeMap::new(),
        closed_ts: Hlc::default(),
        highest: Hlc::default(),
        offset: 0,
    };
    let found = Found {
        row: None,
        file: Some(file),
        server: server(),
        head,
    };

    let (writing, _) = Writing::begin(origin(9).replica, found, 5, 9);

    assert_eq!(writing.origin(), origin(10));
}

#[test]
fn raise_moves_the_clock_forward() {
    let (mut writing, _) = begun();
    let above = Hlc::at_ms(1_000_000);

    writing.decide(
        5,
        &[Task::Raise(above)],
        &Needs::default(),
        Facts::default(),
    );

    assert!(writing.clock.last() >= above);
}

fn begun() -> (Writing, Origin) {
    let own = origin(7);
    let head = Head {
        origin: own,
        vector: [(own, 3)].into_iter().collect(),
        hashes: std::collections::BTreeMap::new(),
        closed_ts: Hlc::default(),
        highest: Hlc::default(),
        offset: 3,
    };
    let file = Record {
        origin: own,
        seq_seen: 3,
        hlc: Hlc::default(),
        system_identifier: "1".into(),
        timeline: "1".into(),
    };
    let found = Found {
        row: Some(row(own)),
        file: Some(file),
        server: server(),
        head,
    };
    let (writing, beginning) = Writing::begin(own.replica, found, 5, 9);
    assert_eq!((beginning, writing.origin()), (Beginning::Continued, own));
    (writing, own)
}

fn row(origin: Origin) -> Row {
    Row {
        origin,
        reserved: Hlc::default(),
        system_identifier: "1".into(),
        timeline: "1".into(),
    }
}

fn server() -> Server {
    Server {
        system_identifier: "1".into(),
        timeline: "1".into(),
    }
}

fn origin(epoch: u32) -> Origin {
    Origin {
        replica: ReplicaId::new(1).unwrap(),
        epoch: Epoch(epoch),
    }
}
