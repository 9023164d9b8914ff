//! Likes: once per user, never one's own, merged without a coordinator.

use serde_json::{Value, json};

use crate::harness::{Cluster, Replica, all_at_once, eventually, names};

#[tokio::test]
async fn a_like_counts_once_and_can_be_taken_back() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;
    let id = ann.says("lobby", "like me").await["id"].clone();

    let once = bob.likes("lobby", &id).await.with(200);
    let twice = bob.likes("lobby", &id).await.with(200);
    assert_eq!(once["likes"], 1);
    assert_eq!(twice["likes"], 1);
    assert_eq!(twice["liked"], true);
    assert_eq!(twice["liked_by"], json!([{ "id": bob.id, "name": "bob" }]));
    let seen_by_ann = ann.message("lobby", &id).await;
    assert_eq!(seen_by_ann["liked"], false);
    assert_eq!(seen_by_ann["likes"], 1);

    let taken_back = bob.unlikes("lobby", &id).await.with(200);
    assert_eq!(taken_back["likes"], 0);
    assert_eq!(taken_back["liked"], false);
    assert_eq!(taken_back["liked_by"], json!([]));
    bob.unlikes("lobby", &id).await.refused(409, "not_liked");
}

#[tokio::test]
async fn a_like_that_may_not_be_is_refused_and_changes_nothing() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let stranger = replica.user("stranger").await;
    let id = ann.says("lobby", "mine").await["id"].clone();

    ann.likes("lobby", &id).await.refused(409, "own_message");
    ann.unlikes("lobby", &id).await.refused(409, "not_liked");
    stranger
        .likes("lobby", &id)
        .await
        .refused(403, "not_a_member");
    stranger
        .unlikes("lobby", &id)
        .await
        .refused(403, "not_a_member");
    ann.likes("lobby", &json!("nothing-like-this"))
        .await
        .refused(404, "not_found");
    ann.unlikes("lobby", &json!("0".repeat(32)))
        .await
        .refused(404, "not_found");
    ann.likes("nowhere", &id).await.refused(404, "not_found");

    assert_eq!(ann.message("lobby", &id).await["likes"], 0);
}

#[tokio::test]
async fn a_message_is_liked_only_through_its_own_group() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;
    bob.joins("garden").await;
    let id = ann.says("lobby", "in the lobby").await["id"].clone();

    bob.likes("garden", &id).await.refused(404, "not_found");

    assert_eq!(ann.message("lobby", &id).await["likes"], 0);
}

#[tokio::test]
async fn likes_given_on_all_replicas_add_up_on_all() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let id = ann[0].says("lobby", "like me").await["id"].clone();
    cluster.agree(&[1, 2, 3], "lobby", 1).await;

    all_at_once(cluster.numbers().into_iter().map(async |number| {
        let fan = cluster
            .at(number)
            .member(&format!("fan{number}"), "lobby")
            .await;
        fan.likes("lobby", &id).await.with(200);
    }))
    .await;

    let message = agreed_with_likes(&cluster, 3).await;
    let mut fans = names(&message["liked_by"]);
    fans.sort();
    assert_eq!(fans, ["fan1", "fan2", "fan3"]);
}

#[tokio::test]
async fn a_like_and_its_taking_back_on_two_sides_of_a_cut_end_alike() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let id = ann[0].says("lobby", "like me").await["id"].clone();
    cluster.agree(&[1, 2], "lobby", 1).await;
    bob[0].likes("lobby", &id).await.with(200);
    agreed_with_likes(&cluster, 1).await;

    cluster.cut(&[1], &[2]);
    bob[0].unlikes("lobby", &id).await.with(200);
    bob[1].likes("lobby", &id).await.with(200);
    cluster.heal();

    // The like changed nothing where it was given, but it is the last write.
    agreed_with_likes(&cluster, 1).await;
    bob[0].says("lobby", "a last message").await;
    let history = cluster.agree(&[1, 2], "lobby", 2).await;
    assert_eq!(history[0]["likes"], 1);
    assert_eq!(names(&history[0]["liked_by"]), ["bob"]);
}

#[tokio::test]
async fn the_list_of_those_who_like_is_bounded_and_the_count_is_not() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let id = ann.says("lobby", "everybody likes this").await["id"].clone();

    for number in 0..52 {
        let fan = replica.member(&format!("fan{number}"), "lobby").await;
        fan.likes("lobby", &id).await.with(200);
    }

    let message = ann.message("lobby", &id).await;
    assert_eq!(message["likes"], 52);
    assert_eq!(message["liked_by"].as_array().expect("a list").len(), 50);
}

/// Waits until all replicas agree on one message with this many likes, and returns it.
#[tokio::test]
async fn what_was_taken_back_while_a_replica_was_away_stays_so_when_it_returns() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let message = ann[0].says("lobby", "take it back").await;
    let known_to_all = ann[0].says("lobby", "liked before").await;
    bob[0].likes("lobby", &known_to_all["id"]).await.with(200);
    cluster.agree(&[1, 2, 3], "lobby", 2).await;
    for user in &ann {
        eventually("the first like everywhere", async || {
            let liked = user.message("lobby", &known_to_all["id"]).await;
            if liked["likes"] == 1 {
                Ok(())
            } else {
                Err(liked.to_string())
            }
        })
        .await;
    }

    // On the far side he likes and joins again; on the near side he then likes, unlikes, and leaves.
    // What arrives from the far side afterwards is older.
    cluster.isolate(3);
    bob[2].likes("lobby", &message["id"]).await.with(200);
    bob[2].joins("lobby").await;
    bob[0].likes("lobby", &message["id"]).await.with(200);
    for id in [&message["id"], &known_to_all["id"]] {
        bob[0].unlikes("lobby", id).await.with(200);
    }
    bob[0].leaves("lobby").await;
    cluster.heal();

    let last = ann[2].says("lobby", "after the return").await;
    for user in &ann {
        eventually("all being taken back", async || {
            let path = format!(
                "/v1/groups/lobby/messages/{}",
                last["id"].as_str().expect("a text")
            );
            if user.get(&path).await.status != 200 {
                return Err("not yet healed".to_owned());
            }
            let members = user.snapshot("lobby").await["members"].clone();
            let history = user.history("lobby").await;
            let likes: Vec<_> = history.iter().map(|it| &it["likes"]).collect();
            if names(&members) == ["ann"] && likes == [0, 0, 0] {
                Ok(())
            } else {
                Err(format!("{members} {likes:?}"))
            }
        })
        .await;
    }
}

async fn agreed_with_likes(cluster: &Cluster, likes: u64) -> Value {
    let numbers = cluster.numbers();
    eventually("the likes adding up", async || {
        let history = cluster.agree(&numbers, "lobby", 1).await;
        if history[0]["likes"] == likes {
            Ok(history[0].clone())
        } else {
            Err(history[0].to_string())
        }
    })
    .await
}
