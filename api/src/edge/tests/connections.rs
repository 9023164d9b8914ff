use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::demo::{Demo, LARGE, NOW, token};
use crate::edge::accept::ConnectionLimits;

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_body_that_does_not_arrive_is_refused() {
    let demo = Demo::start().await;
    let mut stream = TcpStream::connect(&demo.address).await.unwrap();
    let head = format!(
        "POST /v1/groups/lobby/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"text\": ",
        token(NOW)
    );
    stream.write_all(head.as_bytes()).await.unwrap();

    let answer = read_to_end(stream).await;

    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("did not arrive"), "{answer}");
    demo.stop().await;
}

#[tokio::test]
async fn a_client_that_is_refused_is_not_asked_for_its_body() {
    let demo = Demo::start().await;
    let mut stream = TcpStream::connect(&demo.address).await.unwrap();
    stream
        .write_all(
            b"POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
              Content-Length: 100000\r\n\r\n",
        )
        .await
        .unwrap();

    let answer = read_to_end(stream).await;

    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    demo.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_far_too_much_before_it_reads_still_gets_its_answer() {
    let demo = Demo::start().await;
    let mut stream = TcpStream::connect(&demo.address).await.unwrap();
    let head = format!(
        "POST /v1/groups/lobby/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 8000000\r\n\r\n",
        token(NOW)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; 8_000_000]).await.unwrap();

    let answer = read_to_end(stream).await;

    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    demo.stop().await;
}

#[tokio::test]
async fn a_client_that_says_at_once_that_it_is_done_still_gets_its_answer() {
    let demo = Demo::start().await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&demo.address).await.unwrap();
        stream.write_all(GET).await.unwrap();
        stream.shutdown().await.unwrap();

        let answer = read_to_end(stream).await;

        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    demo.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_arrive_is_refused_and_silence_is_closed() {
    let limits = ConnectionLimits {
        first_request: Duration::from_millis(100),
        ..ConnectionLimits::default()
    };
    let demo = Demo::start_with(limits).await;
    let mut begun = TcpStream::connect(&demo.address).await.unwrap();
    begun.write_all(b"GET /metrics HT").await.unwrap();
    let silent = TcpStream::connect(&demo.address).await.unwrap();

    let answer = read_to_end(begun).await;

    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"too_slow\""), "{answer}");
    assert_eq!(read_to_end(silent).await, "");
    demo.stop().await;
}

#[tokio::test]
async fn a_connection_between_two_requests_has_longer() {
    let limits = ConnectionLimits {
        first_request: Duration::from_millis(1),
        idle: DEADLINE,
        ..ConnectionLimits::default()
    };
    let demo = Demo::start_with(limits).await;
    let mut stream = TcpStream::connect(&demo.address).await.unwrap();
    let mut silent = TcpStream::connect(&demo.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(GET).await.unwrap();
        read_an_answer(&mut stream).await;
        // A silent connection is closed meanwhile.
        read_to_end(silent).await;
        silent = TcpStream::connect(&demo.address).await.unwrap();
    }
    demo.stop().await;
}

