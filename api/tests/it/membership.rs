//! Joining, leaving, and who may do what.

use serde_json::json;

use crate::harness::{Cluster, Replica, eventually, names};

#[tokio::test]
async fn joining_creates_the_group_and_answers_with_its_snapshot() {
    let replica = Replica::start().await;
    let ann = replica.user("ann").await;

    let snapshot = ann.joins("lobby").await;

    assert_eq!(snapshot["group"], "lobby");
    assert_eq!(
        snapshot["members"],
        json!([{ "id": ann.id, "name": "ann", "online": false }])
    );
    assert_eq!(snapshot["members_count"], 1);
    assert_eq!(snapshot["online"], json!([]));
    assert_eq!(snapshot["online_count"], 0);
    assert_eq!(snapshot["messages"], json!([]));
    assert!(snapshot["cursor"].is_string());
}

#[tokio::test]
async fn a_snapshot_holds_the_ten_newest_messages_in_order() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    for number in 10..23 {
        ann.says("lobby", &format!("message {number}")).await;
    }

    let snapshot = ann.snapshot("lobby").await;
    let joined_again = ann.joins("lobby").await;

    let expected: Vec<String> = (13..23).map(|number| format!("message {number}")).collect();
    for snapshot in [&snapshot, &joined_again] {
        let messages = snapshot["messages"].as_array().expect("a list");
        assert_eq!(crate::harness::texts(messages), expected);
    }
}

#[tokio::test]
async fn joining_and_leaving_twice_changes_nothing_more() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;

    assert_eq!(bob.joins("lobby").await["members_count"], 2);
    bob.leaves("lobby").await;
    bob.leaves("lobby").await;

    let snapshot = ann.snapshot("lobby").await;
    assert_eq!(names(&snapshot["members"]), ["ann"]);
    assert_eq!(snapshot["members_count"], 1);
    ann.leaves("a-group-nobody-knows").await;
}

#[tokio::test]
async fn only_members_write_and_everybody_with_a_token_reads() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.user("bob").await;
    let path = "/v1/groups/lobby/messages";

    bob.post(path, &json!({ "text": "let me in" }))
        .await
        .refused(403, "not_a_member");
    bob.joins("lobby").await;
    let message = bob.says("lobby", "thanks").await;
    bob.leaves("lobby").await;
    bob.post(path, &json!({ "text": "one more" }))
        .await
        .refused(403, "not_a_member");

    assert_eq!(bob.message("lobby", &message["id"]).await["text"], "thanks");
    assert_eq!(ann.history("lobby").await.len(), 1);
}

#[tokio::test]
async fn a_group_that_everybody_left_keeps_its_history() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "the last one turns off the light").await;
    ann.leaves("lobby").await;

    let snapshot = ann.snapshot("lobby").await;

    assert_eq!(snapshot["members_count"], 0);
    assert_eq!(
        snapshot["messages"][0]["text"],
        "the last one turns off the light"
    );
    let groups = ann.get("/v1/groups").await.with(200);
    assert_eq!(groups["groups"][0]["members"], 0);
    assert_eq!(groups["groups"][0]["joined"], false);
}

#[tokio::test]
async fn membership_is_known_on_every_replica_and_survives_a_restart() {
    let mut cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.member_everywhere("bob", "lobby").await;
    ann[1].leaves("lobby").await;

    cluster.kill9(2);
    cluster.restart(2).await;

    for number in cluster.numbers() {
        let reader = cluster.at(number).user("reader").await;
        eventually("the same members everywhere", async || {
            let members = names(&reader.snapshot("lobby").await["members"]);
            if members == ["bob"] {
                Ok(())
            } else {
                Err(format!("{members:?}"))
            }
        })
        .await;
    }
}

#[tokio::test]
async fn of_a_leaving_and_a_joining_on_two_sides_of_a_cut_the_later_counts() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;

    cluster.cut(&[1], &[2]);
    ann[0].leaves("lobby").await;
    ann[1].joins("lobby").await;
    ann[1].says("lobby", "I am still here").await;
    cluster.heal();

    cluster.agree(&[1, 2], "lobby", 1).await;
    for ann in &ann {
        ann.says("lobby", "and may write").await;
    }
    cluster.agree(&[1, 2], "lobby", 3).await;
}

#[tokio::test]
async fn the_members_of_a_large_group_come_page_by_page() {
    let replica = Replica::start().await;
    let ann = replica.user("ann").await;
    for number in 0..105 {
        replica.member(&format!("m{number:03}"), "lobby").await;
    }

    let snapshot = ann.snapshot("lobby").await;
    assert_eq!(snapshot["members"].as_array().expect("a list").len(), 100);
    assert_eq!(snapshot["members_count"], 105);

    let mut members = Vec::new();
    let mut path = "/v1/groups/lobby/members?limit=40".to_owned();
    for _ in 0..10 {
        let page = ann.get(&path).await.with(200);
        members.extend(names(&page["members"]));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/groups/lobby/members?limit=40&after={next}");
    }
    let expected: Vec<String> = (0..105).map(|number| format!("m{number:03}")).collect();
    assert_eq!(members, expected);
}

#[tokio::test]
async fn ones_own_groups_are_listed_alone() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "echo").await;
    let bob = replica.member("bob", "alpha").await;
    for group in ["bravo", "delta", "left", "général"] {
        ann.joins(group).await;
    }
    bob.joins("delta").await;
    ann.leaves("left").await;

    let mut groups = Vec::new();
    let mut path = "/v1/groups?joined=true&limit=2".to_owned();
    loop {
        let page = ann.get(&path).await.with(200);
        groups.extend(names(&page["groups"]));
        for group in page["groups"].as_array().expect("a list") {
            assert_eq!(group["joined"], true);
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/groups?joined=true&limit=2&after={next}");
    }

    assert_eq!(groups, ["bravo", "delta", "echo", "général"]);
    let of_bob = bob.get("/v1/groups?joined=true").await.with(200);
    assert_eq!(names(&of_bob["groups"]), ["alpha", "delta"]);
    assert_eq!(of_bob["groups"][1]["members"], 2);
    let of_all = bob.get("/v1/groups?joined=false").await.with(200);
    assert_eq!(names(&of_all["groups"]).len(), 6);
    let refused = bob.get("/v1/groups?joined=perhaps").await;
    refused.refused(422, "invalid");
}

#[tokio::test]
async fn groups_are_listed_by_name_page_by_page() {
    let replica = Replica::start().await;
    let ann = replica.user("ann").await;
    for group in ["delta", "alpha", "charlie", "bravo", "echo"] {
        ann.joins(group).await;
    }

    let mut groups = Vec::new();
    let mut path = "/v1/groups?limit=2".to_owned();
    for _ in 0..10 {
        let page = ann.get(&path).await.with(200);
        assert!(page["groups"].as_array().expect("a list").len() <= 2);
        groups.extend(names(&page["groups"]));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/groups?limit=2&after={next}");
    }
    assert_eq!(groups, ["alpha", "bravo", "charlie", "delta", "echo"]);
}
