//! Session guarantees at any replica: read your writes, and answers sort after their questions.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Cluster, Replica, texts};

#[tokio::test]
async fn every_write_answers_with_a_mark() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.user("bob").await;
    let message = ann.says("lobby", "hello").await;
    let id = message["id"].as_str().expect("a text");

    bob.put("/v1/groups/lobby/members/me").await.mark();
    bob.put("/v1/groups/lobby/members/me").await.mark();
    bob.post("/v1/groups/lobby/messages", &json!({ "text": "hi" }))
        .await
        .mark();
    bob.put(&format!("/v1/groups/lobby/messages/{id}/likes/me"))
        .await
        .mark();
    bob.delete(&format!("/v1/groups/lobby/messages/{id}/likes/me"))
        .await
        .mark();
    bob.delete("/v1/groups/lobby/members/me").await.mark();
}

#[tokio::test]
async fn a_reader_with_a_mark_waits_until_the_replica_has_what_was_written() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;

    for round in 1..=10 {
        let body = json!({ "text": format!("round {round}") });
        let mark = ann[0].post("/v1/groups/lobby/messages", &body).await.mark();
        let page = ann[1]
            .page("lobby", &format!("limit=100&at_least={mark}"))
            .await;
        assert_eq!(page["messages"].as_array().expect("a list").len(), round);
    }
}

#[tokio::test]
async fn a_replica_that_lacks_what_was_written_says_so() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.cut(&[1], &[2]);
    let body = json!({ "text": "only here" });
    let mark = ann[0].post("/v1/groups/lobby/messages", &body).await.mark();

    let asked = Instant::now();
    for path in [
        "/v1/groups/lobby/messages",
        "/v1/groups/lobby",
        "/v1/groups",
        "/v1/groups/lobby/events",
        "/v1/groups/lobby/changes",
    ] {
        ann[1]
            .get(&format!("{path}?at_least={mark}"))
            .await
            .refused(503, "behind");
    }
    assert!(
        asked.elapsed() > Duration::from_secs(5),
        "each call waits for up to two seconds"
    );
    ann[0].page("lobby", &format!("at_least={mark}")).await;

    cluster.heal();
    cluster.agree(&[1, 2], "lobby", 1).await;
    let page = ann[1].page("lobby", &format!("at_least={mark}")).await;
    assert_eq!(
        texts(page["messages"].as_array().expect("a list")),
        ["only here"]
    );
}

#[tokio::test]
async fn a_cursor_serves_as_a_mark_and_a_mark_never_as_a_cursor() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.joins("garden").await;
    let cursor = ann.snapshot("lobby").await["cursor"]
        .as_str()
        .expect("a text")
        .to_owned();
    let body = json!({ "text": "hello" });
    let mark = ann.post("/v1/groups/lobby/messages", &body).await.mark();

    ann.page("lobby", &format!("at_least={cursor}")).await;
    ann.page("garden", &format!("at_least={cursor}")).await;
    for path in ["events", "changes"] {
        let path = format!("/v1/groups/lobby/{path}?cursor={mark}");
        ann.get(&path).await.refused(422, "invalid");
    }
}

#[tokio::test]
async fn an_answer_sorts_below_its_question_also_where_the_question_is_unknown() {
    let mut cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    // A killed replica starts above everything it may have written, which can be seconds ahead: its
    // clock is now the faster one.
    cluster.kill9(1);
    cluster.restart(1).await;
    cluster.cut(&[1], &[2]);

    let question = ann[0]
        .post("/v1/groups/lobby/messages", &json!({ "text": "1 how?" }))
        .await;
    let cursor = bob[0].page("lobby", "").await["cursor"].clone();
    let mark = question.mark();
    for (number, seen) in [
        json!(mark),
        json!([mark]),
        json!(cursor),
        json!([cursor, mark]),
    ]
    .iter()
    .enumerate()
    {
        let text = format!("{} like this", number + 2);
        let body = json!({ "text": text, "seen": seen });
        bob[1]
            .post("/v1/groups/lobby/messages", &body)
            .await
            .with(201);
    }
    cluster.heal();

    let history = cluster.agree(&[1, 2], "lobby", 5).await;
    assert!(texts(&history).is_sorted(), "{:?}", texts(&history));
}

#[tokio::test]
async fn marks_and_seen_that_are_junk_are_refused() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mark = ann.put("/v1/groups/lobby/members/me").await.mark();

    for path in [
        "/v1/groups",
        "/v1/groups/lobby",
        "/v1/groups/lobby/messages",
        "/v1/view",
    ] {
        let answer = ann.get(&format!("{path}?at_least=junk")).await;
        let detail = answer.refused(422, "invalid");
        assert!(detail.contains("at_least"), "{detail}");
    }
    for seen in [
        json!("junk"),
        json!(["junk"]),
        json!([]),
        json!([mark, mark, mark]),
        json!(7),
        json!({}),
    ] {
        let body = json!({ "text": "hello", "seen": seen });
        let detail = ann
            .post("/v1/groups/lobby/messages", &body)
            .await
            .refused(422, "invalid");
        assert!(detail.contains("seen"), "{seen}: {detail}");
    }
    assert!(ann.history("lobby").await.is_empty());
}
