//! Events of later versions and malformed events are stored and relayed unchanged, are not shown,
//! and hold up no other event.

use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::envelope::{NotAnEvent, RawEvent};
use causeway_domain::post::PostCommand;
use causeway_domain::post::Refusal;
use causeway_domain::text::IdempotencyKey;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Action;
use causeway_store::log::SubmitError;

use crate::support::{Open, Store, name, post};

#[tokio::test]
async fn unknown_and_broken_events_are_passed_on_byte_for_byte() {
    let (left, right) = tokio::join!(Store::create(1), Store::create(2));
    let (left, right) = tokio::join!(left.open(), right.open());
    let mut peer = Peer::new();
    let events = vec![
        peer.event("group", "lobby", "MemberJoined", ANNA),
        peer.event("group", "lobby", "MemberBanned", r#"{ "user" : 7 }"#),
        peer.event("weather", "lobby", "SunShone", r#"{"\u0000":"\u0000"}"#),
        peer.event("post", "p1", "MessagePosted", r#"{"text": 7}"#),
        peer.event("post", "p1", "MessageLiked", ANNA),
        peer.event("post", "p2", "MessagePosted", &posted("a\\u0000b")),
        peer.event("post", "p3", "MessagePosted", &posted("hello")),
    ];
    let bytes: Vec<Arc<str>> = events.iter().map(|event| event.bytes.clone()).collect();

    let (absorbed, _) = left.log.absorb(events).await.unwrap();
    right.pull_from(&left).await;
    left.join("lobby", "anna").await;
    left.say("lobby", "anna", "on we go").await;
    right.pull_from(&left).await;

    assert_eq!(absorbed.stored, 7);
    for replica in [&left, &right] {
        let held = replica.log.read_after(0, 7).await.unwrap();
        let held: Vec<Arc<str>> = held.into_iter().map(|(_, event)| event.bytes).collect();
        assert_eq!(held, bytes);
        replica.timelines.catch_up().await.unwrap();
        assert_eq!(replica.texts("lobby").await, ["hello", "on we go"]);
        assert_eq!(set_aside(replica).await, [4, 6]);
    }
}

#[tokio::test]
async fn a_group_whose_first_join_is_broken_exists_from_the_next_also_after_a_start() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    let mut peer = Peer::new();
    let events = vec![
        peer.event("group", "lobby", "MemberJoined", "null"),
        peer.event("group", "lobby", "MemberJoined", ANNA),
    ];
    replica.log.absorb(events).await.unwrap();
    replica.close().await;

    let replica = store.open().await;
    let by_stranger = replica.log.submit(post("lobby", "bert", "hello", None));

    let refused = by_stranger.await.map(|_| ());
    assert!(matches!(
        refused,
        Err(SubmitError::Refused(Refusal::NotAMember))
    ));
}

#[tokio::test]
async fn content_that_no_index_can_hold_is_set_aside() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    let mut peer = Peer::new();
    // Incompressible, so that Postgres cannot shrink it to fit the index.
    let hashes = (0..300_u16).map(|i| Hash::START.then(&i.to_be_bytes()).to_string());
    let endless: String = hashes.collect();
    let endless_id = ANNA.replace("u1", &endless);
    let endless_name = ANNA.replace("anna", &endless);

    let events = vec![
        peer.event("group", "lobby", "MemberJoined", ANNA),
        peer.event("group", "lobby", "MemberJoined", &endless_id),
        peer.event("group", "lobby", "MemberJoined", &endless_name),
        peer.event("post", "p1", "MessagePosted", &posted(&endless)),
        peer.event("post", "p1", "MessageLiked", &endless_id),
    ];
    replica.log.absorb(events).await.unwrap();
    replica.timelines.catch_up().await.unwrap();

    assert_eq!(replica.texts("lobby").await, [endless]);
    assert_eq!(set_aside(&replica).await, [2, 3, 5]);
}

#[tokio::test]
async fn a_message_is_accepted_also_where_an_unknown_event_has_its_id() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    // From here on the writer caches her membership and reads less.
    replica.say("lobby", "anna", "first").await;
    let key = IdempotencyKey::parse("key").unwrap();
    let command = post("lobby", "anna", "hello", Some(key));
    let Action::Post(id, PostCommand::Post { .. }) = &command.action else {
        panic!("not a post");
    };
    let later = Peer::new().event("post", &id.0, "MessagePinned", "{}");
    replica.log.absorb(vec![later]).await.unwrap();
    let session = writing_session(&replica).await;

    let first = replica.log.submit(command.clone()).await.unwrap();
    let again = replica.log.submit(command).await.unwrap();
    replica.timelines.catch_up().await.unwrap();

    assert!(first.event.is_some() && again.event.is_none());
    assert_eq!(replica.texts("lobby").await, ["first", "hello"]);
    // The writer kept its session.
    assert_eq!(writing_session(&replica).await, session);
}

