use serde_json::Value;

use super::demo::{Demo, NOW, document, expired_token, refusal, token};

#[tokio::test]
async fn a_good_request_gets_through() {
    let demo = Demo::start().await;

    let read = demo.read("/v1/groups/lobby?limit=5").send().await.unwrap();
    assert_eq!(read.status(), 200);
    assert_eq!(read.headers()["x-content-type-options"], "nosniff");
    assert!(read.headers().contains_key("x-request-id"));
    assert_eq!(read.text().await.unwrap(), r#""lobby Some(5)""#);

    let written = demo.write(r#"{"text": "hi", "seen": ["a", "b"]}"#);
    let written = written.send().await.unwrap().text().await.unwrap();
    assert_eq!(written, r#""ann hi 2""#);

    let page = demo.client.get(demo.url("/metrics?any=1")).send().await;
    assert_eq!(page.unwrap().text().await.unwrap(), "up 1\n");
    demo.stop().await;
}

#[tokio::test]
async fn an_address_that_does_not_exist_is_not_found_without_a_token_too() {
    let demo = Demo::start().await;

    for path in [
        "/",
        "/v1",
        "/v1/nothing?x=1",
        "/v1/groups/a/b/c",
        "/metrics/x",
        "/%FF",
    ] {
        let answer = refusal(demo.client.get(demo.url(path))).await;
        answer.is(404, "not_found");
    }
    demo.stop().await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let demo = Demo::start().await;

    let answer = refusal(demo.client.delete(demo.url("/v1/groups/lobby"))).await;
    answer.is(405, "method_not_allowed");
    assert_eq!(answer.headers["allow"], "GET, HEAD");
    let answer = refusal(demo.client.get(demo.url("/v1/open"))).await;
    assert_eq!(answer.headers["allow"], "PUT");
    let answer = refusal(demo.client.post(demo.url("/metrics"))).await;
    assert_eq!(answer.headers["allow"], "GET, HEAD");

    let head = demo.client.head(demo.url("/v1/groups/lobby"));
    let head = head.bearer_auth(token(NOW)).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.text().await.unwrap(), "");
    let head = demo.client.head(demo.url("/v1/open")).send().await.unwrap();
    assert_eq!(head.status(), 405);
    assert_eq!(head.headers()["allow"], "PUT");
    demo.stop().await;
}

#[tokio::test]
async fn without_a_token_nothing_else_is_looked_at() {
    let demo = Demo::start().await;
    let messages = demo.url("/v1/groups/%FF/messages?unknown=1");

    for request in [
        demo.client.post(&messages),
        demo.client.post(&messages).body("nonsense"),
        demo.client.post(&messages).body(vec![b'x'; 300_000]),
        demo.client.post(&messages).bearer_auth("made up"),
        demo.client.post(&messages).bearer_auth(expired_token()),
        demo.client
            .post(&messages)
            .basic_auth("ann", Some("secret")),
    ] {
        let answer = refusal(request).await;
        answer.is(401, "unauthenticated");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let answer = refusal(demo.client.post(&messages).bearer_auth(expired_token())).await;
    assert!(answer.detail.contains("expired"), "{}", answer.detail);
    demo.stop().await;
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed() {
    let demo = Demo::start().await;

    for body in ["", "{", "nonsense", r#"{"text": 5,"#] {
        refusal(demo.write(body)).await.is(400, "malformed");
    }
    let not_text = vec![b'{', b'"', 0xff, b'"', b'}'];
    refusal(demo.write(not_text)).await.is(400, "malformed");
    demo.stop().await;
}

#[tokio::test]
async fn json_of_a_wrong_shape_is_told_which_field() {
    let demo = Demo::start().await;

    for (body, field) in [
        (r#"{"text": 5}"#, "`text`"),
        ("{}", "`text`"),
        (r#"{"text": "a", "colour": "red"}"#, "`colour`"),
        (r#"{"text": "a", "seen": []}"#, "`seen`"),
        (r#"{"text": "a", "seen": [1]}"#, "`seen[0]`"),
        (r#"["a"]"#, "`body`"),
    ] {
        let answer = refusal(demo.write(body)).await;
        answer.is(422, "invalid");
        assert!(answer.detail.contains(field), "{body}: {}", answer.detail);
    }
    let long = format!(r#"{{"{}": 1}}"#, "é".repeat(20_000));
    assert!(refusal(demo.write(long)).await.detail.len() < 1_000);
    demo.stop().await;
}

#[tokio::test]
async fn only_json_is_read() {
    let demo = Demo::start().await;
    let messages = demo.url("/v1/groups/lobby/messages");
    let post = || demo.client.post(&messages).bearer_auth(token(NOW));

    let untyped = refusal(post().body(r#"{"text": "a"}"#)).await;
    untyped.is(415, "unsupported_media_type");
    let form = refusal(post().body("text=a").header("content-type", "text/plain")).await;
    form.is(415, "unsupported_media_type");
    let charset = post()
        .header("content-type", "application/json; charset=utf-8")
        .body(r#"{"text": "a"}"#);
    assert_eq!(charset.send().await.unwrap().status(), 200);
    demo.stop().await;
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_in_words() {
    let demo = Demo::start().await;
    let message = |length: usize| format!(r#"{{"text": "{}"}}"#, "x".repeat(length));

    let fits = demo.write(message(65_536 - 12)).send().await.unwrap();
    assert_eq!(fits.status(), 200);
    refusal(demo.write(message(65_536 - 11)))
        .await
        .is(413, "too_large");
    refusal(demo.write(message(1_000_000)))
        .await
        .is(413, "too_large");
    let ignored = demo.client.put(demo.url("/v1/open")).body(vec![0; 500_000]);
    assert_eq!(ignored.send().await.unwrap().status(), 200);
    demo.stop().await;
}

#[tokio::test]
async fn a_parameter_that_cannot_be_taken_is_named() {
    let demo = Demo::start().await;

    for (query, named) in [
        ("limit=abc", "`limit`: must be a whole number, 0 or more."),
        ("limit=", "`limit`: "),
        ("limit=0", "`limit`: must be at least 1."),
        ("limit=501", "`limit`: must be at most 500."),
        ("limit=-1", "`limit`: "),
        ("limit=99999999999999999999", "`limit`: is too large."),
        ("limit=1&limit=2", "`limit`: may be given only once."),
        (
            "limits=1",
            "`limits`: is not known here; known are `limit`.",
        ),
        ("limit=%FF", "`limit`: must be UTF-8."),
    ] {
        let answer = refusal(demo.read(&format!("/v1/groups/lobby?{query}"))).await;
        answer.is(422, "invalid");
        assert!(
            answer.detail.starts_with(named),
            "{query}: {}",
            answer.detail
        );
    }
    demo.stop().await;
}

#[tokio::test]
async fn a_header_that_cannot_be_read_is_not_passed_over() {
    let demo = Demo::start().await;
    let message = || demo.write(r#"{"text": "a"}"#);

    let answer = refusal(message().header("Idempotency-Key", "é")).await;
    answer.is(422, "invalid");
    assert!(answer.detail.contains("`Idempotency-Key`") || answer.detail.contains("IDEMPOTENCY"));
    let twice = message()
        .header("Idempotency-Key", "a")
        .header("Idempotency-Key", "b");
    refusal(twice).await.is(422, "invalid");
    demo.stop().await;
}

#[tokio::test]
async fn a_path_that_is_not_text_is_refused_by_the_handler() {
    let demo = Demo::start().await;

    refusal(demo.read("/v1/groups/a%FFb"))
        .await
        .is(422, "invalid");
    let slash = demo.read("/v1/groups/%C3%A9%2F%20").send().await.unwrap();
    assert_eq!(slash.text().await.unwrap(), "\"é/  None\"");
    demo.stop().await;
}

#[tokio::test]
async fn a_failure_of_ours_says_nothing_internal() {
    let demo = Demo::start().await;

    refusal(demo.read("/v1/groups/panic"))
        .await
        .is(500, "internal");
    let full = refusal(demo.read("/v1/groups/disk")).await;
    full.is(507, "disk_full");
    assert!(!full.response.contains("secret"), "{}", full.response);
    let bare = refusal(demo.client.get(demo.url("/bare"))).await;
    bare.is(503, "unavailable");
    assert_eq!(bare.headers["retry-after"], "2");
    refusal(demo.read("/v1/groups/empty"))
        .await
        .is(404, "not_found");
    demo.stop().await;
}

#[tokio::test]
async fn a_request_id_goes_in_and_out() {
    let demo = Demo::start().await;

    let mine = refusal(
        demo.client
            .get(demo.url("/no"))
            .header("X-Request-Id", "mine 1"),
    )
    .await;
    assert_eq!(mine.headers["x-request-id"], "mine 1");
    let too_long = demo.client.get(demo.url("/no"));
    let too_long = refusal(too_long.header("X-Request-Id", "x".repeat(129))).await;
    assert!(too_long.headers["x-request-id"].len() < 64);
    demo.stop().await;
}

#[test]
fn the_document_says_what_an_operation_needs_and_how_it_is_refused() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    let write = &document["paths"]["/v1/groups/{group}/messages"]["post"];

    assert_eq!(write["security"][0]["token"], Value::Array(vec![]));
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
    let body = &write["requestBody"];
    assert_eq!(body["required"], true);
    assert_eq!(
        body["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/NewMessage"
    );
    let seen = &document["components"]["schemas"]["NewMessage"]["properties"]["seen"];
    assert_eq!(seen["maxItems"], 2);
    for status in ["401", "409", "422", "503"] {
        let refused = &write["responses"][status]["content"]["application/problem+json"];
        assert_eq!(
            refused["schema"]["$ref"], "#/components/schemas/Problem",
            "{status}"
        );
    }
    let problem = &document["components"]["schemas"]["Problem"];
    assert_eq!(
        problem["required"],
        serde_json::json!(["type", "title", "status", "detail", "code", "request_id"])
    );
}
