//! Messages of peers, which have the cluster key but may have any version, or be faulty.

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{Envelope, MAX_EVENT_BYTES, RawEvent};
use causeway_domain::ids::ReplicaId;
use causeway_domain::timeline::Fact;
use causeway_replicator_core::auth::{Head, PeerKeys, Process, Session, hash};
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::wire::events::{BATCH_EVENTS, decode, encode};
use causeway_replicator_core::wire::{Caller, Digest, EVENTS_PATH, PushAnswer, Refusal, query};

use crate::pieces::Pieces;

/// The bodies of heartbeats, in both directions.
pub fn digest(bytes: &[u8]) {
    let Ok(digest) = Digest::parse(bytes) else {
        return;
    };

    assert_eq!(digest.held().len(), {
        digest.vector.values().filter(|at| at.0 > 0).count()
    });
    assert!(digest.vector.values().all(|at| at.0 <= 1 << 53));
    let again = serde_json::to_vec(&digest).expect("a digest is JSON");
    assert_eq!(
        Digest::parse(&again).expect("its own encoding can be parsed"),
        digest
    );
}

/// The lines of pushes and pulls, and their folding into the read model.
pub fn events(bytes: &[u8]) {
    let decoded = decode(bytes);
    let lines = bytes.split(|&byte| byte == b'\n').filter(|l| !l.is_empty());
    assert_eq!(decoded.events.len() + decoded.flawed, lines.clone().count());

    for event in &decoded.events {
        let line = [
            event.hash.to_string().as_bytes(),
            b" ",
            event.bytes.as_bytes(),
        ]
        .concat();
        let is_verbatim = |sent: &[u8]| {
            // A hash may be in upper case; the event's bytes never change.
            sent.len() == line.len() && sent[64..] == line[64..]
        };
        assert!(lines.clone().any(is_verbatim), "an event was rewritten");
        is_storable(event);
    }
    let sent_on = encode(&decoded.events);
    let relayed = decode(&sent_on);
    assert_eq!(relayed.flawed, 0);
    assert_eq!(encode(&relayed.events), sent_on);
}

/// Asserts that every number and text fits its column, so that no event fails a batch.
fn is_storable(event: &RawEvent) {
    let Envelope { stamp, level, .. } = &*event.envelope;
    assert!(event.bytes.len() <= MAX_EVENT_BYTES);
    assert!(i32::try_from(*level).is_ok());
    assert!(i64::try_from(stamp.hlc.get()).is_ok());
    assert!(stamp.past.is_next(stamp.dot()));
    assert!(
        stamp
            .vector()
            .iter()
            .all(|(_, seq)| i64::try_from(seq).is_ok())
    );
    assert_eq!(stamp.order_key().to_string().parse(), Ok(stamp.order_key()));
    let names = [
        &event.envelope.aggregate,
        &event.envelope.id,
        &event.envelope.kind,
    ];
    assert!(names.iter().all(|name| !name.contains('\0')));
    if let Some(message) = Fact::read(1, event)
        .ok()
        .flatten()
        .and_then(Fact::into_message)
    {
        assert_eq!(message.position, stamp.order_key());
        assert!(!message.text.contains('\0'));
    }
}

/// The query of a push or a pull.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };

    let caller = query::parse_caller(text);
    let pull = query::parse_pull(text);

    if let Some(caller) = &caller {
        let again = query::push_target(caller);
        let (path, again) = again.split_once('?').expect("a target has a query");
        assert_eq!(path, EVENTS_PATH);
        assert_eq!(query::parse_caller(again).as_ref(), Some(caller));
    }
    if let (Some(caller), Some((after, limit))) = (caller, pull) {
        assert!((1..=BATCH_EVENTS).contains(&limit));
        let again = query::pull_target(&caller, &after, limit);
        let (_, again) = again.split_once('?').expect("a target has a query");
        assert_eq!(query::parse_pull(again), Some((after, limit)));
    }
}

/// The signature header: only a signature made with the key is accepted.
pub fn signature(bytes: &[u8]) {
    let keys = PeerKeys::new(b"the key", Some(b"the former key"));
    let mut pieces = Pieces::of(bytes);
    let body = pieces.part();
    let given = String::from_utf8_lossy(pieces.rest());

    let call = keys.sign("POST", "/p", head(body));
    let answer = call.sign_answer(200, session(), body);
    let verified = |header: &str| keys.verify(Some(header), "POST", "/p").ok();

    // The digits of a code may be in upper case.
    let is_ours = given.eq_ignore_ascii_case(call.header());
    assert!(is_ours || verified(&given).is_none());
    let is_answer = given.eq_ignore_ascii_case(&answer);
    let offer = |header: &str| call.verify_answer(Some(header), 200, body);
    assert!(is_answer || offer(&given).is_none());
    assert_eq!(offer(&answer), Some(session()));
    let seen = verified(call.header()).expect("its own signature");
    assert_eq!(seen.head, call.head);
    assert!(seen.has_body(body));
    assert!(!seen.has_body(&[body, b"x"].concat()));
    if let Ok(head) = given.parse::<Head>() {
        assert_eq!(head.to_string().parse(), Ok(head));
    }
}

fn head(body: &[u8]) -> Head {
    let Session { process, .. } = session();
    Head {
        from: process,
        to: process.replica,
        session: Some(session()),
        count: 7,
        body_hash: hash(body),
    }
}

fn session() -> Session {
    Session {
        process: Process {
            replica: ReplicaId::new(1).expect("numbers begin at 1"),
            instance: Instance(9),
        },
        opened_ms: 5,
    }
}

/// The bodies of answers: the vector after a push, and the reason for a refusal.
pub fn answers(bytes: &[u8]) {
    if let Ok(answer) = PushAnswer::parse(bytes) {
        assert!(answer.vector.iter().all(|(_, seq)| seq <= 1 << 53));
        let again = serde_json::to_vec(&answer).expect("an answer is JSON");
        assert_eq!(
            PushAnswer::parse(&again).expect("its own encoding can be parsed"),
            answer
        );
    }
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(bytes) {
        assert!(!refusal.to_string().is_empty());
        let again = serde_json::to_vec(&refusal).expect("a refusal is JSON");
        let again: Refusal =
            serde_json::from_slice(&again).expect("its own encoding can be parsed");
        assert_eq!(again, refusal);
    }
    if let Ok(caller) = serde_json::from_slice::<Caller>(bytes) {
        assert!(caller.replica.get() > 0);
    }
    if let Ok(hash) = String::from_utf8_lossy(bytes).parse::<Hash>() {
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}
