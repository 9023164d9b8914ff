//! Connections and open files (D1).

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::{OPEN_FILES, is_readable, posts_anew, recovers, small, small_with, sockets};
use crate::harness::{PATIENCE, Replica, always, eventually, texts};

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

#[tokio::test]
async fn silent_sockets_on_any_port_keep_nobody_from_writing() {
    let (replica, ann) = small().await;
    let process = replica.process();
    let more_than_all = OPEN_FILES as usize + 400;

    for (port, address) in [("public", process.public), ("internal", process.internal)] {
        for bytes in [&b""[..], b"GET /v1/server HT"] {
            let silent = sockets(address, more_than_all, bytes).await;
            for number in 0..20 {
                let text = format!("{port} {} {number}", bytes.len());
                posts_anew(&ann, &text).await;
                ann.says("lobby", &text).await;
            }
            drop(silent);
            posts_anew(&ann, &format!("{port} {} after", bytes.len())).await;
        }
    }

    recovers(&replica).await;
    is_readable(&replica);
}

#[tokio::test]
async fn a_silent_socket_is_closed_and_half_a_request_is_refused_in_words() {
    let (replica, _) = small().await;
    let address = replica.door.address();
    let mut silent = sockets(address, 1, b"").await.remove(0);
    let mut begun = sockets(address, 1, b"GET /healthz HTTP/1.1\r\n")
        .await
        .remove(0);
    let (mut nothing, mut answer) = (String::new(), String::new());

    let both = async {
        silent.read_to_string(&mut nothing).await.unwrap();
        begun.read_to_string(&mut answer).await.unwrap();
    };

    timeout(PATIENCE, both).await.expect("both are closed");
    assert_eq!(nothing, "");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn beyond_all_connections_that_serve_the_next_one_is_refused_with_a_reason() {
    let (replica, ann) = small_with("[limits]\nmax_connections = 8\n").await;
    let ben = replica.member("ben", "lobby").await;
    let mut streams = Vec::new();
    for _ in 0..7 {
        streams.push(ben.anew().listens("lobby").await);
    }
    // The last one is kept by this member's own client.
    ann.says("lobby", "one").await;
    let last = ann.anew().listens("lobby").await;

    let refused = eventually("a refusal", async || {
        let answer = replica.door.get("/healthz").await;
        (answer.status == 503)
            .then_some(answer)
            .ok_or("served")
            .map_err(str::to_owned)
    });
    let refused = refused.await;

    refused.refused(503, "busy");
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(refused.header("connection"), Some("close"));
    drop((streams, last));
    recovers(&replica).await;
    posts_anew(&ann, "two").await;
    let history = ann.history("lobby").await;
    assert_eq!(texts(&history), ["one", "two"]);
    is_readable(&replica);
}

#[tokio::test]
async fn requests_beyond_all_connections_are_answered_and_streams_go_on() {
    let (replica, ann) = small_with("[limits]\nmax_connections = 8\n").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;

    let asking = sockets(replica.door.address(), 300, ASK).await;
    for mut socket in asking {
        let mut begin = [0; 13];
        // Beyond those that are being refused a connection is closed unanswered.
        let read = timeout(PATIENCE, socket.read_exact(&mut begin)).await;
        if read.expect("an answer or an end").is_ok() {
            assert!(begin.starts_with(b"HTTP/1.1 200 ") || begin.starts_with(b"HTTP/1.1 503 "));
        }
    }

    posts_anew(&ann, "still here").await;
    let message = stream.next_of(&["message"]).await;
    assert_eq!(message.data["text"], "still here");
    is_readable(&replica);
}

/// The file beside the database stays open, so that writes never need another one.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn writes_go_on_where_no_file_can_be_opened() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "before").await;
    replica.process().limit_open_files(3);

    let mut file = replica.identity_file();
    for _ in 0..3 {
        file = eventually("the file is written again", async || {
            ann.says("lobby", "meanwhile").await;
            let now = replica.identity_file();
            (now != file)
                .then_some(now)
                .ok_or_else(|| "the same".into())
        })
        .await;
    }
    let waiting = sockets(replica.door.address(), 5, ASK).await;
    always(Duration::from_secs(1), "members write", async || {
        ann.says("lobby", "meanwhile").await;
        Ok(())
    })
    .await;

    replica.process().limit_open_files(u64::from(OPEN_FILES));
    drop(waiting);
    recovers(&replica).await;
    posts_anew(&ann, "after").await;
    is_readable(&replica);
}
