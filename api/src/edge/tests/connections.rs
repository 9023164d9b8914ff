use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::demo::{Demo, NOW, token};
use crate::edge::accept::ConnectionLimits;

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_body_that_does_not_arrive_is_refused() {
    let demo = Demo::start().await;
    let mut stream = TcpStream::connect(&demo.address).await.unwrap();
    let head = format!(
        "POST /v1/groups/lobby/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
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
            b"POST /v1/nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
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
        "POST /v1/groups/lobby/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
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
async fn a_head_that_does_not_arrive_closes_the_connection() {
    let limits = ConnectionLimits {
        head: Duration::from_millis(100),
        ..ConnectionLimits::default()
    };
    let demo = Demo::start_with(limits).await;
    let mut stream = TcpStream::connect(&demo.address).await.unwrap();
    stream.write_all(b"GET /metrics HT").await.unwrap();

    let answer = read_to_end(stream).await;

    assert!(!answer.contains("200"), "{answer}");
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
    stalled
        .write_all(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let readers = || demo.readers.load(Ordering::SeqCst);

    until(|| readers() == 1).await;
    until(|| readers() == 0).await;

    demo.stop().await;
}

#[tokio::test]
async fn connections_above_the_limit_wait_for_their_turn() {
    let limits = ConnectionLimits {
        connections: 1,
        ..ConnectionLimits::default()
    };
    let demo = Demo::start_with(limits).await;
    let mut first = TcpStream::connect(&demo.address).await.unwrap();
    first.write_all(GET).await.unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();

    let mut second = TcpStream::connect(&demo.address).await.unwrap();
    second.write_all(GET).await.unwrap();
    let early = timeout(Duration::from_millis(200), second.read_exact(&mut byte)).await;
    assert!(early.is_err(), "the first one is still there");
    drop(first);

    let turn = timeout(DEADLINE, second.read_exact(&mut byte)).await;
    turn.expect("a turn in time").unwrap();
    demo.stop().await;
}

#[tokio::test]
async fn stopping_closes_streams_that_would_go_on_for_ever() {
    let demo = Demo::start().await;
    let mut stream = TcpStream::connect(&demo.address).await.unwrap();
    stream
        .write_all(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let readers = demo.readers.clone();
    until(|| readers.load(Ordering::SeqCst) == 1).await;

    timeout(DEADLINE, demo.stop()).await.expect("an end");

    assert_eq!(readers.load(Ordering::SeqCst), 0);
}

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    drop(read.expect("the server closes the connection"));
    String::from_utf8(answer).unwrap()
}

async fn until(fact: impl Fn() -> bool) {
    let wait = async {
        while !fact() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, wait).await.expect("the fact in time");
}
