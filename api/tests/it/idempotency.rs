//! Sending twice is harmless, at any replica and at any time.

use serde_json::json;

use crate::harness::{Cluster, Replica, all_at_once, texts};

#[tokio::test]
async fn the_same_key_again_is_the_same_message() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    let first = ann.says_once("lobby", "once", "key-1").await.with(201);
    let again = ann.says_once("lobby", "once", "key-1").await;

    again.mark();
    assert_eq!(again.with(200)["id"], first["id"]);
    assert_eq!(ann.history("lobby").await.len(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_text_one_group_and_one_author() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;
    ann.joins("garden").await;
    let first = ann.says_once("lobby", "once", "key-1").await.with(201);

    ann.says_once("lobby", "another text", "key-1")
        .await
        .refused(409, "key_reused");
    ann.says_once("garden", "once", "key-1")
        .await
        .refused(409, "key_reused");
    let of_bob = bob.says_once("lobby", "once", "key-1").await.with(201);

    assert_ne!(of_bob["id"], first["id"]);
    assert_eq!(ann.history("lobby").await.len(), 2);
    assert!(ann.history("garden").await.is_empty());
}

#[tokio::test]
async fn a_retry_is_answered_also_after_leaving() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let first = ann.says_once("lobby", "once", "key-1").await.with(201);
    ann.leaves("lobby").await;

    let again = ann.says_once("lobby", "once", "key-1").await.with(200);

    assert_eq!(again["id"], first["id"]);
}

#[tokio::test]
async fn a_retry_after_a_kill_is_the_same_message() {
    let mut replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let first = ann.says_once("lobby", "once", "key-1").await.with(201);

    replica.kill9();
    replica.restart().await;

    assert_eq!(
        ann.says_once("lobby", "once", "key-1").await.with(200)["id"],
        first["id"]
    );
    assert_eq!(ann.history("lobby").await.len(), 1);
}

#[tokio::test]
async fn many_copies_at_once_are_one_message() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    let answers = all_at_once((0..16).map(|_| ann.says_once("lobby", "once", "key-1"))).await;

    let created = answers.iter().filter(|it| it.status == 201).count();
    let repeated = answers.iter().filter(|it| it.status == 200).count();
    assert_eq!((created, repeated), (1, 15));
    assert_eq!(ann.history("lobby").await.len(), 1);
}

#[tokio::test]
async fn a_retry_on_another_replica_is_the_same_message() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let first = ann[0].says_once("lobby", "once", "key-1").await.with(201);
    cluster.agree(&[1, 2], "lobby", 1).await;

    let again = ann[1].says_once("lobby", "once", "key-1").await.with(200);

    assert_eq!(again["id"], first["id"]);
    ann[1]
        .says_once("lobby", "other", "key-1")
        .await
        .refused(409, "key_reused");
    cluster.agree(&[1, 2], "lobby", 1).await;
}

#[tokio::test]
async fn copies_sent_on_both_sides_of_a_cut_are_one_message_after_it() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;

    cluster.isolate(3);
    let here = ann[0].says_once("lobby", "once", "key-1").await.with(201);
    let there = ann[2].says_once("lobby", "once", "key-1").await.with(201);
    assert_eq!(
        here["id"], there["id"],
        "the id comes from author, group, key and text"
    );
    bob[0].likes("lobby", &here["id"]).await.with(200);
    ann[2].says("lobby", "after it").await;
    cluster.heal();

    let history = cluster.agree(&[1, 2, 3], "lobby", 2).await;
    assert_eq!(texts(&history), ["once", "after it"]);
    assert_eq!(
        history[0]["position"], here["position"],
        "the earlier copy is the message"
    );
    assert_eq!(history[0]["likes"], 1, "a like of either copy counts");
    cluster.show_the_same_bytes("lobby").await;
    for ann in &ann {
        assert_eq!(
            ann.says_once("lobby", "once", "key-1").await.with(200)["id"],
            here["id"]
        );
    }
}

#[tokio::test]
async fn one_key_for_two_texts_on_two_sides_of_a_cut_keeps_both() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;

    cluster.cut(&[1], &[2]);
    ann[0].says_once("lobby", "left", "key-1").await.with(201);
    ann[1].says_once("lobby", "right", "key-1").await.with(201);
    cluster.heal();

    let history = cluster.agree(&[1, 2], "lobby", 2).await;
    assert_eq!(texts(&history), ["left", "right"]);
}

#[tokio::test]
async fn keys_are_short_printable_texts() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let longest = "k".repeat(128);
    let too_long = "k".repeat(129);

    ann.says_once("lobby", "longest", &longest).await.with(201);
    ann.says_once("lobby", "odd", "a b !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~")
        .await
        .with(201);
    for key in ["", too_long.as_str(), "schlüssel", "tab\tkey"] {
        let detail = ann
            .says_once("lobby", "no", key)
            .await
            .refused(422, "invalid");
        assert!(
            detail.to_lowercase().contains("idempotency-key"),
            "{detail}"
        );
    }
    assert_eq!(ann.history("lobby").await.len(), 2);
}

#[tokio::test]
async fn without_a_key_the_same_text_is_said_twice() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    let first = ann.says("lobby", "knock").await;
    let second = ann.says("lobby", "knock").await;

    assert_ne!(first["id"], second["id"]);
    let body = json!({ "text": "knock", "sent_at": first["sent_at"] });
    ann.post("/v1/groups/lobby/messages", &body).await.with(201);
    assert_eq!(ann.history("lobby").await.len(), 3);
}
