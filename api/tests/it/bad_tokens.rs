//! No token or a bad one, paths and methods that do not exist.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Replica};

const CALLS: [(&str, &str); 14] = [
    ("GET", "/v1/groups"),
    ("PUT", "/v1/groups/lobby/members/me"),
    ("DELETE", "/v1/groups/lobby/members/me"),
    ("GET", "/v1/groups/lobby"),
    ("GET", "/v1/groups/lobby/members"),
    ("POST", "/v1/groups/lobby/messages"),
    ("GET", "/v1/groups/lobby/messages"),
    ("GET", "/v1/groups/lobby/messages/x"),
    ("PUT", "/v1/groups/lobby/messages/x/likes/me"),
    ("DELETE", "/v1/groups/lobby/messages/x/likes/me"),
    ("GET", "/v1/groups/lobby/events"),
    ("GET", "/v1/groups/lobby/changes"),
    ("GET", "/v1/view"),
    ("DELETE", "/v1/sessions/current"),
];

#[tokio::test]
async fn every_call_of_people_needs_a_good_token() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut other = Replica::prepare().await;
    other.settings.key = "another key, also longer than thirty-two bytes".into();
    other.restart().await;
    let foreign = other.user("ann").await.token;
    let middle = ann.token.len() / 2;
    let changed = if ann.token.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    let mut tampered = ann.token.clone();
    tampered.replace_range(middle..=middle, changed);
    let bad = [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        "Bearer junk".into(),
        format!("Bearer {tampered}"),
        format!("Bearer {}", &ann.token[..ann.token.len() - 1]),
        format!("Bearer {foreign}"),
        format!("Bearer {}", "A".repeat(5000)),
        format!("Basic {}", ann.token),
        ann.token.clone(),
    ];

    for (method, path) in CALLS {
        let method = || method.parse::<Method>().expect("a method");
        let without = Answer::to(replica.door.request(method(), path)).await;
        without.expect("an answer").refused(401, "unauthenticated");
        for header in &bad {
            let request = replica
                .door
                .request(method(), path)
                .header("Authorization", header);
            let answer = Answer::to(request).await.expect("an answer");
            let detail = answer.refused(401, "unauthenticated");
            assert!(!detail.contains(&ann.token));
            let challenge = answer
                .header("www-authenticate")
                .unwrap_or_default()
                .to_owned();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
        }
    }
    assert!(ann.history("lobby").await.is_empty());
}

#[tokio::test]
async fn a_missing_token_is_said_before_anything_about_the_body() {
    let replica = Replica::start().await;

    let request = replica
        .door
        .request(Method::POST, "/v1/groups/lobby/messages?limit=junk");
    let answer = Answer::to(request.body("not json"))
        .await
        .expect("an answer");

    answer.refused(401, "unauthenticated");
}

#[tokio::test]
async fn paths_that_do_not_exist_are_not_found() {
    let replica = Replica::start().await;
    let ann = replica.user("ann").await;

    for path in [
        "/v1",
        "/v1/",
        "/v2/groups",
        "/v1/group",
        "/v1/groups/lobby/nothing",
        "/index.html",
        "/v1/groups/lobby/messages/x/likes",
        "/v1/sessions/other",
        "//",
        "/v1/groups/lobby/members/you",
        "/.env",
        "/peer/v1/digest",
    ] {
        replica.door.get(path).await.refused(404, "not_found");
        ann.get(path).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn methods_that_do_not_exist_are_answered_with_those_that_do() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for (method, path, allowed) in [
        ("GET", "/v1/sessions", &["POST"][..]),
        ("POST", "/v1/view", &["GET"]),
        ("DELETE", "/v1/groups", &["GET"]),
        ("PATCH", "/v1/groups/lobby/messages", &["GET", "POST"]),
        ("POST", "/v1/groups/lobby/members/me", &["PUT", "DELETE"]),
        (
            "GET",
            "/v1/groups/lobby/messages/x/likes/me",
            &["PUT", "DELETE"],
        ),
        ("POST", "/v1/groups/lobby/events", &["GET"]),
        ("POST", "/healthz", &["GET"]),
        ("DELETE", "/metrics", &["GET"]),
        ("POST", "/openapi.json", &["GET"]),
        ("BREW", "/v1/view", &["GET"]),
    ] {
        let method: Method = method.parse().expect("a method");
        let answer = ann
            .tries(ann.request(method, path))
            .await
            .expect("an answer");
        answer.refused(405, "method_not_allowed");
        let allow = answer.header("allow").unwrap_or_default().to_owned();
        let mut named: Vec<&str> = allow.split(',').map(str::trim).collect();
        named.retain(|it| !["HEAD", "OPTIONS"].contains(it));
        named.sort_unstable();
        let mut allowed = allowed.to_vec();
        allowed.sort_unstable();
        assert_eq!(named, allowed, "{path}");
    }
}

#[tokio::test]
async fn groups_and_messages_that_do_not_exist_are_not_found() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let id = ann.says("lobby", "hello").await["id"]
        .as_str()
        .expect("a text")
        .to_owned();

    for rest in [
        "",
        "/members",
        "/messages",
        "/events",
        "/changes",
        &format!("/messages/{id}"),
    ] {
        let detail = ann
            .get(&format!("/v1/groups/nowhere{rest}"))
            .await
            .refused(404, "not_found");
        assert!(detail.contains("group"), "{rest}: {detail}");
    }
    let body = json!({ "text": "hello" });
    ann.post("/v1/groups/nowhere/messages", &body)
        .await
        .refused(404, "not_found");
    ann.put(&format!("/v1/groups/nowhere/messages/{id}/likes/me"))
        .await
        .refused(404, "not_found");
    ann.leaves("nowhere").await;
    ann.get("/v1/groups/nowhere")
        .await
        .refused(404, "not_found");

    let odd = [
        "0",
        "x",
        "%00",
        "%F0%9F%99%82",
        "00000000-0000-0000-0000-000000000000",
        "'--",
    ];
    let long = "f".repeat(5000);
    for id in odd.iter().copied().chain([long.as_str()]) {
        ann.get(&format!("/v1/groups/lobby/messages/{id}"))
            .await
            .refused(404, "not_found");
        let likes = format!("/v1/groups/lobby/messages/{id}/likes/me");
        ann.put(&likes).await.refused(404, "not_found");
        ann.delete(&likes).await.refused(404, "not_found");
    }
}
