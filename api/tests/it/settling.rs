//! Which replicas store a message, and when it is settled.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Cluster, Replica, User, always, eventually, ids};

#[tokio::test]
async fn a_message_is_soon_stored_everywhere_and_settled() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;

    let message = ann[0].says("lobby", "hello").await;

    for ann in &ann {
        let settled = settles(ann, &message["id"]).await;
        assert_eq!(settled["stored_on"], json!([1, 2, 3]));
    }
}

#[tokio::test]
async fn a_replica_alone_settles_by_itself() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    let message = ann.says("lobby", "hello").await;

    assert_eq!(settles(&ann, &message["id"]).await["stored_on"], json!([1]));
}

#[tokio::test]
async fn nothing_settles_while_a_replica_is_away_and_then_it_does() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.isolate(3);

    let message = ann[0].says("lobby", "hello").await;
    let before_it = ann[2].says("lobby", "meanwhile, elsewhere").await;

    always(Duration::from_secs(4), "staying unsettled", async || {
        for (ann, id) in [(&ann[0], &message["id"]), (&ann[2], &before_it["id"])] {
            let shown = ann.message("lobby", id).await;
            if shown["settled"] != false {
                return Err(shown.to_string());
            }
        }
        Ok(())
    })
    .await;
    let stored = ann[0].message("lobby", &message["id"]).await["stored_on"].clone();
    assert_eq!(stored, json!([1, 2]));

    cluster.heal();
    for ann in &ann {
        settles(ann, &message["id"]).await;
        settles(ann, &before_it["id"]).await;
    }
}

#[tokio::test]
async fn what_is_settled_keeps_its_place() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let mut settled_once: Vec<String> = Vec::new();

    for round in 0..6 {
        match round % 3 {
            0 => cluster.isolate(2),
            1 => cluster.isolate(3),
            _ => cluster.heal(),
        }
        for ann in &ann {
            ann.says("lobby", &format!("round {round}")).await;
        }
        let history = ann[0].history("lobby").await;
        let settled = history
            .iter()
            .take_while(|message| message["settled"] == true)
            .count();
        let prefix: Vec<String> = ids(&history[..settled])
            .into_iter()
            .map(Into::into)
            .collect();
        assert!(
            prefix.starts_with(&settled_once),
            "{settled_once:?} became {prefix:?}"
        );
        assert!(
            history[settled..]
                .iter()
                .all(|message| message["settled"] == false),
            "nothing is settled after what is not"
        );
        settled_once = prefix;
    }

    cluster.heal();
    cluster.agree(&[1, 2, 3], "lobby", 18).await;
    let history = ann[0].history("lobby").await;
    assert!(
        ids(&history).starts_with(&settled_once.iter().map(String::as_str).collect::<Vec<_>>())
    );
}

#[tokio::test]
async fn a_writer_may_wait_until_several_replicas_have_it() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let path = "/v1/groups/lobby/messages";
    let body = json!({ "text": "hello" });

    let everywhere = ann[0]
        .post(&format!("{path}?wait_for=3&timeout_ms=30000"), &body)
        .await;
    assert_eq!(everywhere.with(201)["stored_on"], json!([1, 2, 3]));
    let here = ann[0]
        .post(&format!("{path}?wait_for=1"), &body)
        .await
        .with(201);
    assert_eq!(here["stored_on"][0], 1);

    cluster.isolate(3);
    let asked = Instant::now();
    let answer = ann[0]
        .post(&format!("{path}?wait_for=3&timeout_ms=1500"), &body)
        .await;
    let stored_on = answer.with(201)["stored_on"].clone();
    assert_eq!(
        stored_on,
        json!([1, 2]),
        "in this time the other one has it"
    );
    assert!(asked.elapsed() >= Duration::from_millis(1500));
    let alone = ann[2]
        .post(&format!("{path}?wait_for=2&timeout_ms=0"), &body)
        .await
        .with(201);
    assert_eq!(alone["stored_on"], json!([3]));
}

#[tokio::test]
async fn a_writer_cannot_wait_for_what_cannot_be() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.at(1).member("ann", "lobby").await;
    let path = "/v1/groups/lobby/messages";

    for (query, named) in [
        ("wait_for=0", "wait_for"),
        ("wait_for=3", "wait_for"),
        ("wait_for=-1", "wait_for"),
        ("wait_for=all", "wait_for"),
        ("wait_for=2&timeout_ms=30001", "timeout_ms"),
        ("wait_for=2&timeout_ms=-1", "timeout_ms"),
        ("wait_for=2&timeout_ms=soon", "timeout_ms"),
    ] {
        let answer = ann
            .post(&format!("{path}?{query}"), &json!({ "text": "no" }))
            .await;
        let detail = answer.refused(422, "invalid");
        assert!(detail.contains(named), "{query}: {detail}");
    }
    assert!(ann.history("lobby").await.is_empty());
}

async fn settles(user: &User, id: &Value) -> Value {
    let path = format!(
        "/v1/groups/lobby/messages/{}",
        id.as_str().expect("an id is a text")
    );
    eventually("the message being settled", async || {
        let message = user.get(&path).await.json();
        if message["settled"] == true {
            Ok(message)
        } else {
            Err(message.to_string())
        }
    })
    .await
}
