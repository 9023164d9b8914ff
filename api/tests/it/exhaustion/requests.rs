//! Requests: bodies of nobody, large answers that nobody takes, pages without a token (D6).

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{is_readable, posts_anew, recovers, returns_memory, small, sockets};
use crate::harness::{Door, PATIENCE, always, texts};

/// A megabyte from somebody without a token, announced and never finished.
const UNFINISHED: &[u8] = b"POST /v1/groups/lobby/messages HTTP/1.1\r\nHost: localhost\r\n\
Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{\"text\": \"";
const LARGE_HEAD: &[u8] = &[b'a'; 60_000];
const UNREAD: &[u8] = b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\nGET /docs HTTP/1.1\r\n\
Host: localhost\r\n\r\nGET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn bodies_heads_and_answers_that_stand_still_disturb_nobody() {
    let (replica, ann) = small().await;
    posts_anew(&ann, "before").await;
    let before = replica.process().memory_kb();

    for bytes in [UNFINISHED, LARGE_HEAD, UNREAD] {
        let held = sockets(replica.door.address(), 500, bytes).await;
        for number in 0..10 {
            ann.says("lobby", &format!("meanwhile {number}")).await;
        }
        drop(held);
    }

    recovers(&replica).await;
    posts_anew(&ann, "after").await;
    returns_memory(&replica, before).await;
    let history = ann.history("lobby").await;
    assert_eq!(texts(&history).len(), 32);
    is_readable(&replica);
}

#[tokio::test]
async fn pages_without_a_token_asked_for_without_end_disturb_nobody() {
    let (replica, ann) = small().await;
    posts_anew(&ann, "before").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;
    let before = replica.process().memory_kb();
    let hammers = || {
        (0..64).map(|number| {
            let door = Door::at(replica.door.address());
            let path = ["/metrics", "/docs", "/openapi.json", "/v1/server"][number % 4];
            async move {
                loop {
                    door.get(path).await;
                }
            }
        })
    };

    let meanwhile = always(Duration::from_secs(3), "members write", async || {
        ann.says("lobby", "meanwhile").await;
        Ok(())
    });
    tokio::select! {
        _ = join_all(hammers()) => unreachable!("they never end"),
        () = meanwhile => {}
    }

    let heard = timeout(PATIENCE, stream.next_of(&["message"])).await;
    heard.expect("the stream goes on");
    posts_anew(&ann, "after").await;
    returns_memory(&replica, before).await;
    is_readable(&replica);
}