#[test]
fn a_frame_that_no_column_can_hold_is_refused() {
    let long = "x".repeat(10_000);
    for (aggregate, id, kind) in [
        ("post", "a\\u0000b", "MessagePosted"),
        ("post", "p1", "a\\u0000b"),
        ("a\\u0000b", "m1", "MessagePosted"),
        ("post", &long, "MessagePosted"),
        (&long, "m1", "MessagePosted"),
        ("post", "p1", &long),
    ] {
        let refused = Peer::new().frame(1, aggregate, id, kind, "{}");
        assert!(matches!(
            refused,
            Err(NotAnEvent::Frame(_) | NotAnEvent::Unstorable(_))
        ));
    }
    let refused = Peer::new().frame(u32::MAX, "post", "p1", "MessagePosted", "{}");
    assert!(matches!(refused, Err(NotAnEvent::Unstorable(_))));
}

const ANNA: &str = r#"{"user":{"id":"u1","name":"anna"}}"#;

fn posted(text: &str) -> String {
    format!(r#"{{"author":{{"id":"u1","name":"anna"}},"text":"{text}"}}"#)
}

/// The process id of the writer's Postgres session.
async fn writing_session(replica: &Open) -> i32 {
    let held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query_scalar(held)
        .fetch_one(replica.log.pool())
        .await
        .unwrap()
}

async fn set_aside(replica: &Open) -> Vec<i64> {
    sqlx::query_scalar("SELECT arrival FROM quarantine ORDER BY arrival")
        .fetch_all(replica.log.pool())
        .await
        .unwrap()
}

/// A replica of another version, which serialises events differently.
struct Peer {
    held: VersionVector,
    hash: Hash,
}

impl Peer {
    fn new() -> Self {
        Self {
            held: VersionVector::default(),
            hash: Hash::START,
        }
    }

    fn event(&mut self, aggregate: &str, id: &str, kind: &str, content: &str) -> RawEvent {
        let event = self.frame(1, aggregate, id, kind, content).unwrap();
        self.held.record(event.envelope.stamp.dot());
        self.hash = event.hash;
        event
    }

    fn frame(
        &self,
        level: u32,
        aggregate: &str,
        id: &str,
        kind: &str,
        content: &str,
    ) -> Result<RawEvent, NotAnEvent> {
        let past = serde_json::to_string(&self.held).unwrap();
        let seq = self.held.iter().map(|(_, seq)| seq).sum::<u64>() + 1;
        let group = name("lobby");
        let bytes = format!(
            r#"{{ "later": [1,  2], "type":"{kind}","aggregate":"{aggregate}", "id":"{id}",
                "group": "{group}", "level":{level}, "at":-1,
                "stamp":{{"past":{past},"hlc":{seq},"seq":{seq},"origin":"9.00000009"}},
                "event": {content} }}"#
        );
        let hash = self.hash.then(bytes.as_bytes());
        RawEvent::parse(bytes.into(), hash)
    }
}
