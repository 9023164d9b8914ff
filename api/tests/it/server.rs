//! The server itself: health, readiness, metrics, description.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Cluster, Replica};

#[tokio::test]
async fn a_server_says_that_it_is_alive_and_ready_without_a_token() {
    let replica = Replica::start().await;

    assert_eq!(replica.door.get("/healthz").await.status, 200);
    crate::harness::eventually("being ready", async || {
        let answer = replica.door.get("/readyz").await;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.body)
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_describes_itself_without_a_token() {
    let cluster = Cluster::of(2).await;

    let about = cluster.at(2).door.get("/v1/server").await.with(200);

    assert_eq!(about["replica"], 2);
    assert_eq!(about["replicas"], json!([1, 2]));
    let view = cluster.at(1).user("ann").await.view().await;
    let urls = [&view["self"], &view["peers"][0]].map(|of| of["public_url"].clone());
    assert!(urls[0].is_string() && urls[0] != urls[1], "{view}");
    assert_eq!(about["public_urls"], json!(urls));
    assert_eq!(about["cluster"], "it");
    assert_eq!(about["mode"], "open");
    assert!(about["version"].is_string());
    assert!(about["limits"].to_string().contains("4000"), "{about}");
}

#[tokio::test]
async fn metrics_are_for_prometheus() {
    let replica = Replica::start().await;
    replica
        .member("ann", "lobby")
        .await
        .says("lobby", "a secret of ann")
        .await;

    let metrics = replica.door.get("/metrics").await;

    assert_eq!(metrics.status, 200);
    assert!(
        metrics
            .header("content-type")
            .is_some_and(|it| it.starts_with("text/plain"))
    );
    assert!(
        metrics.body.lines().any(|line| line.starts_with("# TYPE ")),
        "{}",
        metrics.body
    );
    assert!(!metrics.body.contains("secret"));
}

#[tokio::test]
async fn a_session_names_user_replica_and_end() {
    let replica = Replica::start().await;

    let request = replica.door.request(Method::POST, "/v1/sessions");
    let session = Answer::to(request.json(&json!({ "name": "Ann" })))
        .await
        .expect("an answer");
    let session = session.with(201);

    assert_eq!(session["user"]["name"], "ann");
    assert_eq!(session["replica"], 1);
    assert!(session["token"].is_string());
    assert!(
        session["expires_at"]
            .as_str()
            .is_some_and(|it| it.ends_with('Z')),
        "{session}"
    );
    let ann = replica.user("ann").await;
    ann.delete("/v1/sessions/current").await.with(204);
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let replica = Replica::start().await;
    let ask = async |path: &str, id: &str| {
        let request = replica
            .door
            .request(Method::GET, path)
            .header("X-Request-Id", id);
        Answer::to(request).await.expect("an answer")
    };

    assert_eq!(
        ask("/healthz", "my-id-1").await.header("x-request-id"),
        Some("my-id-1")
    );
    let refused = ask("/v1/groups", "my-id-2").await;
    refused.refused(401, "unauthenticated");
    assert_eq!(refused.json()["request_id"], "my-id-2");
    let too_long = "x".repeat(129);
    let drawn = ask("/nowhere", &too_long).await;
    drawn.refused(404, "not_found");
    assert_ne!(drawn.header("x-request-id"), Some(too_long.as_str()));
    let first = replica.door.get("/healthz").await;
    let second = replica.door.get("/healthz").await;
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn peers_are_not_served_on_the_public_port() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.at(1).user("ann").await;

    for path in [
        "/peer/v1/digest",
        "/peer/v1/events",
        "/peer",
        "/peer/v1/nothing",
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = ann.tries(ann.request(method, path).json(&json!({}))).await;
            answer.expect("an answer").refused(404, "not_found");
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_takes_as_many_open_files_as_the_system_gives() {
    let replica = Replica::start().await;

    let (soft, hard) = replica.process().open_files();

    assert_eq!(soft, hard);
}
