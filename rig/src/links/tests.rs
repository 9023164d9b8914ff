use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_whole_link_passes_everything_and_the_end() {
    let (link, _echo) = to_an_echo().await;
    let mut caller = TcpStream::connect(link.address()).await.unwrap();
    let sent = vec![7; 3_000_000];
    let (mut reading, mut writing) = caller.split();

    let mut heard = Vec::new();
    let sends = async {
        writing.write_all(&sent).await.unwrap();
        writing.shutdown().await.unwrap();
    };
    tokio::join!(sends, async {
        reading.read_to_end(&mut heard).await.unwrap()
    });

    assert!(heard == sent);
}

#[tokio::test]
async fn a_cut_closes_what_is_open_and_what_is_opened() {
    let (link, _echo) = to_an_echo().await;
    let mut open = TcpStream::connect(link.address()).await.unwrap();
    assert!(hears(&mut open).await);

    link.cut();

    assert!(is_closed(&mut open).await);
    assert!(is_closed(&mut TcpStream::connect(link.address()).await.unwrap()).await);
    assert!(link.is_cut());
}

#[tokio::test]
async fn a_healed_link_works_again() {
    let (link, _echo) = to_an_echo().await;
    link.cut();
    link.heal();

    let mut caller = TcpStream::connect(link.address()).await.unwrap();

    assert!(hears(&mut caller).await);
}

#[tokio::test]
async fn a_silent_link_takes_and_answers_nothing_until_it_is_healed() {
    let (link, _echo) = to_an_echo().await;
    let mut open = TcpStream::connect(link.address()).await.unwrap();
    assert!(hears(&mut open).await);
    link.black_hole();
    let mut new = TcpStream::connect(link.address()).await.unwrap();

    for caller in [&mut open, &mut new] {
        caller.write_all(b"?").await.unwrap();
        assert!(timeout(SOON, caller.read_u8()).await.is_err());
    }
    link.heal();

    for caller in [&mut open, &mut new] {
        assert_eq!(
            timeout(LATE, caller.read_u8()).await.unwrap().unwrap(),
            b'?'
        );
    }
}

#[tokio::test]
async fn a_slow_link_is_slow_in_both_directions() {
    let (link, _echo) = to_an_echo().await;
    let mut caller = TcpStream::connect(link.address()).await.unwrap();
    assert!(hears(&mut caller).await);
    link.delay(SOON);
    let asked = Instant::now();

    assert!(hears(&mut caller).await);

    assert!(asked.elapsed() >= SOON * 2);
}

#[tokio::test]
async fn a_link_to_nowhere_closes_at_once() {
    let link = Link::open().await.unwrap();

    assert!(is_closed(&mut TcpStream::connect(link.address()).await.unwrap()).await);
}

async fn hears(caller: &mut TcpStream) -> bool {
    caller.write_all(b"!").await.unwrap();
    matches!(timeout(LATE, caller.read_u8()).await, Ok(Ok(b'!')))
}

async fn is_closed(caller: &mut TcpStream) -> bool {
    timeout(LATE, caller.read_u8())
        .await
        .expect("it is closed in time")
        .is_err()
}

/// A link to a server that answers with what it hears.
async fn to_an_echo() -> (Link, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let link = Link::open().await.unwrap();
    link.set_target(listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut echoes = JoinSet::new();
        while let Ok((mut caller, _)) = listener.accept().await {
            echoes.spawn(async move {
                let (mut reading, mut writing) = caller.split();
                let _ = tokio::io::copy(&mut reading, &mut writing).await;
            });
        }
    });
    (link, serving)
}
