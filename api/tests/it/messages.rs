//! One message: its fields, and that a replica reads its own writes.

use serde_json::{Value, json};

use crate::harness::{Replica, ids};

#[tokio::test]
async fn a_message_has_every_field_of_the_contract() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let sent_at = "2026-01-02T03:04:05Z";

    let body = json!({ "text": "hello", "sent_at": sent_at });
    let answer = ann.post("/v1/groups/lobby/messages", &body).await;

    answer.mark();
    let message = answer.with(201);
    let mut fields: Vec<&str> = message
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    let expected = [
        "author",
        "group",
        "id",
        "liked",
        "liked_by",
        "likes",
        "origin",
        "position",
        "received_at",
        "sent_at",
        "settled",
        "stored_on",
        "text",
        "vector",
    ];
    assert_eq!(fields, expected);
    assert_eq!(message["group"], "lobby");
    assert_eq!(message["author"], json!({ "id": ann.id, "name": "ann" }));
    assert_eq!(message["text"], "hello");
    assert_eq!(message["likes"], 0);
    assert_eq!(message["liked_by"], json!([]));
    assert_eq!(message["liked"], false);
    assert_eq!(message["origin"], 1);
    assert_eq!(message["stored_on"], json!([1]));
    assert_eq!(message["vector"].as_array().expect("a list").len(), 1);
    assert!(
        message["vector"][0].as_u64() > Some(0),
        "the message itself is counted"
    );
    let time = message["sent_at"].as_str().expect("a time");
    assert!(
        time.starts_with("2026-01-02T03:04:05") && time.ends_with('Z'),
        "{time}"
    );
    assert!(
        message["received_at"]
            .as_str()
            .expect("a time")
            .ends_with('Z')
    );
    assert_eq!(
        ann.message("lobby", &message["id"]).await["id"],
        message["id"]
    );
}

#[tokio::test]
async fn times_of_clients_are_shown_in_utc() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for (sent, shown) in [
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05"),
        ("2026-01-02T03:04:05.678-05:30", "2026-01-02T08:34:05.678"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00"),
    ] {
        let body = json!({ "text": "when?", "sent_at": sent });
        let message = ann.post("/v1/groups/lobby/messages", &body).await.with(201);
        let time = message["sent_at"].as_str().expect("a time");
        assert!(
            time.starts_with(shown) && time.ends_with('Z'),
            "{sent} became {time}"
        );
    }
}

#[tokio::test]
async fn a_replica_reads_at_once_what_it_acknowledged() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;

    for round in 0..30 {
        let message = ann.says("lobby", &format!("round {round}")).await;
        let page = bob.page("lobby", "limit=1").await;
        assert_eq!(page["messages"][0]["id"], message["id"]);
        bob.likes("lobby", &message["id"]).await.with(200);
        assert_eq!(ann.message("lobby", &message["id"]).await["likes"], 1);
        let group = format!("group-{round}");
        ann.joins(&group).await;
        assert_eq!(bob.snapshot(&group).await["members_count"], 1);
        ann.leaves(&group).await;
        assert_eq!(bob.snapshot(&group).await["members_count"], 0);
    }
}

#[tokio::test]
async fn many_writers_at_once_lose_nothing_and_repeat_nothing() {
    let replica = Replica::start().await;
    let mut writers = Vec::new();
    for number in 0..8 {
        writers.push(replica.member(&format!("writer{number}"), "lobby").await);
    }

    let written = crate::harness::all_at_once(writers.iter().map(async |writer| {
        let mut ids = Vec::new();
        for round in 0..25 {
            ids.push(
                writer
                    .says("lobby", &format!("{} {round}", writer.name))
                    .await["id"]
                    .clone(),
            );
        }
        ids
    }))
    .await;

    let history = writers[0].history("lobby").await;
    let mut shown: Vec<&str> = ids(&history);
    let mut written: Vec<&str> = written.iter().flatten().filter_map(Value::as_str).collect();
    shown.sort_unstable();
    written.sort_unstable();
    assert_eq!(shown, written);
}

#[tokio::test]
async fn a_token_of_one_replica_is_good_on_another_and_names_are_users() {
    let cluster = crate::harness::Cluster::of(2).await;
    let here = cluster.at(1).user("Ann").await;
    let there = cluster.at(2).user("ann").await;

    assert_eq!(
        here.id, there.id,
        "the same name is the same user everywhere"
    );
    here.at(cluster.at(2)).joins("lobby").await;
    let message = there
        .says("lobby", "one of me joined, the other writes")
        .await;
    here.at(cluster.at(2))
        .likes("lobby", &message["id"])
        .await
        .refused(409, "own_message");
}
