//! Presence: a member with an open stream on a group, at any replica, is online.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::harness::{
    Cluster, Frame, PATIENCE, Replica, Stream, User, all_at_once, eventually, names,
};

#[tokio::test]
async fn a_member_with_a_stream_is_online_on_every_replica() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.member_everywhere("bob", "lobby").await;

    let stream = ann[0].listens("lobby").await;
    for ann in &ann {
        is_online(ann, &["ann"]).await;
    }
    drop(stream);
    for ann in &ann {
        is_online(ann, &[]).await;
    }
}

#[tokio::test]
async fn a_snapshot_marks_the_members_who_are_online() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;
    let _stream = bob.listens("lobby").await;
    is_online(&ann, &["bob"]).await;

    let snapshot = ann.snapshot("lobby").await;

    assert_eq!(snapshot["online_count"], 1);
    assert_eq!(snapshot["online"][0]["id"], bob.id.as_str());
    let online = |number: usize| snapshot["members"][number]["online"].as_bool();
    assert_eq!((online(0), online(1)), (Some(false), Some(true)));
    let groups = ann.get("/v1/groups").await.with(200);
    assert_eq!(groups["groups"][0]["online"], 1);
}

#[tokio::test]
async fn who_has_several_streams_is_counted_once_and_gone_with_the_last() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;

    let streams = [
        ann[0].listens("lobby").await,
        ann[0].listens("lobby").await,
        ann[1].listens("lobby").await,
    ];
    let mut watch = bob[0].listens("lobby").await;
    for bob in &bob {
        is_online(bob, &["ann", "bob"]).await;
    }
    let [first, second, third] = streams;
    drop(first);
    drop(second);
    bob[0].says("lobby", "is anybody still here?").await;
    watch.next_of(&["message"]).await;
    for bob in &bob {
        is_online(bob, &["ann", "bob"]).await;
    }
    drop(third);
    for bob in &bob {
        is_online(bob, &["bob"]).await;
    }
}

#[tokio::test]
async fn streams_tell_who_comes_and_goes() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let mut watch = ann[0].listens("lobby").await;

    let stream = bob[1].listens("lobby").await;
    let came = watch
        .next_where("bob coming", |frame| tells(frame, "online", "bob"))
        .await;
    assert_eq!(came.data["count"], 2);
    assert_eq!(came.id, None, "presence cannot be resumed from");
    drop(stream);
    let left = watch
        .next_where("bob going", |frame| tells(frame, "offline", "bob"))
        .await;
    assert_eq!(left.data["count"], 1);
}

#[tokio::test]
async fn of_more_than_a_hundred_only_the_number_is_told_and_of_fewer_everybody_again() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let mut watch = ann[0].listens("lobby").await;
    let mut near = crowd(&cluster, 1, 40).await;
    let _far = crowd(&cluster, 2, 70).await;

    let counted = watch
        .next_where("all being counted", |frame| counts(frame, 111))
        .await;
    assert_eq!(counted.data["online"], json!([]));
    assert_eq!(counted.data["offline"], json!([]));
    let snapshot = ann[1].snapshot("lobby").await;
    assert_eq!(snapshot["online_count"], 111);
    let first = names(&snapshot["online"]);
    assert_eq!(first.len(), 100);
    assert!(first.is_sorted() && first[0] == "ann", "the first by name");
    let mut late = ann[0].listens("lobby").await;
    let told = late
        .next_where("the first frame", |it| it.event == "presence")
        .await;
    assert!(counts(&told, 111) && told.data["online"] == json!([]));

    near.truncate(29);
    let named = watch
        .next_where("all being named", |frame| counts(frame, 100))
        .await;
    assert_eq!(names(&named.data["online"]).len(), 100);
    cluster.cut(&[1], &[2]);
    let away = watch
        .next_where("those beyond the cut going", |frame| counts(frame, 30))
        .await;
    assert_eq!(names(&away.data["offline"]).len(), 70);
    near.extend(crowd(&cluster, 1, 1).await);
    cluster.heal();
    watch
        .next_where("all being counted again", |frame| counts(frame, 101))
        .await;
}

#[tokio::test]
async fn the_users_of_a_killed_replica_go_offline_on_the_others() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let _of_bob = bob[2].listens("lobby").await;
    let mut watch = ann[0].listens("lobby").await;
    is_online(&ann[1], &["ann", "bob"]).await;

    cluster.kill9(3);

    watch
        .next_where("bob going", |frame| tells(frame, "offline", "bob"))
        .await;
    is_online(&ann[0], &["ann"]).await;
    is_online(&ann[1], &["ann"]).await;

    cluster.restart(3).await;
    is_online(&ann[2], &["ann"]).await;
    let _again = bob[2].listens("lobby").await;
    watch
        .next_where("bob coming back", |frame| tells(frame, "online", "bob"))
        .await;
}

