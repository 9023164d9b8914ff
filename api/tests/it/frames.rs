//! The frames of a stream.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Cluster, Frame, Replica, passes};

#[tokio::test]
async fn a_stream_begins_with_its_cursor() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "before the stream").await;

    let mut stream = ann.listens("lobby").await;
    let first = stream
        .next_where("a frame of the log", |frame| frame.event != "presence")
        .await;

    assert_eq!(first.event, "caught_up");
    first.cursor();
    let cache = stream
        .headers()
        .get("cache-control")
        .and_then(|it| it.to_str().ok());
    assert!(
        cache.is_some_and(|it| it.contains("no-cache") || it.contains("no-store")),
        "{cache:?}"
    );
    let retry_ms = stream.retry_ms.expect("a reconnection time is given");
    assert!((1..60_000).contains(&retry_ms), "{retry_ms}");
}

#[tokio::test]
async fn a_stream_tells_of_messages_likes_and_members() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.user("bob").await;
    let mut stream = ann.listens("lobby").await;
    assert!(stream.catches_up().await.is_empty());

    let log = ["message", "like", "unlike", "join", "leave"];
    bob.joins("lobby").await;
    let join = stream.next_of(&log).await;
    let message = bob.says("lobby", "hello").await;
    let said = stream.next_of(&log).await;
    ann.likes("lobby", &message["id"]).await.with(200);
    let like = stream.next_of(&log).await;
    ann.unlikes("lobby", &message["id"]).await.with(200);
    let unlike = stream.next_of(&log).await;
    bob.leaves("lobby").await;
    let leave = stream.next_of(&log).await;

    assert_eq!(join.event, "join");
    assert!(join.data.to_string().contains(&bob.id), "{join:?}");
    assert_eq!(said.event, "message");
    assert_is_message(&said, &message, 0);
    assert_eq!(like.event, "like");
    assert_is_message(&like, &message, 1);
    assert_eq!(like.data["by"], json!({ "id": ann.id, "name": "ann" }));
    assert_eq!(unlike.event, "unlike");
    assert_is_message(&unlike, &message, 0);
    assert_eq!(unlike.data["by"]["name"], "ann");
    assert_eq!(leave.event, "leave");
    assert!(leave.data.to_string().contains(&bob.id), "{leave:?}");
    for frame in [&join, &said, &like, &unlike, &leave] {
        frame.cursor();
    }
}

#[tokio::test]
async fn what_changes_nothing_is_told_to_nobody() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;
    let message = ann.says("lobby", "hello").await;
    bob.likes("lobby", &message["id"]).await.with(200);
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;

    bob.joins("lobby").await;
    bob.likes("lobby", &message["id"]).await.with(200);
    replica.user("stranger").await.leaves("lobby").await;
    bob.says("lobby", "the end").await;

    let frame = stream
        .next_of(&["message", "like", "unlike", "join", "leave"])
        .await;
    assert_eq!(frame.data["text"], "the end");
}

#[tokio::test]
async fn a_stream_tells_only_of_its_own_group() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.joins("garden").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;

    ann.says("garden", "roses").await;
    ann.says("lobby", "chairs").await;

    assert_eq!(stream.next_of(&["message"]).await.data["text"], "chairs");
}

#[tokio::test]
async fn an_author_is_told_who_stores_the_message_until_it_is_settled() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let mut stream = ann[0].listens("lobby").await;
    stream.catches_up().await;

    let message = ann[0].says("lobby", "hello").await;

    let everywhere = stream
        .next_where("the message being stored everywhere", |frame| {
            is_stored(frame, &message) && frame.data["stored_on"] == json!([1, 2, 3])
        })
        .await;
    assert_eq!(everywhere.id, None);
    if everywhere.data["settled"] == false {
        stream
            .next_where("the message being settled", |frame| {
                is_stored(frame, &message) && frame.data["settled"] == true
            })
            .await;
    }
}

#[tokio::test]
async fn streams_on_other_replicas_get_the_same_messages() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let mut streams = Vec::new();
    for ann in &ann {
        let mut stream = ann.listens("lobby").await;
        stream.catches_up().await;
        streams.push(stream);
    }

    let message = ann[2].says("lobby", "hello").await;

    for stream in &mut streams {
        let frame = stream.next_of(&["message"]).await;
        assert_is_message(&frame, &message, 0);
    }
}

