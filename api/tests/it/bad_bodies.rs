//! Invalid bodies are refused with a reason, and disturb nobody.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Replica, User, texts};

const MESSAGES: &str = "/v1/groups/lobby/messages";

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for body in [
        &b""[..],
        b" ",
        b"{",
        b"{\"text\":}",
        b"{\"text\":\"x\"} more",
        b"{'text':'x'}",
        b"text=x",
        b"{\"text\":\"\xff\xfe\"}",
        b"{\"text\":\"line\nfeed\"}",
        b"\xef\xbb\xbf",
        b"NaN",
        b"{\"text\":\"x\",}",
    ] {
        send(&ann, MESSAGES, body).await.refused(400, "malformed");
        send(&ann, "/v1/sessions", body)
            .await
            .refused(400, "malformed");
    }
    nothing_happened(&ann).await;
}

#[tokio::test]
async fn a_byte_order_mark_in_front_of_a_body_is_passed_over() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    let body = "\u{feff}{\"text\": \"marked\"}";
    send(&ann, MESSAGES, body.as_bytes()).await.with(201);
    let body = "\u{feff}{\"name\": \"bob\"}";
    send(&ann, "/v1/sessions", body.as_bytes()).await.with(201);

    assert_eq!(texts(&ann.history("lobby").await), ["marked"]);
}

#[tokio::test]
async fn json_of_a_wrong_shape_is_invalid_and_the_field_is_named() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for (body, named) in [
        (json!({}), "text"),
        (json!({ "text": null }), "text"),
        (json!({ "text": 5 }), "text"),
        (json!({ "text": true }), "text"),
        (json!({ "text": ["x"] }), "text"),
        (json!({ "text": { "x": "y" } }), "text"),
        (json!({ "Text": "x" }), "Text"),
        (json!({ "text": "x", "txet": "y" }), "txet"),
        (json!({ "text": "x", "author": { "id": "z" } }), "author"),
        (json!({ "text": "x", "sent_at": 12345 }), "sent_at"),
        (json!({ "text": "x", "sent_at": "yesterday" }), "sent_at"),
        (
            json!({ "text": "x", "sent_at": "2026-13-45T99:99:99Z" }),
            "sent_at",
        ),
        (json!({ "text": "x", "sent_at": "" }), "sent_at"),
    ] {
        let detail = ann.post(MESSAGES, &body).await.refused(422, "invalid");
        assert!(detail.contains(named), "{body}: {detail}");
    }
    for body in [
        json!([]),
        json!("text"),
        json!(5),
        json!(null),
        json!([{ "text": "x" }]),
    ] {
        ann.post(MESSAGES, &body).await.refused(422, "invalid");
        ann.post("/v1/sessions", &body)
            .await
            .refused(422, "invalid");
    }
    for (body, named) in [
        (json!({}), "name"),
        (json!({ "name": 5 }), "name"),
        (json!({ "name": null }), "name"),
        (json!({ "name": "ann", "admin": true }), "admin"),
    ] {
        let detail = ann
            .post("/v1/sessions", &body)
            .await
            .refused(422, "invalid");
        assert!(detail.contains(named), "{body}: {detail}");
    }
    nothing_happened(&ann).await;
}

#[tokio::test]
async fn a_field_given_twice_is_refused() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    let answer = send(&ann, MESSAGES, br#"{"text":"one","text":"two"}"#).await;

    assert!(
        matches!(answer.status, 400 | 422),
        "{}: {}",
        answer.status,
        answer.body
    );
    nothing_happened(&ann).await;
}

#[tokio::test]
async fn only_json_is_taken() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let body = r#"{"text":"x"}"#;

    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "junk",
    ] {
        let request = ann
            .request(Method::POST, MESSAGES)
            .header("Content-Type", media_type);
        let answer = ann.tries(request.body(body)).await.expect("an answer");
        answer.refused(415, "unsupported_media_type");
    }
    let request = ann.request(Method::POST, MESSAGES).body(body);
    ann.tries(request)
        .await
        .expect("an answer")
        .refused(415, "unsupported_media_type");
    nothing_happened(&ann).await;

    for media_type in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
    ] {
        let request = ann
            .request(Method::POST, MESSAGES)
            .header("Content-Type", media_type);
        ann.tries(request.body(body))
            .await
            .expect("an answer")
            .with(201);
    }
}

#[tokio::test]
async fn a_password_has_at_most_256_characters() {
    let replica = Replica::start().await;
    let logs_in = async |password: &str| {
        let request = replica.door.request(Method::POST, "/v1/sessions");
        let body = json!({ "name": "ann", "password": password });
        Answer::to(request.json(&body)).await.expect("an answer")
    };

    logs_in(&"é".repeat(256)).await.with(201);
    let refused = logs_in(&"é".repeat(257)).await;

    assert_eq!(
        refused.refused(422, "invalid"),
        "`password`: may have at most 256 characters."
    );
}

#[tokio::test]
async fn a_body_may_have_sixty_four_kibibytes() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let padded = |length: usize| {
        let mut body = br#"{"text":"x"}"#.to_vec();
        body.resize(length, b' ');
        body
    };

    send(&ann, MESSAGES, &padded(64 * 1024)).await.with(201);
    for length in [64 * 1024 + 1, 200_000, 1024 * 1024] {
        send(&ann, MESSAGES, &padded(length))
            .await
            .refused(413, "too_large");
    }
    let huge = ann
        .request(Method::POST, MESSAGES)
        .header("Content-Type", "application/json");
    if let Ok(answer) = ann.tries(huge.body(padded(8 * 1024 * 1024))).await {
        answer.refused(413, "too_large");
    }
    assert_eq!(texts(&ann.history("lobby").await), ["x"]);
}

#[tokio::test]
async fn deep_and_odd_json_harms_nothing() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;

    for body in [
        "[".repeat(60_000),
        format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000)),
        format!(r#"{{"text":{}}}"#, "{\"a\":".repeat(5000)),
        format!(
            r#"{{"text":"x","seen":{}{}}}"#,
            "[".repeat(1000),
            "]".repeat(1000)
        ),
        r#"{"text":"\ud800"}"#.to_owned(),
        r#"{"text":1e999999}"#.to_owned(),
        format!(r#"{{"text":{}}}"#, "9".repeat(60_000)),
    ] {
        let answer = send(&ann, MESSAGES, body.as_bytes()).await;
        match answer.status {
            400 => answer.refused(400, "malformed"),
            _ => answer.refused(422, "invalid"),
        };
    }
    nothing_happened(&ann).await;
}

#[tokio::test]
async fn a_body_where_none_is_asked_for_is_ignored() {
    let replica = Replica::start().await;
    let ann = replica.user("ann").await;

    for body in ["", "{}", "junk"] {
        let request = ann.request(Method::PUT, "/v1/groups/lobby/members/me");
        let request = request
            .header("Content-Type", "application/json")
            .body(body);
        ann.tries(request).await.expect("an answer").with(200);
    }
}

async fn send(user: &User, path: &str, body: &[u8]) -> Answer {
    let request = user
        .request(Method::POST, path)
        .header("Content-Type", "application/json");
    user.tries(request.body(body.to_vec()))
        .await
        .expect("an answer")
}

/// Asserts that nothing of the refused requests was stored and the server goes on.
async fn nothing_happened(user: &User) {
    assert!(user.history("lobby").await.is_empty());
    let mut stream = user.listens("lobby").await;
    stream.catches_up().await;
}
