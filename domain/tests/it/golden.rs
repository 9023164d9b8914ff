//! The stored form of every event type. A changed file breaks compatibility with every other
//! version.

use std::path::Path;

use causeway_domain::aggregate::Stamped;
use causeway_domain::chain::Hash;
use causeway_domain::envelope::{Envelope, LEVEL, RawEvent};
use causeway_domain::event::Event;
use causeway_domain::group::GroupEvent;
use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Epoch, Origin, ReplicaId};
use causeway_domain::names::{User, UserId};
use causeway_domain::post::PostEvent;
use causeway_domain::stamp::Stamp;
use causeway_domain::timeline::{Fact, Unfoldable};
use serde_json::value::to_raw_value;

#[test]
fn the_events_of_a_group_keep_their_stored_shape() {
    assert_stored_form("member_joined", "group", "lobby", &joined());
    let left = GroupEvent::MemberLeft { user: user() };
    assert_stored_form("member_left", "group", "lobby", &left);
}

#[test]
fn the_events_of_a_post_keep_their_stored_shape() {
    let posted = PostEvent::MessagePosted {
        author: user(),
        text: "héllo\n\t\"you\" \u{1f600} </script>".into(),
        sent_at: Some(-1),
        key: Some("k 1".into()),
    };
    let liked = PostEvent::MessageLiked { user: user() };
    let unliked = PostEvent::MessageUnliked { user: user() };
    let barely_posted = PostEvent::MessagePosted {
        author: user(),
        text: "a".into(),
        sent_at: None,
        key: None,
    };
    assert_stored_form("message_posted", "post", "m1", &posted);
    assert_stored_form("message_posted_without_key", "post", "m1", &barely_posted);
    assert_stored_form("message_liked", "post", "m1", &liked);
    assert_stored_form("message_unliked", "post", "m1", &unliked);
}

#[test]
fn an_unknown_type_is_an_event_that_changes_nothing() {
    for aggregate in ["group", "post", "account"] {
        let event = enveloped(aggregate, "x", "SomethingNew", r#"{"user":7}"#);

        assert!(matches!(Fact::read(1, &event), Ok(None)), "{aggregate}");
    }
    assert_eq!(
        PostEvent::read("MessageEdited", "[]").unwrap(),
        PostEvent::Unknown
    );
    assert_eq!(
        GroupEvent::read("MemberBanned", "7").unwrap(),
        GroupEvent::Unknown
    );
}

#[test]
fn unknown_fields_are_ignored() {
    let user = r#"{"id":"u1","name":"anna","colour":"blue"}"#;

    let joined = GroupEvent::read("MemberJoined", &format!(r#"{{"user":{user},"why":[1]}}"#));
    let posted = format!(r#"{{"author":{user},"text":"a","reply_to":"m0"}}"#);
    let posted = PostEvent::read("MessagePosted", &posted).unwrap();

    assert_eq!(joined.unwrap(), self::joined());
    assert!(matches!(
        posted,
        PostEvent::MessagePosted { text, sent_at: None, key: None, .. } if text == "a"
    ));
}

#[test]
fn content_that_does_not_match_its_type_is_refused() {
    let posted = enveloped("post", "m1", "MessagePosted", r#"{"text":7}"#);
    let nul = r#"{"author":{"id":"u1","name":"anna"},"text":"a\u0000b"}"#;
    let nul = enveloped("post", "m1", "MessagePosted", nul);
    let joined = enveloped("group", "lobby", "MemberJoined", "null");
    let mut without_group = enveloped(
        "group",
        "lobby",
        "MemberJoined",
        r#"{"user":{"id":"u1","name":"anna"}}"#,
    );
    std::sync::Arc::make_mut(&mut without_group.envelope).group = Some("a\0b".into());

    assert!(matches!(
        Fact::read(1, &posted),
        Err(Unfoldable::Content(_))
    ));
    assert!(matches!(Fact::read(1, &nul), Err(Unfoldable::Nul)));
    assert!(matches!(
        Fact::read(1, &joined),
        Err(Unfoldable::Content(_))
    ));
    assert!(matches!(
        Fact::read(1, &without_group),
        Err(Unfoldable::Group)
    ));
}

fn assert_stored_form<E: Event>(name: &str, aggregate: &str, id: &str, event: &E) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    let content = to_raw_value(event).unwrap();

    let made = enveloped(aggregate, id, event.kind(), content.get());

    assert_eq!(&*made.bytes, stored.trim_end(), "{}", file.display());
    let read = RawEvent::parse(stored.trim_end().into(), made.hash).unwrap();
    assert_eq!(*Stamped::<E>::read(read.envelope.clone()).event, *event);
}

fn enveloped(aggregate: &str, id: &str, kind: &str, event: &str) -> RawEvent {
    let origin = |replica| Origin {
        replica: ReplicaId::new(replica).unwrap(),
        epoch: Epoch(0x9f3c_07aa),
    };
    let envelope = Envelope {
        stamp: Stamp {
            origin: origin(2),
            seq: 3,
            hlc: Hlc::at_ms(1_700_000_000_000),
            past: [(origin(1), 7), (origin(2), 2)].into_iter().collect(),
        },
        level: LEVEL,
        aggregate: aggregate.into(),
        id: id.into(),
        group: Some("lobby".into()),
        kind: kind.into(),
        at: 1_700_000_000_001,
        event: serde_json::value::RawValue::from_string(event.into())
            .unwrap()
            .into(),
    };
    RawEvent::create(envelope, Hash::START)
}

fn joined() -> GroupEvent {
    GroupEvent::MemberJoined { user: user() }
}

fn user() -> User {
    User {
        id: UserId("u1".into()),
        name: "anna".into(),
    }
}
