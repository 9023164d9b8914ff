//! Broken HTTP: the connection may be lost, and nothing else.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, Replica, texts};

#[tokio::test]
async fn noise_on_the_public_port_disturbs_nobody() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;
    let long_line = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(1_000_000)
    );
    let many_headers = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "A: b\r\n".repeat(5000)
    );

    for noise in [
        &b"\0\x01\x02\x03\xff\xfe\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz",
        long_line.as_bytes(),
        many_headers.as_bytes(),
    ] {
        let said = talk(&replica, noise, Then::Leave).await;
        let is_refused = said.is_empty() || said.starts_with("HTTP/1.");
        assert!(is_refused && !said.contains(" 500 "), "{said}");
    }

    ann.says("lobby", "still here").await;
    assert_eq!(
        stream.next_of(&["message"]).await.data["text"],
        "still here"
    );
}

#[tokio::test]
async fn a_head_of_64_kib_with_100_headers_is_taken() {
    let replica = Replica::start().await;
    let mut head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".to_owned();
    head += &"A: b\r\n".repeat(97);
    let room = 64 * 1024 - head.len() - "X: \r\n\r\n".len();
    let head = format!("{head}X: {}\r\n\r\n", "a".repeat(room));

    let said = talk(&replica, head.as_bytes(), Then::Leave).await;

    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

#[tokio::test]
async fn a_head_that_is_not_taken_is_answered_with_a_problem() {
    let replica = Replica::start().await;
    let long = "a".repeat(70_000);

    for (request, status, code) in [
        (
            format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            414,
            "too_large",
        ),
        (
            format!("GET /v1/server?at_least={long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            414,
            "too_large",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}{long}{long}\r\n\r\n"),
            431,
            "too_large",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
                "A: b\r\n".repeat(200)
            ),
            431,
            "too_large",
        ),
        ("HELLO\r\n\r\n".to_owned(), 400, "malformed"),
    ] {
        let said = talk(&replica, request.as_bytes(), Then::Leave).await;
        let (head, body) = said.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains("application/problem+json"), "{head}");
        assert!(head.contains("x-request-id: "), "{head}");
        let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(
            (&problem["code"], &problem["status"]),
            (&code.into(), &status.into())
        );
    }
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_disturbs_nobody() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let head = format!(
        "POST /v1/groups/lobby/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 18\r\n\r\n",
        ann.token
    );

    for round in 0..40 {
        let mut socket = TcpStream::connect(replica.door.address())
            .await
            .expect("it listens");
        socket.write_all(head.as_bytes()).await.expect("it reads");
        let body = br#"{"text":"half..."}"#;
        // Half of them leave before their request is whole, half right after it.
        let sent = if round % 2 == 0 {
            &body[..9]
        } else {
            &body[..]
        };
        socket.write_all(sent).await.expect("it reads");
        drop(socket);
    }

    ann.says("lobby", "whole").await;
    let history = ann.history("lobby").await;
    assert!(history.len() <= 21, "half a request is no message");
    assert!(texts(&history).contains(&"whole"));
}

#[tokio::test]
async fn a_head_request_tells_what_a_get_would() {
    let replica = Replica::start().await;
    let head = b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

    let said = talk(&replica, head, Then::Stay).await;

    assert!(
        said.starts_with("HTTP/1.1 200") || said.starts_with("HTTP/1.1 405"),
        "{said}"
    );
    let (_, body) = said.split_once("\r\n\r\n").expect("a whole head");
    assert!(body.is_empty(), "{body}");
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Stay,
    Leave,
}

/// Sends bytes and returns the response until the connection ends or nothing more arrives.
async fn talk(replica: &Replica, bytes: &[u8], then: Then) -> String {
    let mut socket = TcpStream::connect(replica.door.address())
        .await
        .expect("it listens");
    drop(socket.write_all(bytes).await);
    if then == Then::Leave {
        drop(socket.shutdown().await);
    }
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    let listen = async {
        while let Ok(count @ 1..) = socket.read(&mut piece).await {
            said.extend_from_slice(&piece[..count]);
        }
    };
    let patience = PATIENCE.min(Duration::from_secs(20));
    tokio::time::timeout(patience, listen)
        .await
        .expect("a broken request is not kept waiting");
    String::from_utf8_lossy(&said).into_owned()
}
