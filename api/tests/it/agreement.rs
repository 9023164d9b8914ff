//! One history, equal on every replica.

use serde_json::json;

use crate::harness::{Cluster, eventually, texts};

#[tokio::test]
async fn what_is_posted_on_one_replica_is_read_on_all_five() {
    let cluster = Cluster::of(5).await;
    let ann = cluster.at(1).member("ann", "lobby").await;

    let posted = ann.says("lobby", "hello, all of you").await;

    let history = cluster.agree(&[1, 2, 3, 4, 5], "lobby", 1).await;
    for field in [
        "id",
        "group",
        "author",
        "text",
        "received_at",
        "origin",
        "vector",
        "position",
    ] {
        assert_eq!(history[0][field], posted[field], "{field}");
    }
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn messages_from_every_replica_stand_in_one_order_everywhere() {
    let cluster = Cluster::of(5).await;
    let everywhere = cluster.member_everywhere("ann", "lobby").await;

    for round in 0..4 {
        for (at, ann) in everywhere.iter().enumerate() {
            ann.says("lobby", &format!("{round} from {}", at + 1)).await;
        }
    }

    let history = cluster.agree(&[1, 2, 3, 4, 5], "lobby", 20).await;
    let positions: Vec<&str> = history
        .iter()
        .filter_map(|it| it["position"].as_str())
        .collect();
    assert!(
        positions.is_sorted(),
        "positions sort like the order: {positions:?}"
    );
    for origin in 1..=5 {
        let own: Vec<&str> = texts(&history)
            .into_iter()
            .filter(|it| it.ends_with(&origin.to_string()))
            .collect();
        assert!(
            own.is_sorted(),
            "what one replica was told keeps its order: {own:?}"
        );
    }
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn an_answer_sorts_after_the_question_it_was_given_to() {
    let cluster = Cluster::of(3).await;
    let everywhere = cluster.member_everywhere("ann", "lobby").await;

    for step in 0..9 {
        let here = &everywhere[step % 3];
        eventually("the question being here", async || {
            let count = here.history("lobby").await.len();
            if count == step {
                Ok(())
            } else {
                Err(format!("{count} of {step}"))
            }
        })
        .await;
        here.says("lobby", &format!("step {step}")).await;
    }

    let history = cluster.agree(&[1, 2, 3], "lobby", 9).await;
    assert!(texts(&history).is_sorted(), "{:?}", texts(&history));
    let vectors: Vec<Vec<u64>> = history
        .iter()
        .map(|it| serde_json::from_value(it["vector"].clone()).expect("numbers"))
        .collect();
    for pair in vectors.windows(2) {
        assert_eq!(pair[0].len(), 3, "a number for each replica");
        let grows = pair[0]
            .iter()
            .zip(&pair[1])
            .all(|(before, after)| before <= after);
        assert!(
            grows && pair[0] != pair[1],
            "the past is in the vector: {pair:?}"
        );
    }
}

#[tokio::test]
async fn a_group_made_on_one_replica_is_listed_on_the_others() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.at(1).member("ann", "garden").await;
    cluster.at(2).member("bob", "garden").await;
    let message = ann.says("garden", "roses").await;

    for number in cluster.numbers() {
        let ann = ann.at(cluster.at(number));
        let group = eventually("the group being listed", async || {
            let list = ann.get("/v1/groups").await.with(200);
            let groups = list["groups"].as_array().expect("a list");
            let garden = groups.iter().find(|it| it["name"] == "garden").cloned();
            garden
                .filter(|it| it["members"] == 2 && it["last_message_at"].is_string())
                .ok_or(list.to_string())
        })
        .await;
        assert_eq!(group["joined"], true);
        assert_eq!(group["online"], 0);
        assert_eq!(group["last_message_at"], message["received_at"]);
        assert_eq!(ann.get("/v1/groups").await.json()["next"], json!(null));
    }
}