#[tokio::test]
async fn a_stream_tells_when_the_view_changes() {
    let mut cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let mut stream = ann[0].listens("lobby").await;

    cluster.kill9(2);
    let status = |frame: &Frame| {
        let peer = frame.data["peers"]
            .as_array()
            .and_then(|peers| peers.first())
            .cloned();
        peer.and_then(|peer| peer["status"].as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    let down = stream
        .next_where("replica 2 going down", |frame| status(frame) == "down")
        .await;
    assert_eq!(down.event, "view");
    assert_eq!(down.id, None);
    cluster.restart(2).await;
    stream
        .next_where("replica 2 coming back", |frame| status(frame) == "up")
        .await;
}

#[tokio::test]
async fn a_merge_is_announced_before_its_messages() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let mut stream = ann[1].listens("lobby").await;
    stream.catches_up().await;

    cluster.cut(&[1], &[2]);
    for number in 1..=3 {
        ann[0].says("lobby", &format!("early {number}")).await;
    }
    passes(Duration::from_secs(4)).await;
    ann[1].says("lobby", "late").await;
    assert_eq!(stream.next_of(&["message"]).await.data["text"], "late");
    cluster.heal();

    let merged = stream.next_of(&["merged", "message"]).await;
    assert_eq!(merged.event, "merged");
    assert_eq!(merged.id, None);
    assert!(
        (1..=3).contains(&merged.data["count"].as_u64().unwrap_or_default()),
        "{merged:?}"
    );
    assert!(merged.data["from"].to_string().contains('1'), "{merged:?}");
    for number in 1..=3 {
        let frame = stream.next_of(&["message"]).await;
        assert_eq!(frame.data["text"], format!("early {number}"));
    }
}

#[tokio::test]
async fn more_at_once_than_a_room_keeps_reaches_its_readers_in_order_and_once() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.cut(&[1], &[2]);
    let text = |number: usize| format!("{number:03}{}", "\u{1f600}".repeat(3_900));
    for number in 0..100 {
        ann[0].says("lobby", &text(number)).await;
    }
    let mut stream = ann[1].listens("lobby").await;
    stream.catches_up().await;

    cluster.heal();

    for number in 0..100 {
        let frame = stream.next_of(&["message"]).await;
        assert_eq!(frame.data["text"], text(number));
    }
    ann[0].says("lobby", "after it").await;
    assert_eq!(stream.next_of(&["message"]).await.data["text"], "after it");
}

#[tokio::test]
async fn an_earlier_copy_of_a_message_moves_it() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.cut(&[1], &[2]);
    let early = ann[0].says_once("lobby", "once", "key").await.with(201);
    let mut stream = ann[1].listens("lobby").await;
    stream.catches_up().await;
    let late = ann[1].says_once("lobby", "once", "key").await.with(201);
    assert_eq!(
        stream.next_of(&["message"]).await.data["position"],
        late["position"]
    );

    cluster.heal();

    let moved = stream.next_of(&["moved", "message"]).await;
    assert_eq!(moved.event, "moved");
    moved.cursor();
    assert_eq!(moved.data["id"], early["id"]);
    assert_eq!(moved.data["position"], early["position"]);
    assert_eq!(moved.data["text"], "once");
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;

    let end = Instant::now() + Duration::from_secs(25);
    while stream.comments == 0 && Instant::now() < end {
        stream.next_within(Duration::from_secs(1)).await;
    }

    assert!(stream.comments > 0, "nothing came for so long");
}

#[tokio::test]
async fn an_author_who_is_told_of_much_at_once_closes_nobodys_stream() {
    const MESSAGES: usize = 400;
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bert = cluster.member_everywhere("bert", "lobby").await;
    let (mut own, mut other) = (
        ann[0].listens("lobby").await,
        bert[0].listens("lobby").await,
    );
    own.catches_up().await;
    other.catches_up().await;
    cluster.isolate(2);
    for number in 0..MESSAGES {
        let message = ann[0].says("lobby", &format!("message {number}")).await;
        for stream in [&mut own, &mut other] {
            stream
                .next_where("the message", |frame| frame.data["id"] == message["id"])
                .await;
        }
    }

    cluster.heal();

    let mut told = BTreeSet::new();
    while told.len() < MESSAGES {
        let frame = own.next_of(&["stored"]).await;
        if frame.data["stored_on"] == json!([1, 2]) {
            told.insert(frame.data["id"].to_string());
        }
    }
    let last = ann[0].says("lobby", "after all that").await;
    other
        .next_where("the last message", |frame| frame.data["id"] == last["id"])
        .await;
}

fn is_stored(frame: &Frame, message: &Value) -> bool {
    frame.event == "stored" && frame.data["id"] == message["id"]
}

#[track_caller]
fn assert_is_message(frame: &Frame, message: &Value, likes: u64) {
    for field in [
        "id",
        "group",
        "author",
        "text",
        "origin",
        "vector",
        "position",
        "received_at",
    ] {
        assert_eq!(frame.data[field], message[field], "{field} of {frame:?}");
    }
    assert_eq!(frame.data["likes"], likes);
    assert_eq!(
        frame.data.get("liked"),
        None,
        "a stream does not know who asks"
    );
}
