//! Readers that keep only a cursor and a limit: each call moves the cursor, and the last frame about
//! each object agrees with what the replica shows.

pub mod poller;

use causeway_api::cursor::Cursors;
use causeway_api::keys::ClusterKeys;

use crate::harness::{Cluster, Database, User, eventually};

use poller::Poller;

#[tokio::test]
async fn a_message_sent_on_both_sides_does_not_hold_a_reader_up_at_any_limit() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let start = Poller::now(&ann[0]).await.cursor;
    cluster.isolate(2);
    for number in 0..60 {
        let (text, key) = (format!("copied {number}"), format!("key {number}"));
        ann[1].says_once("lobby", &text, &key).await.with(201);
        ann[0].says_once("lobby", &text, &key).await.with(201);
    }
    cluster.heal();
    ann[0].says("lobby", "newer").await;
    cluster.agree(&[1, 2], "lobby", 61).await;

    for (limit, at) in [(1, 0), (1, 1), (2, 0), (7, 1), (50, 0), (500, 0)] {
        let mut poller = Poller::at(&ann[at], &start, limit);

        // Each message is sent, and perhaps moved.
        poller.catches_up(121).await;

        assert_eq!(poller.told("message"), 61, "limit {limit} at {at}");
        poller.sees_what_is_shown(&ann[at]).await;
    }
    // First at one side, then at the other.
    for limit in [1, 50] {
        let mut poller = Poller::at(&ann[1], &start, limit);
        poller.asks().await;
        poller.goes_to(&ann[0]);
        poller.catches_up(242).await;
        poller.sees_what_is_shown(&ann[0]).await;
    }
}

#[tokio::test]
async fn likes_and_joins_said_on_both_sides_do_not_hold_a_reader_up_after_a_hop() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let mut ids = Vec::new();
    for number in 0..60 {
        ids.push(ann[0].says("lobby", &number.to_string()).await["id"].clone());
    }
    cluster.agree(&[1, 2], "lobby", 60).await;
    let start = Poller::now(&ann[0]).await;
    cluster.isolate(2);
    for side in &bob {
        for id in &ids {
            side.likes("lobby", id).await.with(200);
        }
        for number in 0..51 {
            let guest = side.named(&format!("guest-{number}")).await;
            guest.joins("lobby").await;
        }
    }

    // Reads one side, then the other, and continues where both have merged.
    let mut pollers = [1, 50].map(|limit| start.with_limit(limit));
    for poller in &mut pollers {
        poller.catches_up(111).await;
        poller.goes_to(&ann[1]);
        poller.catches_up(111).await;
    }
    cluster.heal();
    for poller in &mut pollers {
        let path = format!("/v1/groups/lobby?at_least={}", poller.cursor);
        eventually("both sides being here", async || {
            let answer = ann[0].get(&path).await;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.body)
            }
        })
        .await;
    }
    ann[0].says("lobby", "newer").await;

    for poller in &mut pollers {
        poller.goes_to(&ann[0]);
        poller.catches_up(223).await;
        assert_eq!(poller.told("message"), 1);
        poller.sees_what_is_shown(&ann[0]).await;
    }
}

#[tokio::test]
async fn what_a_lagging_replica_contradicted_is_told_again_once_it_has_caught_up() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let cat = cluster.member_everywhere("cat", "lobby").await;
    let id = ann[0].says("lobby", "to be liked").await["id"].clone();
    cluster.agree(&[1, 2], "lobby", 1).await;
    let mut poller = Poller::now(&ann[0]).await;
    cluster.isolate(2);

    bob[0].likes("lobby", &id).await.with(200);
    poller.catches_up(1).await;
    assert_eq!(poller.fold.likes(&id), 1);
    cat[1].likes("lobby", &id).await.with(200);
    poller.goes_to(&ann[1]);
    poller.catches_up(1).await;
    assert_eq!(poller.fold.likes(&id), 1, "there it is the only one");
    cluster.heal();
    shows_as_many_likes(&ann[1], std::slice::from_ref(&id), 2).await;
    poller.catches_up(2).await;

    assert_eq!(poller.fold.likes(&id), 2);
    poller.catches_up(0).await;
}

