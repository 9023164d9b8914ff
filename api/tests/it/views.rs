//! What a replica says about itself and its peers.

use serde_json::{Value, json};

use crate::harness::{Cluster, Replica, User, eventually};

#[tokio::test]
async fn a_view_names_every_replica() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[0].says("lobby", "hello").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;

    let view = ann[1].view().await;

    assert_eq!(view["self"]["replica"], 2);
    assert_eq!(view["self"]["public_url"], "http://127.0.0.1:12002");
    assert!(view["self"]["epoch"].is_string());
    assert_eq!(view["self"]["vector"].as_array().map(Vec::len), Some(3));
    let peers = view["peers"].as_array().expect("a list");
    assert_eq!(
        peers
            .iter()
            .map(|peer| &peer["replica"])
            .collect::<Vec<_>>(),
        [&json!(1), &json!(3)]
    );
    for peer in peers {
        assert_eq!(peer["status"], "up");
        assert_eq!(peer["out"], "ok");
        let fields = [
            "public_url",
            "internal_url",
            "since",
            "last_heard_ms",
            "rtt_ms",
            "missing_here",
            "missing_there",
        ];
        for field in fields {
            assert!(peer.get(field).is_some(), "no `{field}` in {peer}");
        }
    }
}

#[tokio::test]
async fn all_views_come_to_the_same_vector() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    for ann in &ann {
        ann.says("lobby", "hello").await;
    }

    eventually("equal vectors and nothing missing", async || {
        let mut vectors = Vec::new();
        for ann in &ann {
            let view = ann.view().await;
            let missing = view["peers"]
                .as_array()
                .expect("a list")
                .iter()
                .any(|peer| peer["missing_here"] != 0 || peer["missing_there"] != 0);
            if missing {
                return Err(view.to_string());
            }
            vectors.push(view["self"]["vector"].clone());
        }
        let is_equal = vectors.windows(2).all(|pair| pair[0] == pair[1]);
        if is_equal {
            Ok(())
        } else {
            Err(format!("{vectors:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_killed_peer_is_suspected_then_down_and_up_again_when_it_is_back() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;

    cluster.kill9(2);
    let down = becomes(&ann[0], 2, "down").await;
    assert_eq!(down["out"], "failing");
    ann[0].says("lobby", "while it is away").await;
    becomes(&ann[0], 3, "up").await;
    eventually("what it lacks being counted", async || {
        let view = ann[0].view().await;
        let missing = view["peers"][0]["missing_there"]
            .as_u64()
            .unwrap_or_default();
        if missing > 0 {
            Ok(())
        } else {
            Err(view.to_string())
        }
    })
    .await;

    cluster.restart(2).await;
    becomes(&ann[0], 2, "up").await;
}

#[tokio::test]
async fn a_replica_without_peers_has_a_view_too() {
    let replica = Replica::start().await;

    let view = replica.user("ann").await.view().await;

    assert_eq!(view["self"]["replica"], 1);
    assert_eq!(view["peers"], json!([]));
}

async fn becomes(user: &User, replica: u16, status: &str) -> Value {
    eventually(&format!("replica {replica} being {status}"), async || {
        let view = user.view().await;
        let peers = view["peers"].as_array().expect("a list");
        let peer = peers
            .iter()
            .find(|peer| peer["replica"] == replica)
            .expect("it is listed");
        if peer["status"] == status {
            Ok(peer.clone())
        } else {
            Err(peer.to_string())
        }
    })
    .await
}