#[tokio::test]
async fn the_users_beyond_a_cut_are_offline_until_it_heals() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let _of_ann = ann[0].listens("lobby").await;
    let _of_bob = bob[1].listens("lobby").await;
    is_online(&ann[0], &["ann", "bob"]).await;

    cluster.cut(&[1], &[2]);
    is_online(&ann[0], &["ann"]).await;
    is_online(&bob[1], &["bob"]).await;

    cluster.heal();
    is_online(&ann[0], &["ann", "bob"]).await;
    is_online(&bob[1], &["ann", "bob"]).await;
}

#[tokio::test]
async fn who_is_no_member_is_not_online_and_long_polls_do_not_count() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let stranger = replica.user("stranger").await;
    let mut watch = ann.listens("lobby").await;

    let _stream = stranger.listens("lobby").await;
    replica
        .member("bob", "lobby")
        .await
        .get("/v1/groups/lobby/changes")
        .await
        .with(200);
    is_online(&ann, &["ann"]).await;
    stranger.joins("lobby").await;
    // Changes in quick succession share a frame: hers may be in this one.
    let came = watch
        .next_where("the stranger coming", |frame| {
            tells(frame, "online", "stranger")
        })
        .await;
    assert!(
        !tells(&came, "online", "bob"),
        "a long poll does not count: {:?}",
        came.data
    );

    stranger.leaves("lobby").await;
    watch
        .next_where("the stranger going", |frame| {
            tells(frame, "offline", "stranger")
        })
        .await;
    is_online(&ann, &["ann"]).await;
}

#[tokio::test]
async fn a_reader_that_takes_no_bytes_is_closed_and_offline_and_resumes_without_a_gap() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.set_recv_buffer_size(4096).expect("it can be small");
    let mut stalled = socket
        .connect(replica.door.address())
        .await
        .expect("it listens");
    let request = format!(
        "GET /v1/groups/lobby/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        ann.token
    );
    stalled
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    is_online(&bob, &["ann"]).await;

    // More than all buffers between the two can hold.
    let text = "🦀".repeat(4000);
    for _ in 0..60 {
        all_at_once((0..10).map(|_| bob.says("lobby", &text))).await;
    }
    is_online(&bob, &[]).await;
    let mut received = Vec::new();
    let drained = tokio::time::timeout(PATIENCE, stalled.read_to_end(&mut received)).await;

    assert!(drained.is_ok(), "the stream was closed");
    let (mut given, cursor) = complete_messages(&received);
    assert!(given.len() < 600, "it took nothing for so long");
    let again = ann.resumes("lobby", &cursor).await.catches_up().await;
    let again = again.iter().filter(|frame| frame.event == "message");
    given.extend(again.map(|frame| id_of(&frame.data)));
    let history = bob.history("lobby").await;
    assert_eq!(given, history.iter().map(id_of).collect::<Vec<_>>());
}

/// Returns the ids of the messages that were received whole, and the cursor after them.
fn complete_messages(received: &[u8]) -> (Vec<String>, String) {
    let text = String::from_utf8_lossy(received);
    let (complete, _) = text.rsplit_once("\n\n").expect("one frame at least");
    let mut cursors = complete
        .lines()
        .filter_map(|line| line.strip_prefix("id: "));
    let data = complete
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let data = data.map(|data| serde_json::from_str(data).expect("a frame carries JSON"));
    let messages = data.filter(|data: &Value| data["text"].is_string());
    (
        messages.map(|message| id_of(&message)).collect(),
        cursors.next_back().expect("frames have cursors").to_owned(),
    )
}

fn id_of(message: &Value) -> String {
    message["id"].as_str().expect("an id is a text").to_owned()
}

/// Opens a stream in the lobby for each of so many new members at a replica.
async fn crowd(cluster: &Cluster, at: u16, count: usize) -> Vec<Stream> {
    let came = crowd_number();
    let replica = cluster.at(at);
    all_at_once((0..count).map(|number| async move {
        let user = replica
            .member(&format!("of-{came}-{number}"), "lobby")
            .await;
        user.listens("lobby").await
    }))
    .await
}

/// A number that no other crowd has.
fn crowd_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn counts(frame: &Frame, online: usize) -> bool {
    frame.event == "presence" && frame.data["count"] == online
}

async fn is_online(asking: &User, expected: &[&str]) {
    eventually(&format!("{expected:?} being online"), async || {
        let online = asking.sees_online("lobby").await;
        if online == expected {
            Ok(())
        } else {
            Err(format!("{online:?}"))
        }
    })
    .await;
}

fn tells(frame: &Frame, what: &str, name: &str) -> bool {
    frame.event == "presence" && names(&frame.data[what]).iter().any(|it| it == name)
}