#[tokio::test]
async fn a_frame_says_settled_only_where_nothing_earlier_follows() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let start = Poller::now(&ann[0]).await.cursor;
    cluster.isolate(2);
    for number in 0..3 {
        ann[1].says("lobby", &format!("earlier {number}")).await;
    }
    for number in 0..3 {
        ann[0].says("lobby", &format!("later {number}")).await;
    }
    cluster.heal();
    let history = cluster.agree(&[1, 2], "lobby", 6).await;
    for message in &history {
        settles(&ann[0], &message["id"]).await;
    }

    for limit in [1, 2, 50] {
        let mut poller = Poller::at(&ann[0], &start, limit);
        poller.catches_up(6).await;
        let texts: Vec<_> = poller.frames.iter().map(|it| &it["data"]["text"]).collect();
        assert_eq!(texts[0], "later 0", "in order of arrival");
        let settled: Vec<_> = poller
            .frames
            .iter()
            .map(|it| &it["data"]["settled"])
            .collect();
        assert_eq!(
            settled,
            [false, false, false, true, true, true],
            "limit {limit}"
        );
    }
}

#[tokio::test]
async fn a_frame_does_not_say_settled_while_a_message_may_still_be_moved_before_it() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let start = Poller::now(&ann[1]).await.cursor;
    cluster.cut(&[1], &[2, 3]);
    cluster.cut(&[2], &[3]);
    let copied = async |at: usize| ann[at].says_once("lobby", "copied", "key").await.with(201);
    copied(1).await;
    let mut begun = Poller::at(&ann[1], &start, 1);
    begun.catches_up(1).await;
    ann[1].says("lobby", "stands after the first copy").await;
    copied(2).await;
    copied(0).await;
    // At the others it sorts after that message.
    for at in [2, 0] {
        begun.goes_to(&ann[at]);
        begun.catches_up(1).await;
    }
    cluster.heal();
    for message in cluster.agree(&[1, 2, 3], "lobby", 2).await {
        settles(&ann[1], &message["id"]).await;
    }

    for limit in [1, 2, 50] {
        let mut poller = begun.with_limit(limit);
        poller.goes_to(&ann[1]);
        poller.catches_up(6).await;
        let mut settled = String::new();
        for frame in &poller.frames {
            let position = frame["data"]["position"].as_str().expect("a position");
            assert!(position >= settled.as_str(), "{:#?}", poller.frames);
            if frame["data"]["settled"] == true {
                position.clone_into(&mut settled);
            }
        }
        poller.sees_what_is_shown(&ann[1]).await;
    }
}

#[tokio::test]
async fn a_like_that_is_said_again_changes_nothing_of_what_frames_have_shown() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let xia = cluster.member_everywhere("xia", "lobby").await;
    let yen = cluster.member_everywhere("yen", "lobby").await;
    let id = ann[0].says("lobby", "liked").await["id"].clone();
    cluster.agree(&[1, 2], "lobby", 1).await;
    let mut poller = Poller::now(&ann[0]).await;
    cluster.isolate(2);
    xia[0].likes("lobby", &id).await.with(200);
    yen[0].likes("lobby", &id).await.with(200);
    poller.catches_up(2).await;
    let shown = poller.frames.last().expect("a frame")["data"]["liked_by"].clone();
    xia[1].likes("lobby", &id).await.with(200);
    xia[0].likes("lobby", &id).await.with(200);
    cluster.heal();
    shows_as_many_likes(&ann[1], std::slice::from_ref(&id), 2).await;
    poller.catches_up(0).await;

    for ann in &ann {
        assert_eq!(ann.message("lobby", &id).await["liked_by"], shown);
    }
}

