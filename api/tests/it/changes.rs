//! Long polling, for clients that cannot read streams.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Cluster, Replica, User, passes};

#[tokio::test]
async fn without_a_cursor_changes_start_now() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "before").await;

    let start = changes(&ann, "").await;
    assert_eq!(start["events"], serde_json::json!([]));
    assert_eq!(start["caught_up"], true);
    ann.says("lobby", "after").await;
    let next = changes(&ann, &format!("cursor={}", cursor(&start))).await;

    let events = next["events"].as_array().expect("a list");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event"], "message");
    assert_eq!(events[0]["data"]["text"], "after");
    assert_eq!(next["caught_up"], true);
    assert_eq!(
        changes(&ann, &format!("cursor={}", cursor(&next))).await["events"],
        serde_json::json!([])
    );
    assert_eq!(
        changes(&ann, &format!("cursor={}", cursor(&events[0]))).await["events"],
        serde_json::json!([])
    );
}

#[tokio::test]
async fn a_long_poll_is_answered_as_soon_as_something_happens() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let start = cursor(&changes(&ann, "").await);

    let asked = Instant::now();
    let query = format!("cursor={start}&wait_ms=25000");
    let speak = async {
        passes(Duration::from_millis(500)).await;
        ann.says("lobby", "hello").await;
    };
    let (answer, ()) = tokio::join!(changes(&ann, &query), speak);

    assert_eq!(answer["events"][0]["data"]["text"], "hello");
    assert!(asked.elapsed() < Duration::from_secs(20));
    let asked = Instant::now();
    let quiet = changes(&ann, &format!("cursor={}&wait_ms=700", cursor(&answer))).await;
    assert!(asked.elapsed() >= Duration::from_millis(600), "it waits");
    assert_eq!(quiet["events"], serde_json::json!([]));
}

#[tokio::test]
async fn a_long_poll_ends_in_time_whatever_else_goes_on() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;

    for round in 0..30 {
        let start = cursor(&changes(&ann, "").await);
        // Presence, and frames for one author alone, are no changes.
        let mut stream = bob.listens("lobby").await;
        bob.says("lobby", &format!("round {round}")).await;
        stream.next_of(&["message"]).await;
        drop(stream);
        let asked = Instant::now();
        let next = changes(&ann, &format!("cursor={start}&wait_ms=300")).await;
        let rest = changes(&ann, &format!("cursor={}&wait_ms=0", cursor(&next))).await;
        assert_eq!(rest["events"], serde_json::json!([]));
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "{:?}",
            asked.elapsed()
        );
    }
}

#[tokio::test]
async fn many_changes_come_in_pieces() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut place = cursor(&changes(&ann, "").await);
    for number in 0..7 {
        ann.says("lobby", &number.to_string()).await;
    }

    let mut got = String::new();
    loop {
        let piece = changes(&ann, &format!("cursor={place}&limit=3")).await;
        let events = piece["events"].as_array().expect("a list");
        assert!(events.len() <= 3);
        got.extend(
            events
                .iter()
                .filter_map(|event| event["data"]["text"].as_str()),
        );
        place = cursor(&piece);
        if piece["caught_up"] == true {
            break;
        }
        assert!(!events.is_empty(), "there is more, but nothing comes");
    }
    assert_eq!(got, "0123456");
}

#[tokio::test]
async fn changes_and_streams_share_their_cursors_on_all_replicas() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let start = cursor(&changes(&ann[0], "").await);
    ann[0].says("lobby", "one").await;
    ann[1].says("lobby", "two").await;
    cluster.agree(&[1, 2], "lobby", 2).await;

    let all = changes(&ann[1], &format!("cursor={start}&wait_ms=5000")).await;
    assert_eq!(all["events"].as_array().expect("a list").len(), 2, "{all}");
    let mut stream = ann[0].resumes("lobby", &cursor(&all["events"][0])).await;
    let rest = stream.catches_up().await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].data["id"], all["events"][1]["data"]["id"]);
}

#[tokio::test]
async fn changes_refuse_what_they_cannot_do() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for (query, named) in [
        ("wait_ms=-1", "wait_ms"),
        ("wait_ms=soon", "wait_ms"),
        ("wait_ms=99999999", "wait_ms"),
        ("limit=0", "limit"),
        ("limit=100000", "limit"),
        ("cursor=junk", "cursor"),
        ("since=0", "since"),
    ] {
        let answer = ann.get(&format!("/v1/groups/lobby/changes?{query}")).await;
        let detail = answer.refused(422, "invalid");
        assert!(detail.contains(named), "{query}: {detail}");
    }
    ann.get("/v1/groups/nowhere/changes")
        .await
        .refused(404, "not_found");
}

async fn changes(user: &User, query: &str) -> Value {
    user.get(&format!("/v1/groups/lobby/changes?{query}"))
        .await
        .with(200)
}

fn cursor(value: &Value) -> String {
    value["cursor"].as_str().expect("a cursor").to_owned()
}
