//! A call between replicas that somebody captured is worth nothing, and what callers without the key
//! send costs nothing.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Captured, Cluster, Haste, Tap, eventually};

const REPEATED: &str = r#"{"refused":"repeated"}"#;
const UNKNOWN_SESSION: &str = r#"{"refused":"unknown_session"}"#;

#[tokio::test]
async fn a_captured_call_is_worth_nothing_anywhere_and_at_any_time() {
    let mut cluster = Cluster::of(3).await;
    let tap = tapped(&cluster, Haste::None).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[0].says("lobby", "pushed").await;
    let calls = every_kind(&cluster, &tap).await;
    // What replica 2 would give to whoever pulls again.
    ann[1].says("lobby", "written later").await;
    let is_counted = r#"causeway_peer_calls_refused_total{reason="repeated"}"#;
    let before = cluster.at(2).metric(is_counted).await;

    for call in &calls {
        let mut other_body = call.clone();
        other_body.body.iter_mut().for_each(|byte| *byte ^= 1);
        for call in [call, &other_body] {
            let again = call.sent_to(cluster.at(2).process().internal).await;
            assert!(again.starts_with("HTTP/1.1 409"), "{again}");
            assert!(again.ends_with(REPEATED), "{again}");
        }
        let elsewhere = call.sent_to(cluster.at(3).process().internal).await;
        assert!(elsewhere.starts_with("HTTP/1.1 409"), "{elsewhere}");
        assert!(elsewhere.ends_with(UNKNOWN_SESSION), "{elsewhere}");
    }

    eventually("each being counted", async || {
        let counted = cluster.at(2).metric(is_counted).await;
        if counted == before + 2 * calls.len() {
            Ok(())
        } else {
            Err(format!("{before} and {counted}"))
        }
    })
    .await;
    assert_eq!(ann[1].view().await["alarms"].to_string(), "[]");
    cluster.roll(2).await;
    for call in &calls {
        let later = call.sent_to(cluster.at(2).process().internal).await;
        assert!(later.ends_with(UNKNOWN_SESSION), "{later}");
    }
    cluster.agree(&[1, 2, 3], "lobby", 3).await;
}

#[tokio::test]
async fn whoever_repeats_calls_and_is_faster_than_their_caller_holds_nothing_up() {
    let cluster = Cluster::of(2).await;
    let tap = tapped(&cluster, Haste::Half).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;

    ann[0].says("lobby", "one way").await;
    ann[1].says("lobby", "and the other").await;

    cluster.agree(&[1, 2], "lobby", 2).await;
    tap.captures("POST /peer/v1/events").await;
    for user in &ann {
        assert_eq!(user.view().await["alarms"].to_string(), "[]");
    }
}

#[tokio::test]
async fn a_flood_of_bodies_without_a_right_signature_costs_no_memory() {
    const MIB: u64 = 1 << 10;
    let cluster = Cluster::of(2).await;
    let internal = cluster.at(2).process().internal;
    let tap = tapped(&cluster, Haste::None).await;
    let call = tap.captures("POST /peer/v1/digest").await;
    let head = forged(&call.head);
    let before = cluster.at(2).process().memory_kb();

    let piece = vec![b'x'; 64 << 10];
    let floods = (0..60).map(async |_| {
        let mut socket = TcpStream::connect(internal).await.expect("a connection");
        socket
            .write_all(head.as_bytes())
            .await
            .expect("it is taken");
        for _ in 0..128 {
            if socket.write_all(&piece).await.is_err() {
                break;
            }
        }
        let mut answer = [0; 12];
        let answered = timeout(Duration::from_mins(1), socket.read_exact(&mut answer)).await;
        // A connection may be reset while its body is still under way.
        if let Ok(Ok(_)) = answered {
            assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 401");
        }
    });
    join_all(floods).await;

    let grown = cluster.at(2).process().memory_kb().saturating_sub(before);
    assert!(grown < 48 * MIB, "{} MiB", grown / MIB);
    cluster.sees_itself_whole().await;
    assert_eq!(
        cluster.at(2).user("ann").await.view().await["alarms"].to_string(),
        "[]"
    );
}

#[tokio::test]
async fn a_call_of_the_former_protocol_is_told_so() {
    let cluster = Cluster::of(2).await;
    let call = Captured {
        head: format!(
            "POST /peer/v1/digest HTTP/1.1\r\nhost: x\r\ncauseway-peer: 00000000:{}\r\n\
             content-length: 2\r\n\r\n",
            "0".repeat(64)
        ),
        body: b"{}".to_vec(),
    };

    let answer = call.sent_to(cluster.at(1).process().internal).await;

    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(
        answer.ends_with(r#"{"refused":"no_common_protocol","protocol":[2,2]}"#),
        "{answer}"
    );
}

/// Taps what replica 1 says to replica 2.
async fn tapped(cluster: &Cluster, haste: Haste) -> Tap {
    let tap = Tap::before(cluster.at(2).process().internal, haste).await;
    cluster.link(1, 2).set_target(tap.address);
    cluster.link(1, 2).cut();
    calls_are(cluster, "failing").await;
    cluster.link(1, 2).heal();
    calls_are(cluster, "ok").await;
    tap
}

async fn calls_are(cluster: &Cluster, expected: &str) {
    let watcher = cluster.at(1).user("watcher").await;
    eventually(
        &format!("calls to replica 2 being {expected}"),
        async || {
            let view = watcher.view().await;
            if view["peers"][0]["out"] == expected {
                Ok(())
            } else {
                Err(view.to_string())
            }
        },
    )
    .await;
}

/// Captures a digest, a push and a pull of replica 1 to replica 2.
async fn every_kind(cluster: &Cluster, tap: &Tap) -> Vec<Captured> {
    let mut calls = vec![
        tap.captures("POST /peer/v1/digest").await,
        tap.captures("POST /peer/v1/events").await,
    ];
    // All that replica 1 can learn of the next message is what it pulls itself.
    cluster.cut(&[2], &[3]);
    cluster.link(2, 1).cut();
    let bob = cluster.at(2).member("bob", "lobby").await;
    bob.says("lobby", "pulled").await;
    eventually("replica 1 having pulled", async || {
        let history = cluster.at(1).user("bob").await.history("lobby").await;
        if history.len() == 2 {
            Ok(())
        } else {
            Err(format!("{history:?}"))
        }
    })
    .await;
    calls.push(tap.captures("GET /peer/v1/events").await);
    cluster.heal();
    calls
}

/// The head with another code of the right length under the right key.
fn forged(head: &str) -> String {
    let signature = head
        .lines()
        .find(|line| line.starts_with("causeway-peer: "));
    let signature = signature.expect("it is signed");
    let (signed, _) = signature.rsplit_once(' ').expect("it has parts");
    let length = head
        .lines()
        .find(|line| line.starts_with("content-length: "));
    head.replace(signature, &format!("{signed} {}", "0".repeat(64)))
        .replace(length.expect("it has one"), "content-length: 8388608")
}
