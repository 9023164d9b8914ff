//! Unknown and invalid parameters.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Replica, Stream};

#[tokio::test]
async fn a_parameter_that_does_not_exist_is_refused_by_name() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for (method, path) in [
        ("GET", "/v1/groups"),
        ("PUT", "/v1/groups/lobby/members/me"),
        ("DELETE", "/v1/groups/lobby/members/me"),
        ("GET", "/v1/groups/lobby"),
        ("GET", "/v1/groups/lobby/members"),
        ("GET", "/v1/groups/lobby/messages"),
        ("GET", "/v1/groups/lobby/events"),
        ("GET", "/v1/groups/lobby/changes"),
        ("GET", "/v1/view"),
        ("GET", "/v1/server"),
    ] {
        let method: Method = method.parse().expect("a method");
        let request = ann.request(method, &format!("{path}?colour=red"));
        let answer = ann.tries(request).await.expect("an answer");
        let detail = answer.refused(422, "invalid");
        assert!(detail.contains("colour"), "{path}: {detail}");
    }
    let answer = ann
        .post(
            "/v1/groups/lobby/messages?dry_run=1",
            &json!({ "text": "x" }),
        )
        .await;
    assert!(answer.refused(422, "invalid").contains("dry_run"));
    assert!(ann.history("lobby").await.is_empty());
    assert_eq!(
        ann.snapshot("lobby").await["members_count"],
        1,
        "the leaving was refused"
    );
}

#[tokio::test]
async fn limits_of_lists_are_checked_everywhere() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for path in [
        "/v1/groups",
        "/v1/groups/lobby/members",
        "/v1/groups/lobby/messages",
    ] {
        for limit in [
            "0",
            "-1",
            "x",
            "",
            "1.0",
            "18446744073709551616",
            "1&limit=2",
        ] {
            let answer = ann.get(&format!("{path}?limit={limit}")).await;
            let detail = answer.refused(422, "invalid");
            assert!(detail.contains("limit"), "{path} {limit}: {detail}");
        }
    }
}

#[tokio::test]
async fn odd_query_strings_harm_nothing() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for query in [
        "%FF=%FF",
        "limit=%FF",
        "before=%00",
        "around=%27%20OR%201=1",
        "&&=&",
        "=",
        "after=%F0%9F",
    ] {
        let answer = ann.get(&format!("/v1/groups/lobby/messages?{query}")).await;
        assert!(
            matches!(answer.status, 200 | 404 | 422),
            "{query}: {} {}",
            answer.status,
            answer.body
        );
    }
}

#[tokio::test]
async fn an_empty_cursor_is_none_and_an_empty_place_is_refused_by_name() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "before").await;

    for path in [
        "/v1/groups/lobby/changes?cursor=",
        "/v1/groups/lobby/changes?cursor&at_least=",
        "/v1/groups/lobby?at_least=",
        "/v1/groups?at_least=&after=",
        "/v1/groups/lobby/members?after=",
        "/v1/server?at_least=",
    ] {
        let answer = ann.get(path).await.with(200);
        assert_ne!(answer["caught_up"], false, "{path}");
    }
    let request = ann.request(Method::GET, "/v1/groups/lobby/events?cursor=");
    let mut stream = Stream::open(request.header("Last-Event-ID", "")).await;
    assert!(stream.catches_up().await.is_empty(), "it starts now");
    for place in ["before", "after", "around"] {
        let answer = ann
            .get(&format!("/v1/groups/lobby/messages?{place}="))
            .await;
        let detail = answer.refused(422, "invalid");
        assert!(detail.contains(&format!("`{place}`")), "{detail}");
    }
}