#[tokio::test]
async fn other_protocols_are_answered_in_words() {
    let demo = Demo::start().await;
    for (sent, status) in [
        (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], "505"),
        (b"GET /metrics\r\n", "400"),
        (b"GET /metrics HTTP/3.0\r\nHost: localhost\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
        (b"\0\0\0\0\0\0\0\0\r\n\r\n", "400"),
    ] {
        let mut stream = TcpStream::connect(&demo.address).await.unwrap();
        stream.write_all(sent).await.unwrap();

        let answer = read_to_end(stream).await;

        let is_as_it_should = answer.starts_with(&format!("HTTP/1.1 {status} "));
        assert!(is_as_it_should, "{sent:?}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    let mut old = TcpStream::connect(&demo.address).await.unwrap();
    let request = b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    old.write_all(request).await.unwrap();
    let answer = read_to_end(old).await;
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    demo.stop().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_let_go() {
    let limits = ConnectionLimits {
        write_stall: Duration::from_millis(200),
        ..ConnectionLimits::default()
    };
    let demo = Demo::start_with(limits).await;
    let mut stalled = TcpStream::connect(&demo.address).await.unwrap();
    stalled.write_all(FLOOD).await.unwrap();
    let readers = || demo.readers.load(Ordering::SeqCst);

    until(|| readers() == 1).await;
    until(|| readers() == 0).await;

    demo.stop().await;
}

#[tokio::test]
async fn above_the_limit_silence_gives_way_and_what_serves_does_not() {
    let limits = ConnectionLimits {
        connections: 2,
        ..ConnectionLimits::default()
    };
    let demo = Demo::start_with(limits).await;
    let mut streaming = TcpStream::connect(&demo.address).await.unwrap();
    streaming.write_all(FLOOD).await.unwrap();
    let mut byte = [0];
    streaming.read_exact(&mut byte).await.unwrap();
    let silent = TcpStream::connect(&demo.address).await.unwrap();

    let mut asking = TcpStream::connect(&demo.address).await.unwrap();
    asking.write_all(GET).await.unwrap();
    read_an_answer(&mut asking).await;
    assert_eq!(read_to_end(silent).await, "");

    asking.write_all(FLOOD).await.unwrap();
    asking.read_exact(&mut byte).await.unwrap();
    let mut refused = TcpStream::connect(&demo.address).await.unwrap();
    refused.write_all(GET).await.unwrap();
    let answer = read_to_end(refused).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    for part in ["retry-after: 5", "connection: close", "\"code\":\"busy\""] {
        assert!(answer.contains(part), "{answer}");
    }

    drop(asking);
    let readers = || demo.readers.load(Ordering::SeqCst);
    until(|| readers() == 1).await;
    let mut next = TcpStream::connect(&demo.address).await.unwrap();
    next.write_all(GET).await.unwrap();
    read_an_answer(&mut next).await;
    streaming.read_exact(&mut byte).await.unwrap();
    demo.stop().await;
}

/// A client may take long for an answer: that is no idleness.
#[tokio::test]
async fn an_answer_that_is_being_sent_is_not_cut_by_the_next_connection() {
    let limits = ConnectionLimits {
        connections: 1,
        ..ConnectionLimits::default()
    };
    let demo = Demo::start_with(limits).await;
    let mut slow = TcpStream::connect(&demo.address).await.unwrap();
    slow.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    slow.read_exact(&mut byte).await.unwrap();

    let mut other = TcpStream::connect(&demo.address).await.unwrap();
    other.write_all(GET).await.unwrap();
    let refused = read_to_end(other).await;

    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(read_to_end(slow).await.len() > LARGE);
    demo.stop().await;
}

#[tokio::test]
async fn stopping_closes_streams_that_would_go_on_for_ever() {
    let demo = Demo::start().await;
    let mut stream = TcpStream::connect(&demo.address).await.unwrap();
    stream.write_all(FLOOD).await.unwrap();
    let readers = demo.readers.clone();
    until(|| readers.load(Ordering::SeqCst) == 1).await;

    timeout(DEADLINE, demo.stop()).await.expect("an end");

    assert_eq!(readers.load(Ordering::SeqCst), 0);
}

pub(super) const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
pub(super) const FLOOD: &[u8] = b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Reads the answer to `GET`, and nothing of a next one.
async fn read_an_answer(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    let reading = async {
        while !answer.ends_with(b"\r\n\r\nup 1\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
    };
    timeout(DEADLINE, reading).await.expect("an answer in time");
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

pub(super) async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    drop(read.expect("the server closes the connection"));
    String::from_utf8(answer).unwrap()
}

pub(super) async fn until(fact: impl Fn() -> bool) {
    let wait = async {
        while !fact() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, wait).await.expect("the fact in time");
}