#[tokio::test]
async fn a_cursor_that_covers_what_is_lost_heals() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    cluster.isolate(2);
    ann[1].says("lobby", "on a disk that is destroyed").await;
    let mut poller = Poller::now(&ann[1]).await;
    cluster.kill9(2);
    cluster.at_mut(2).restore(Database::empty().await);
    cluster.restart(2).await;
    cluster.heal();
    cluster.agree(&[1, 2, 3], "lobby", 0).await;

    for at in [0, 2] {
        poller.goes_to(&ann[at]);
        poller.catches_up(2).await;
        for _ in 0..3 {
            bob[at].joins("lobby").await;
        }
        let before = poller.frames.len();
        poller.catches_up(2).await;
        assert_eq!(
            poller.frames.len(),
            before,
            "a join that changes nothing is no news"
        );
        let keys = ClusterKeys::new(cluster.at(1).settings.key.as_bytes(), None);
        let lost = Cursors::new(&keys).decode(&poller.cursor).unwrap();
        eventually("what is lost being forgotten", async || {
            poller.asks().await;
            let now = Cursors::new(&keys).decode(&poller.cursor).unwrap();
            let more = lost.delivery.delivered.beyond(&now.delivery.delivered);
            let is_at_end = at == 2 || !more.is_empty();
            if is_at_end {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_reader_may_stop_and_hop_at_every_frame() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let cat = cluster.member_everywhere("cat", "lobby").await;
    let id = ann[0]
        .says_once("lobby", "before", "before")
        .await
        .with(201)["id"]
        .clone();
    cluster.agree(&[1, 2], "lobby", 1).await;
    let start = Poller::now(&ann[0]).await;
    cluster.isolate(2);
    // The same users do the opposite on both sides, and others do something else.
    for (side, twice) in [(0, false), (1, true)] {
        bob[side].likes("lobby", &id).await.with(200);
        if twice {
            bob[side].unlikes("lobby", &id).await.with(200);
            cat[side].leaves("lobby").await;
        } else {
            cat[side].joins("lobby").await;
            cat[side].likes("lobby", &id).await.with(200);
        }
        let copied = ann[side]
            .says_once("lobby", "on both sides", "both")
            .await
            .with(201);
        bob[side].likes("lobby", &copied["id"]).await.with(200);
        ann[side].says("lobby", &format!("on side {side}")).await;
    }

    // At the first side up to any frame, at the second up to any frame, then back where all is held.
    let mut stays = Vec::new();
    for first in 0..7 {
        let mut poller = Poller::at(&ann[0], &start.cursor, 1);
        poller.fold = Poller::snapshot(&ann[0]).await;
        poller.fold.forget_all_but(&id);
        poller.asks_times(first).await;
        for second in 0..8 {
            let mut poller = poller.clone();
            poller.goes_to(&ann[1]);
            poller.asks_times(second).await;
            stays.push(poller);
        }
    }
    cluster.heal();
    cluster.agree(&[1, 2], "lobby", 4).await;
    eventually("both replicas showing the same", async || {
        let [one, other] = [
            Poller::snapshot(&ann[0]).await,
            Poller::snapshot(&ann[1]).await,
        ];
        if one == other {
            Ok(())
        } else {
            Err(format!("{one:?} {other:?}"))
        }
    })
    .await;

    for (number, mut poller) in stays.into_iter().enumerate() {
        for at in [number % 2, 1 - number % 2] {
            poller.goes_to(&ann[at]);
            poller.catches_up(30).await;
            poller.sees_what_is_shown(&ann[at]).await;
        }
        let mut told: Vec<_> = poller.frames.iter().collect();
        told.retain(|it| it["event"] == "message" && it["data"]["text"] != "on both sides");
        assert_eq!(told.len(), 2, "each message once");
    }
}

pub async fn shows_as_many_likes(user: &User, ids: &[serde_json::Value], likes: u64) {
    for id in ids {
        eventually("the likes being here", async || {
            let message = user.message("lobby", id).await;
            if message["likes"] == likes {
                Ok(())
            } else {
                Err(message.to_string())
            }
        })
        .await;
    }
}

async fn settles(user: &User, id: &serde_json::Value) {
    eventually("the message being settled", async || {
        let message = user.message("lobby", id).await;
        if message["settled"] == true {
            Ok(())
        } else {
            Err(message.to_string())
        }
    })
    .await;
}
