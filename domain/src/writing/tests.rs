//! What is decided about as whom, and on what, is written.

use super::*;
use crate::ids::Epoch;
use crate::names::{GroupName, MessageId, User, UserId};
use crate::post::PostCommand;

#[test]
fn a_session_goes_on_only_as_who_was_written_as_or_as_who_was_to_be() {
    let (mut writing, own) = begun();
    let head = writing.head().clone();
    assert!(writing.resume(&server(), None, head.clone()).is_err());
    let other = row(origin(8));
    assert!(
        writing
            .resume(&server(), Some(&other), head.clone())
            .is_err()
    );

    let drawn = writing.renew(own, own.epoch.0).expect("it is written as");
    assert_ne!(drawn, own, "given out again");
    writing
        .resume(&server(), Some(&row(own)), head.clone())
        .expect("the former one");
    assert_eq!(writing.origin(), own, "not stored");
    writing
        .resume(&server(), Some(&row(drawn)), head)
        .expect("the new one");
    assert_eq!(writing.origin(), drawn);
}

#[test]
fn nothing_that_was_at_hand_is_believed_after_a_failure() {
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
    let asked = writing.needs(&like);
    writing.decide(5, &like, &asked, Facts::default());
    assert_eq!(writing.needs(&like), Needs::default());

    writing.forget();

    assert_eq!(writing.needs(&like), asked);
}

#[test]
fn an_epoch_that_was_used_is_not_drawn_again() {
    let (mut writing, own) = begun();
    writing.head.vector = [(origin(8), 2)].into_iter().collect();

    assert_eq!(
        writing.renew(own, 7),
        Some(origin(9)),
        "7 wrote nothing yet"
    );
    assert_eq!(writing.renew(own, 8), Some(origin(9)));
    assert_eq!(writing.renew(origin(8), 5), None);
}

#[test]
fn own_events_that_only_a_peer_knows_are_told_of_and_not_stored() {
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
    let told = writing.committed(decided);
    assert!(
        matches!(told[..], [Verdict::Absorbed(Absorbed { unknown_own: Some(dot), .. })] if dot.seq == 4),
        "{told:?}"
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
        floor: Hlc::default(),
        highest: Hlc::default(),
        arrival: 0,
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
fn whoever_is_raised_writes_above_that() {
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
        floor: Hlc::default(),
        highest: Hlc::default(),
        arrival: 3,
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
