//! The replicator as it runs: real logs in Postgres, real HTTP between them.
#![expect(clippy::unwrap_used, reason = "a test fails where its helper does")]
#![expect(
    clippy::too_many_lines,
    reason = "a scenario is easier to read in one piece"
)]
#![expect(clippy::disallowed_methods, reason = "a test has a clock of its own")]

mod ahead;
mod blocked;
mod bounds;
mod hung;
mod support;
mod torn;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::{Dot, Epoch, ReplicaId};
use causeway_domain::names::UserId;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator::link::Link;
use causeway_replicator::link::http::HttpLink;
use causeway_replicator_core::auth::PeerKeys;
use causeway_replicator_core::failure::LinkError;
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::liveness::Status;
use causeway_replicator_core::presence::{Online, Report};
use causeway_replicator_core::wire::{Caller, Digest, PROTOCOL, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use support::{Door, expect_agreement, replicas, until};

#[tokio::test]
async fn what_is_written_anywhere_is_everywhere() {
    let replicas = replicas(3, |_| b"key").await;

    for replica in &replicas {
        for number in 0..5 {
            replica.join(&format!("user{}-{number}", replica.id)).await;
        }
    }

    expect_agreement(&replicas, 15).await;
    stop(replicas).await;
}

#[tokio::test]
async fn both_sides_of_a_cut_agree_after_it() {
    let replicas = replicas(3, |_| b"key").await;
    replicas[0].join("first").await;
    expect_agreement(&replicas, 1).await;
    replicas[0].set_door(Door::Shut);
    replicas[1].set_door(Door::Shut);
    replicas[2].set_door(Door::Shut);
    for replica in &replicas {
        replica.join(&format!("alone{}", replica.id)).await;
    }

    for replica in &replicas {
        replica.set_door(Door::Open);
    }

    expect_agreement(&replicas, 4).await;
    stop(replicas).await;
}

#[tokio::test]
async fn a_replica_that_nobody_can_call_is_brought_up_to_date_and_heard() {
    let replicas = replicas(2, |_| b"key").await;
    replicas[0].set_door(Door::Shut);

    replicas[0].join("inside").await;
    replicas[1].join("outside").await;

    expect_agreement(&replicas, 2).await;
    stop(replicas).await;
}

#[tokio::test]
async fn a_great_difference_is_caught_up_with_in_batches() {
    let replicas = replicas(2, |_| b"key").await;
    replicas[0].set_door(Door::Shut);
    replicas[1].set_door(Door::Shut);
    let joins = (0..2_500).map(|number| format!("user{number}"));
    let joins: Vec<_> = joins.collect();
    futures_util::future::join_all(joins.iter().map(|who| replicas[0].join(who))).await;

    replicas[0].set_door(Door::Open);
    replicas[1].set_door(Door::Open);

    expect_agreement(&replicas, 2_500).await;
    stop(replicas).await;
}

#[tokio::test]
async fn a_replica_with_another_key_is_kept_out_and_disturbs_nobody() {
    let key = |number| if number == 3 { b"bad" as &[u8] } else { b"key" };
    let replicas = replicas(3, key).await;

    replicas[2].join("stranger").await;
    replicas[0].join("friend").await;

    expect_agreement(&replicas[..2], 1).await;
    let knowledge = replicas[0].replicator.knowledge();
    assert_eq!(knowledge.peers[&replicas[2].id].held, None);
    assert_eq!(replicas[2].log.head().vector.len(), 1);
    stop(replicas).await;
}

#[tokio::test]
async fn users_online_at_one_replica_are_seen_at_the_other() {
    let replicas = replicas(2, |_| b"key").await;
    let ann = Online {
        group: "lobby".into(),
        id: UserId("1".into()),
        name: "ann".into(),
    };
    let mut seen = BTreeMap::new();
    let mut names = || {
        seen.extend(replicas[1].replicator.take_online_changes());
        seen.values().flatten().cloned().collect::<Vec<_>>()
    };

    replicas[0]
        .replicator
        .change_presence(vec![ann.clone()], vec![]);
    until("ann is seen", || names() == ["ann"]).await;
    replicas[0].replicator.change_presence(vec![], vec![ann]);
    until("ann is gone", || names().is_empty()).await;

    stop(replicas).await;
}

#[tokio::test]
async fn a_write_becomes_stored_everywhere_and_settled() {
    let replicas = replicas(2, |_| b"key").await;
    replicas[0].join("ann").await;
    let head = replicas[0].log.head();
    let (origin, seq) = head.vector.iter().next().unwrap();
    let dot = Dot { origin, seq };

    until("both hold it, and it is settled", || {
        let knowledge = replicas[0].replicator.knowledge();
        knowledge.stored_on(dot, &head.vector).len() == 2
            && knowledge.settled_ts >= head.highest
            && knowledge.has_caught_up
    })
    .await;
    let view = replicas[0].replicator.view();
    assert_eq!(view[0].status, Status::Up);
    assert_eq!(
        (view[0].missing_here, view[0].missing_there),
        (Some(0), Some(0))
    );
    let closed_ts = replicas[0].replicator.ask_closed_timestamps().await;
    assert!(closed_ts.unwrap() >= knowledge_floor(&replicas[0]));

    stop(replicas).await;
}

#[tokio::test]
async fn a_link_to_a_silent_server_gives_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = link(&listener);
    let started = Instant::now();

    let answer = link.digest(&question()).await;

    assert_eq!(answer, Err(LinkError::Unreachable));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_answer_that_is_not_signed_is_not_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = link(&listener);
    let answers = [
        ("200 OK", "{}"),
        ("409 Conflict", r#"{"refused":"unknown"}"#),
        ("401 Unauthorized", r#"{"refused":"unauthenticated"}"#),
    ];
    let after = VersionVector::default();
    let mut outcomes = Vec::new();
    for (status, body) in answers {
        let serving = answer_once(&listener, status, body);
        let (outcome, ()) = tokio::join!(link.pull(&after, 1), serving);
        outcomes.push(outcome.map(|decoded| decoded.events.len()));
    }

    assert!(matches!(outcomes[0], Err(LinkError::Malformed(_))));
    assert!(matches!(outcomes[1], Err(LinkError::Malformed(_))));
    let unauthenticated = LinkError::Refused(Refusal::Unauthenticated);
    assert_eq!(outcomes[2], Err(unauthenticated));
}

#[tokio::test]
async fn an_answer_without_end_is_cut_short() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = link(&listener);
    let endless = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        let _ = stream.read(&mut request).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(&[b'x'; 8_192]).await.is_ok() {}
    };
    let after = VersionVector::default();

    let (outcome, ()) = tokio::join!(link.pull(&after, 1), endless);

    assert!(matches!(outcome, Err(LinkError::Malformed(_))));
}

