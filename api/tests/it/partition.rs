//! Both sides of a partition go on alone, and have one history after it.

use serde_json::Value;

use crate::harness::{Cluster, eventually, ids, texts};

#[tokio::test]
async fn two_and_three_replicas_write_apart_and_show_one_history_after_healing() {
    let cluster = Cluster::of(5).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[0].says("lobby", "00 before the cut").await;
    cluster.agree(&[1, 2, 3, 4, 5], "lobby", 1).await;

    cluster.cut(&[1, 2], &[3, 4, 5]);
    for round in 1..=3 {
        for (at, ann) in ann.iter().enumerate() {
            ann.says("lobby", &format!("{round}{} in the cut", at + 1))
                .await;
        }
    }
    let small = cluster.agree(&[1, 2], "lobby", 7).await;
    let large = cluster.agree(&[3, 4, 5], "lobby", 10).await;
    cluster.heal();

    let history = cluster.agree(&[1, 2, 3, 4, 5], "lobby", 16).await;
    cluster.show_the_same_bytes("lobby").await;
    for side in [&small, &large] {
        let kept: Vec<&str> = ids(&history)
            .into_iter()
            .filter(|id| ids(side).contains(id))
            .collect();
        assert_eq!(kept, ids(side), "a merge inserts and never reorders");
    }
    assert_eq!(texts(&history)[0], "00 before the cut");
}

#[tokio::test]
async fn likes_memberships_and_groups_of_both_sides_are_merged() {
    let cluster = Cluster::of(5).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let message = ann[0].says("lobby", "like me").await;
    cluster.agree(&[1, 2, 3, 4, 5], "lobby", 1).await;

    cluster.cut(&[1, 2], &[3, 4, 5]);
    for number in cluster.numbers() {
        let fan = cluster
            .at(number)
            .member(&format!("fan{number}"), "lobby")
            .await;
        fan.likes("lobby", &message["id"]).await.with(200);
        fan.joins("new-group").await;
        fan.says("new-group", &format!("here is {number}")).await;
    }
    cluster.heal();

    cluster.agree(&[1, 2, 3, 4, 5], "new-group", 5).await;
    cluster.show_the_same_bytes("new-group").await;
    for ann in &ann {
        eventually("everybody counting alike", async || {
            let snapshot = ann.snapshot("lobby").await;
            let likes = &snapshot["messages"][0]["likes"];
            let members = &snapshot["members_count"];
            if *likes == 5 && *members == 6 {
                Ok(())
            } else {
                Err(snapshot.to_string())
            }
        })
        .await;
    }
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn a_replica_alone_reads_and_writes_everything_it_has() {
    let cluster = Cluster::of(5).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[4].says("lobby", "before").await;
    cluster.agree(&[1, 2, 3, 4, 5], "lobby", 1).await;
    for number in cluster.numbers() {
        cluster.isolate(number);
    }

    for ann in &ann {
        let message = ann.says("lobby", "alone").await;
        assert_eq!(message["stored_on"].as_array().map(Vec::len), Some(1));
        ann.joins("own-group").await;
        assert_eq!(texts(&ann.history("lobby").await), ["before", "alone"]);
        assert_eq!(ann.view().await["peers"].as_array().map(Vec::len), Some(4));
    }

    cluster.heal();
    cluster.agree(&[1, 2, 3, 4, 5], "lobby", 6).await;
}

#[tokio::test]
async fn many_cuts_in_a_row_lose_nothing() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let mut written: Vec<Value> = Vec::new();

    for round in 0..12_u16 {
        cluster.heal();
        if round % 4 != 3 {
            cluster.isolate(round % 4 + 1);
        }
        for ann in &ann {
            written.push(ann.says("lobby", &format!("round {round}")).await["id"].clone());
        }
    }
    cluster.heal();

    let history = cluster.agree(&[1, 2, 3], "lobby", written.len()).await;
    let mut written: Vec<&str> = written.iter().filter_map(Value::as_str).collect();
    let mut shown = ids(&history);
    written.sort_unstable();
    shown.sort_unstable();
    assert_eq!(shown, written);
}

#[tokio::test]
async fn a_long_history_reaches_a_replica_that_was_away() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.cut(&[1], &[2]);
    for batch in 0..20 {
        let words: Vec<String> = (0..50)
            .map(|word| format!("{batch:02}.{word:02}"))
            .collect();
        crate::harness::all_at_once(words.iter().map(|text| ann[0].says("lobby", text))).await;
    }
    ann[1].says("lobby", "and one from here").await;

    cluster.heal();

    cluster.agree(&[1, 2], "lobby", 1001).await;
}
