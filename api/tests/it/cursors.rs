//! Cursors: which are refused, which start over, and where they come from.

use causeway_api::cursor::Cursors;
use causeway_api::keys::ClusterKeys;
use causeway_domain::ids::{Dot, Epoch, Origin, ReplicaId};
use reqwest::Method;

use crate::harness::{Cluster, Replica};
use crate::readers::poller::Poller;
use crate::readers::shows_as_many_likes;

#[tokio::test]
async fn junk_and_foreign_cursors_are_refused() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.joins("garden").await;
    let good = ann.snapshot("lobby").await["cursor"]
        .as_str()
        .expect("a text")
        .to_owned();
    let of_garden = ann.snapshot("garden").await["cursor"]
        .as_str()
        .expect("a text")
        .to_owned();
    let near_the_end = good.len() - 3;
    let changed = if good.as_bytes()[near_the_end] == b'A' {
        "B"
    } else {
        "A"
    };
    let mut tampered = good.clone();
    tampered.replace_range(near_the_end..=near_the_end, changed);
    let too_long = "A".repeat(9000);

    let cut_off = &good[..good.len() - 4];
    for cursor in ["junk", "!!", "0", &tampered, cut_off, &too_long, &of_garden] {
        for path in ["events", "changes"] {
            let path = format!("/v1/groups/lobby/{path}?cursor={cursor}");
            let detail = ann.get(&path).await.refused(422, "invalid");
            assert!(detail.contains("cursor"), "{cursor}: {detail}");
        }
        let request = ann.request(Method::GET, "/v1/groups/lobby/events");
        let request = request.header("Last-Event-ID", cursor);
        ann.tries(request)
            .await
            .expect("an answer")
            .refused(422, "invalid");
    }
    ann.resumes("lobby", &good).await.catches_up().await;
}

#[tokio::test]
async fn a_cursor_of_an_unknown_key_is_answered_with_reset() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut other = Replica::prepare().await;
    other.settings.key = "another key, also longer than thirty-two bytes".into();
    other.restart().await;
    let cursor = other.member("ann", "lobby").await.snapshot("lobby").await["cursor"].clone();
    let cursor = cursor.as_str().expect("a text");

    let mut stream = ann.resumes("lobby", cursor).await;
    assert_eq!(stream.next_of(&["reset", "caught_up"]).await.event, "reset");
    let changes = ann
        .get(&format!("/v1/groups/lobby/changes?cursor={cursor}"))
        .await
        .with(200);
    assert_eq!(changes["events"][0]["event"], "reset", "{changes}");
    ann.page("lobby", &format!("at_least={cursor}")).await;
}

#[tokio::test]
async fn a_cursor_that_is_not_right_never_stops_a_reader() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.joins("garden").await;
    let start = Poller::now(&ann).await.cursor;
    let garden = ann.snapshot("garden").await["cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let mark = ann
        .says_once("lobby", "marked", "key")
        .await
        .header("Causeway-Mark")
        .expect("a mark")
        .to_owned();

    let refused = [&start[..start.len() - 3], &start[..9], "", &garden, &mark];
    for cursor in refused.into_iter().filter(|it| !it.is_empty()) {
        let query = format!("/v1/groups/lobby/changes?cursor={cursor}");
        let detail = ann.get(&query).await.refused(422, "invalid");
        assert!(detail.contains("cursor"), "{detail}");
    }

    let keys = ClusterKeys::new(replica.settings.key.as_bytes(), None);
    let cursors = Cursors::new(&keys);
    let mut newer = cursors.decode(&start).unwrap();
    newer.level = 900;
    let mut claims = cursors.decode(&start).unwrap();
    for (number, epoch) in [(1, 1), (1, 2), (9, 3)] {
        let origin = Origin {
            replica: ReplicaId::new(number).unwrap(),
            epoch: Epoch(epoch),
        };
        claims.delivery.delivered.record(Dot {
            origin,
            seq: 1 << 40,
        });
    }
    let mut doubts = claims.clone();
    doubts.delivery.acknowledged = Some([].into_iter().collect());
    for cursor in [newer, claims, doubts] {
        let mut poller = Poller::at(&ann, &cursors.encode(&cursor), 1);
        ann.says("lobby", "next").await;
        poller.catches_up(40).await;
        let last = poller.frames.last().expect("something is told");
        assert_eq!(last["data"]["text"], "next");
    }

    let strange = Cursors::new(&ClusterKeys::new(&[9; 32], None));
    let mut poller = Poller::at(&ann, &strange.encode(&cursors.decode(&start).unwrap()), 1);
    poller.asks().await;
    assert_eq!(poller.frames[0]["event"], "reset");
    ann.says("lobby", "after the reset").await;
    poller.catches_up(1).await;
    assert_eq!(poller.frames[1]["data"]["text"], "after the reset");
}

#[tokio::test]
async fn cursors_of_snapshots_pages_and_streams_are_read_on_from() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let first = ann[0].says("lobby", "first").await;
    cluster.agree(&[1, 2], "lobby", 1).await;
    let page = ann[0].page("lobby", "limit=1").await["cursor"].clone();
    let snapshot = ann[1].snapshot("lobby").await["cursor"].clone();
    let mut stream = ann[0].listens("lobby").await;
    stream.catches_up().await;
    let caught_up = stream.last_id.clone().expect("it has an id");
    drop(stream);

    bob[0].likes("lobby", &first["id"]).await.with(200);
    ann[1].says("lobby", "second").await;
    cluster.agree(&[1, 2], "lobby", 2).await;
    shows_as_many_likes(&ann[1], std::slice::from_ref(&first["id"]), 1).await;

    let (page, snapshot) = (page.as_str().unwrap(), snapshot.as_str().unwrap());
    for cursor in [page, snapshot, &caught_up] {
        for (at, limit) in [(0, 1), (1, 1), (1, 500)] {
            let mut poller = Poller::at(&ann[at], cursor, limit);
            poller.catches_up(2).await;
            assert_eq!((poller.told("message"), poller.told("like")), (1, 1));
        }
    }
}
