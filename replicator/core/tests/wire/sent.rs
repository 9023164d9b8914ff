//! The bytes that are sent, as they were when they were first sent.

use std::path::Path;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{Envelope, RawEvent};
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::names::UserId;
use causeway_domain::stamp::Stamp;
use causeway_replicator_core::auth::{self, Head, PeerKeys, Process, Session};
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::presence::{Change, Held, Online, Report};
use causeway_replicator_core::wire::{
    Caller, DIGEST_PATH, Digest, EVENTS_PATH, PushAnswer, Refusal, events, query,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[test]
fn a_digest_keeps_its_form() {
    let least = digest();
    let most = Digest {
        presence: Report {
            version: 4,
            held: Some(Held {
                instance: Instance(2),
                version: 3,
            }),
            change: Some(Change {
                since: 2,
                online: [online("ann")].into(),
                offline: [online("bob")].into(),
            }),
            full: Some([online("ann")].into()),
        },
        pulling: true,
        forked: [origin(3)].into(),
        ..digest()
    };

    let beside_a_fork = Digest {
        withheld: [origin(3)].into(),
        ..digest()
    };
    let of_a_fork_elsewhere = Digest {
        rumours: [(origin(3), 15)].into(),
        ..digest()
    };

    let all = [
        ("digest_least", least),
        ("digest_most", most),
        ("digest_beside_a_fork", beside_a_fork),
        ("digest_of_a_fork_elsewhere", of_a_fork_elsewhere),
    ];
    for (name, digest) in all {
        let sent = serde_json::to_string(&digest).unwrap();
        is_frozen(name, &sent);
        assert_eq!(Digest::parse(frozen(name).as_bytes()).unwrap(), digest);
    }
}

#[test]
fn events_keep_the_form_in_which_they_are_pushed_and_pulled() {
    let batch = [event("plain"), event("\"\\\n\u{1f30a}")];

    let sent = String::from_utf8(events::encode(&batch)).unwrap();

    is_frozen("events", &sent);
    let read = events::decode(frozen("events").as_bytes());
    assert_eq!((read.events.len(), read.flawed), (2, 0));
    assert_eq!(events::encode(&read.events), sent.as_bytes());
}

#[test]
fn the_answer_to_a_push_keeps_its_form() {
    keeps_its_form(
        "push_answer",
        &PushAnswer {
            instance: Instance(255),
            n: 9,
            vector: [(origin(1), 7), (origin(2), 5)].into_iter().collect(),
        },
    );
}

#[test]
fn refusals_keep_their_form() {
    keeps_its_form("refused_unauthenticated", &Refusal::Unauthenticated);
    let cluster = "other".to_owned();
    keeps_its_form("refused_other_cluster", &Refusal::OtherCluster { cluster });
    let protocol = [1, 2];
    keeps_its_form("refused_protocol", &Refusal::NoCommonProtocol { protocol });
    let replica = id(2);
    keeps_its_form("refused_same_number", &Refusal::SameNumber { replica });
    let unknown = Refusal::UnknownReplica { replica };
    keeps_its_form("refused_unknown_replica", &unknown);
    keeps_its_form("refused_clone", &Refusal::Clone { replica });
    let wrong = Refusal::WrongCertificate {
        claimed: replica,
        certificate: Some(id(3)),
    };
    keeps_its_form("refused_wrong_certificate", &wrong);
    keeps_its_form("refused_unknown_session", &Refusal::UnknownSession);
    keeps_its_form("refused_repeated", &Refusal::Repeated);
}

#[test]
fn the_places_and_queries_of_calls_keep_their_form() {
    let after = [(origin(1), 7), (origin(2), 5)].into_iter().collect();
    let pull = query::pull_target(&caller(), &after, 1000);

    is_frozen("pull_target", &pull);
    is_frozen("push_target", &query::push_target(&caller()));
    is_frozen("paths", &format!("{DIGEST_PATH}\n{EVENTS_PATH}"));
    let (_, query) = pull.split_once('?').unwrap();
    assert_eq!(query::parse_caller(query), Some(caller()));
    assert_eq!(query::parse_pull(query), Some((after, 1000)));
}

#[test]
fn signatures_keep_their_form() {
    let keys = PeerKeys::new(b"a key that all versions have in common", None);

    let first = keys.sign("POST", "/peer/v1/digest", head(None, 1));
    let call = keys.sign("POST", "/peer/v1/digest", head(Some(session()), 2));
    let answer = call.sign_answer(200, session(), b"{}");

    let header = auth::HEADER;
    let headers = [first.header(), call.header(), &answer];
    is_frozen(
        "signatures",
        &headers.map(|it| format!("{header}: {it}")).join("\n"),
    );
    let from_file = frozen("signatures");
    let prefix = format!("{header}: ");
    let mut headers = from_file.lines().filter_map(|l| l.strip_prefix(&*prefix));
    for session in [None, Some(session())] {
        let seen = keys.verify(headers.next(), "POST", "/peer/v1/digest");
        assert_eq!(seen.ok().unwrap().head.session, session);
    }
    let offer = call.verify_answer(headers.next(), 200, b"{}");
    assert_eq!(offer, Some(session()));
}

fn head(session: Option<Session>, count: u64) -> Head {
    Head {
        from: Process {
            replica: id(2),
            instance: Instance(255),
        },
        to: id(1),
        session,
        count,
        body_hash: auth::hash(b"{}"),
    }
}

fn session() -> Session {
    Session {
        process: Process {
            replica: id(1),
            instance: Instance(7),
        },
        opened_ms: 1_234,
    }
}

fn keeps_its_form<T>(name: &str, body: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    is_frozen(name, &serde_json::to_string(body).unwrap());
    assert_eq!(serde_json::from_str::<T>(&frozen(name)).unwrap(), *body);
}

fn is_frozen(name: &str, sent: &str) {
    assert_eq!(sent.trim_end(), frozen(name), "{name}");
}

fn frozen(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/golden");
    let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    text.trim_end().to_owned()
}

fn digest() -> Digest {
    Digest {
        replica: id(2),
        epoch: origin(2).epoch,
        instance: Instance(255),
        n: 3,
        cluster: "demo".into(),
        protocol: [1, 1],
        vector: [
            (origin(1), (7, Hash([0xab; 32]))),
            (origin(2), (5, Hash([0xcd; 32]))),
        ]
        .into(),
        closed_ts: Hlc::at_ms(1_700_000_000_000),
        wall: 1_700_000_000_001,
        presence: Report::default(),
        lag_ms: 0,
        pulling: false,
        forked: [].into(),
        withheld: [].into(),
        rumours: [].into(),
    }
}

fn event(text: &str) -> RawEvent {
    let content = serde_json::json!({ "text": text });
    let envelope = Envelope {
        stamp: Stamp {
            origin: origin(2),
            seq: 3,
            hlc: Hlc::at_ms(1_700_000_000_000),
            past: [(origin(1), 7), (origin(2), 2)].into_iter().collect(),
        },
        level: 1,
        aggregate: "post".into(),
        id: "m1".into(),
        group: Some("lobby".into()),
        kind: "MessagePosted".into(),
        at: 1_700_000_000_001,
        event: serde_json::value::to_raw_value(&content).unwrap().into(),
    };
    RawEvent::create(envelope, Hash::START)
}

fn online(name: &str) -> Online {
    Online {
        group: "lobby".into(),
        id: UserId(format!("id of {name}")),
        name: name.into(),
    }
}

fn caller() -> Caller {
    Caller {
        cluster: "démo & co".into(),
        replica: id(2),
        instance: Instance(255),
    }
}

fn origin(replica: u16) -> Origin {
    Origin {
        replica: id(replica),
        epoch: Epoch(0x9f3c_07aa),
    }
}

fn id(number: u16) -> ReplicaId {
    ReplicaId::new(number).unwrap()
}
