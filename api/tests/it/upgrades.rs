//! Different versions, side by side and one after the other: events of a later version are kept and
//! passed on unchanged, and folded in after an upgrade (F27, F28).

use causeway_api::cursor::Cursors;
use causeway_api::keys::ClusterKeys;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::harness::{Cluster, Later, Replica, eventually, texts};

#[tokio::test]
async fn events_of_a_later_version_pass_through_three_replicas_byte_for_byte() {
    let mut cluster = Cluster::prepare(3).await;
    let mut later = Later::join_as(4, &mut cluster);
    cluster.start().await;
    cluster.cut(&[1], &[3]);
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let mut stream = ann[2].listens("lobby").await;
    let user = json!({ "id": ann[0].id, "name": "ann" });
    later.makes(
        "poll",
        "PollOpened",
        r#"{ "question":"tea?","options":[1e2,null] }"#,
    );
    later.makes(
        "post",
        "MessagePosted",
        &format!(r#"{{"mood":["new"],"text":"from later","author":{user}}}"#),
    );
    later.makes("group", "GroupRenamed", "7");

    later.pushes_to(cluster.at(1)).await;

    let from_third = eventually("the events reaching replica 3", async || {
        let events = later.pulls_from(cluster.at(3)).await;
        if events.len() == 3 {
            Ok(events)
        } else {
            Err(format!("{} events", events.len()))
        }
    })
    .await;
    assert_eq!(from_third, later.made());
    let shown = eventually("the message it knows", async || {
        let history = ann[2].history("lobby").await;
        if history.is_empty() {
            Err("nothing yet".to_owned())
        } else {
            Ok(history)
        }
    })
    .await;
    assert_eq!(texts(&shown), ["from later"]);
    assert_eq!(shown[0].get("mood"), None);
    let frame = stream.next_of(&["message"]).await;
    assert_eq!(frame.data["text"], "from later");
    ann[2].says("lobby", "and the log goes on").await;
    cluster.agree(&[1, 2, 3], "lobby", 2).await;
    assert!(!cluster.at(3).process().log().contains("set aside"));
}

#[tokio::test]
async fn an_event_that_nobody_can_read_is_passed_on_and_alarmed() {
    let mut cluster = Cluster::prepare(2).await;
    let mut later = Later::join_as(3, &mut cluster);
    cluster.start().await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    later.makes("post", "MessagePosted", r#"{"text":7}"#);

    later.pushes_to(cluster.at(1)).await;
    ann[0].says("lobby", "in the way of nothing").await;

    cluster.agree(&[1, 2], "lobby", 1).await;
    assert_eq!(later.pulls_from(cluster.at(2)).await, later.made());
    for replica in [cluster.at(1), cluster.at(2)] {
        assert_eq!(replica.metric("causeway_events_set_aside").await, 1);
        let kind = "causeway_alarms{kind=\"set_aside\"}";
        assert_eq!(replica.metric(kind).await, 1);
        let view = replica.user("ann").await.view().await;
        let alarm = &view["alarms"][0];
        assert_eq!(alarm["kind"], "set_aside");
        let detail = alarm["detail"].to_string();
        assert!(detail.contains("1 event cannot be read"), "{detail}");
    }
}

#[tokio::test]
async fn what_an_older_version_passed_over_is_shown_after_an_upgrade() {
    let mut replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;
    let message = ann.says("lobby", "hi").await;
    bob.likes("lobby", &message["id"]).await.with(200);

    // As left by a version that did not know likes, and by one that did.
    for (folded_by, likes) in [(0, 1), (1, 0)] {
        replica.stop().await;
        let mut database = PgConnection::connect(&replica.database_url())
            .await
            .expect("Postgres answers");
        sqlx::raw_sql(&format!(
            "UPDATE timeline_checkpoint SET level = {folded_by}; DELETE FROM likes;
             UPDATE messages SET likes_count = 0; DELETE FROM feed WHERE kind = 'like'"
        ))
        .execute(&mut database)
        .await
        .expect("the read model can be changed");
        database.close().await.expect("it closes");
        replica.restart().await;

        let shown = ann.message("lobby", &message["id"]).await;

        assert_eq!(shown["likes"], likes, "folded by level {folded_by}");
    }
}

#[tokio::test]
async fn a_cursor_of_an_older_version_starts_again_where_it_covers_what_that_did_not_know() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.joins("garden").await;
    let key = replica.settings.key.as_bytes();
    let cursors = Cursors::new(&ClusterKeys::new(key, None));
    let start = ann.snapshot("lobby").await["cursor"].clone();
    ann.says("lobby", "of level 1").await;
    let end = ann.snapshot("lobby").await["cursor"].clone();
    let older = |cursor: &serde_json::Value| {
        let mut cursor = cursors
            .decode(cursor.as_str().expect("a text"))
            .expect("a cursor of this cluster");
        cursor.level = 0;
        cursor
    };

    let mut covers_nothing = older(&start);
    covers_nothing.delivery.delivered = [].into_iter().collect();
    let mut stream = ann.resumes("lobby", &cursors.encode(&covers_nothing)).await;
    assert_ne!(stream.next_of(&["reset", "join"]).await.event, "reset");

    let mut stream = ann.resumes("lobby", &cursors.encode(&older(&end))).await;
    assert_eq!(stream.next_of(&["reset", "caught_up"]).await.event, "reset");
    let mut stream = ann.resumes("lobby", end.as_str().expect("a text")).await;
    let first = stream.next_of(&["reset", "caught_up"]).await;
    assert_eq!(first.event, "caught_up");
}

#[tokio::test]
async fn a_replica_without_a_common_protocol_is_refused_and_still_hears_through_others() {
    let mut cluster = Cluster::prepare(3).await;
    for (number, range) in [(1, "[2, 2]"), (2, "[2, 3]"), (3, "[3, 4]")] {
        cluster.at_mut(number).settings.more = format!("peer_protocol = {range}\n");
    }
    cluster.start().await;
    let ann = cluster.member_everywhere("ann", "lobby").await;

    ann[0].says("lobby", "0 of the old version").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
    ann[2].says("lobby", "1 of the new version").await;

    let history = cluster.agree(&[1, 2, 3], "lobby", 2).await;
    assert!(texts(&history).is_sorted(), "{:?}", texts(&history));
    for (number, other, reason) in [
        (1, 3, "this speaks peer protocol 2 to 2"),
        (3, 1, "this speaks peer protocol 3 to 4"),
    ] {
        eventually("both sides telling why", async || {
            let log = cluster.at(number).process().log();
            let view = ann[usize::from(number) - 1].view().await;
            let peers = view["peers"].as_array().expect("a list");
            let peer = peers.iter().find(|peer| peer["replica"] == other);
            let is_failing = peer.is_some_and(|peer| peer["out"] == "failing");
            if log.contains(reason) && is_failing {
                Ok(())
            } else {
                Err(format!("{log}\n{view}"))
            }
        })
        .await;
    }
}