async fn answer_once(listener: &TcpListener, status: &str, body: &str) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 4_096];
    let _ = stream.read(&mut request).await.unwrap();
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn link(listener: &TcpListener) -> HttpLink {
    let replica = ReplicaId::new(1).unwrap();
    link_of(
        replica,
        &format!("http://{}/", listener.local_addr().unwrap()),
    )
}

fn link_of(replica: ReplicaId, url: &str) -> HttpLink {
    let caller = Caller {
        cluster: "test".into(),
        replica,
        instance: Instance(1),
    };
    HttpLink::new(url, replica, caller, PeerKeys::new(b"key", None), None)
}

fn question() -> Digest {
    let replica = ReplicaId::new(1).unwrap();
    Digest {
        replica,
        epoch: Epoch(1),
        instance: Instance(1),
        n: 0,
        cluster: "test".into(),
        protocol: PROTOCOL,
        vector: BTreeMap::new(),
        closed_ts: Hlc::default(),
        wall: 0,
        presence: Report::default(),
        lag_ms: 0,
        pulling: false,
        forked: BTreeSet::new(),
        withheld: BTreeSet::new(),
        rumours: BTreeMap::new(),
    }
}

fn knowledge_floor(replica: &support::Replica) -> Hlc {
    replica.replicator.knowledge().settled_ts
}

async fn stop(replicas: Vec<support::Replica>) {
    for replica in replicas {
        replica.stop().await;
    }
}
