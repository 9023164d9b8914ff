//! Links that are neither whole nor cut: partial cuts, black holes, slow peers.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Cluster, User, eventually, texts};

#[tokio::test]
async fn what_two_replicas_cannot_tell_each_other_a_third_passes_on() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.cut(&[1], &[3]);

    ann[0].says("lobby", "from 1").await;
    ann[2].says("lobby", "from 3").await;

    cluster.agree(&[1, 2, 3], "lobby", 2).await;
}

#[tokio::test]
async fn messages_travel_along_a_chain_of_five() {
    let cluster = Cluster::of(5).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    for from in cluster.numbers() {
        for to in from + 2..=cluster.count() {
            cluster.cut(&[from], &[to]);
        }
    }

    ann[0].says("lobby", "from one end").await;
    ann[4].says("lobby", "from the other").await;

    cluster.agree(&[1, 2, 3, 4, 5], "lobby", 2).await;
}

#[tokio::test]
async fn one_direction_is_enough() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.link(1, 2).cut();

    ann[0].says("lobby", "from the one who cannot call").await;
    ann[1].says("lobby", "from the one who can").await;

    cluster.agree(&[1, 2], "lobby", 2).await;
    eventually("the failing direction being shown", async || {
        let view = ann[0].view().await;
        let peer = &view["peers"][0];
        if peer["out"] == "failing" && peer["status"] == "up" {
            Ok(())
        } else {
            Err(view.to_string())
        }
    })
    .await;
}

#[tokio::test]
async fn a_black_hole_delays_nobody_and_is_noticed() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    for (from, to) in [(1, 3), (3, 1), (2, 3), (3, 2)] {
        cluster.link(from, to).black_hole();
    }

    for round in 0..20 {
        let asked = Instant::now();
        ann[0].says("lobby", &format!("round {round}")).await;
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "a write waits for no peer"
        );
    }
    cluster.agree(&[1, 2], "lobby", 20).await;
    eventually("the silent peer being down", async || {
        let view = ann[0].view().await;
        let status = view["peers"].as_array().expect("a list").iter();
        let down = status.filter(|peer| peer["status"] == "down");
        let down: Vec<_> = down.map(|peer| peer["replica"].clone()).collect();
        if down == [3] {
            Ok(())
        } else {
            Err(view.to_string())
        }
    })
    .await;

    cluster.heal();
    cluster.agree(&[1, 2, 3], "lobby", 20).await;
}

#[tokio::test]
async fn a_slow_link_still_brings_everything() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.link(1, 2).delay(Duration::from_millis(300));
    cluster.link(2, 1).delay(Duration::from_millis(300));

    for round in 0..5 {
        ann[round % 2]
            .says("lobby", &format!("round {round}"))
            .await;
    }

    cluster.agree(&[1, 2], "lobby", 5).await;
}

#[tokio::test]
async fn a_peer_ten_seconds_slow_keeps_nobody_waiting_for_the_others() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let without = ten_that_two_hold(&ann).await;
    cluster.agree(&[1, 2, 3], "lobby", 10).await;
    for (from, to) in [(1, 3), (3, 1), (2, 3), (3, 2)] {
        cluster.link(from, to).delay(Duration::from_secs(10));
    }

    let beside = ten_that_two_hold(&ann).await;
    assert!(
        beside < without + Duration::from_secs(5),
        "{beside:?} beside a slow peer, {without:?} without: two of three are enough"
    );
    cluster.agree(&[1, 2], "lobby", 20).await;

    cluster.heal();
    cluster.agree(&[1, 2, 3], "lobby", 20).await;
}

/// How long ten messages take, one after the other, each until a second replica holds it.
async fn ten_that_two_hold(ann: &[User]) -> Duration {
    let begun = Instant::now();
    for round in 0..10 {
        let path = "/v1/groups/lobby/messages?wait_for=2&timeout_ms=20000";
        let text = serde_json::json!({ "text": format!("{round}") });
        let message = ann[round % 2].post(path, &text).await.with(201);
        let holders = message["stored_on"].as_array().map_or(0, Vec::len);
        assert!(holders >= 2, "{message}");
    }
    begun.elapsed()
}

#[tokio::test]
async fn a_frozen_replica_delays_nobody_and_catches_up() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.at(3).process().signal(Signal::STOP);

    for round in 0..10 {
        let asked = Instant::now();
        ann[round % 2].says("lobby", &format!("{round}")).await;
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "a write waits for no peer"
        );
    }
    let history = cluster.agree(&[1, 2], "lobby", 10).await;
    assert_eq!(texts(&history).len(), 10);

    cluster.at(3).process().signal(Signal::CONT);
    cluster.agree(&[1, 2, 3], "lobby", 10).await;
}
