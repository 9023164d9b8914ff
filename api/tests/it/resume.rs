//! Resuming with a cursor at any replica: nothing is missed, nothing repeated.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Cluster, Frame, Replica, Stream, User, eventually, ids, texts};

#[tokio::test]
async fn a_stream_resumes_where_it_ended() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;
    for number in 0..3 {
        ann.says("lobby", &format!("before {number}")).await;
        stream.next_of(&["message"]).await;
    }
    let last = stream.last_id.clone().expect("frames carry ids");
    drop(stream);
    for number in 0..3 {
        ann.says("lobby", &format!("missed {number}")).await;
    }

    let mut stream = ann.resumes("lobby", &last).await;
    let missed = stream.catches_up().await;
    ann.says("lobby", "live").await;
    let live = stream.next_of(&["message"]).await;

    assert_eq!(said(&missed), ["missed 0", "missed 1", "missed 2"]);
    assert_eq!(live.data["text"], "live");
}

#[tokio::test]
async fn who_left_and_joins_again_is_given_what_was_said_meanwhile_once() {
    let cluster = Cluster::of(2).await;
    let [ann, bob] = [
        cluster.member_everywhere("ann", "lobby").await,
        cluster.member_everywhere("bob", "lobby").await,
    ];
    bob[0].says("lobby", "before").await;
    cluster.agree(&[1, 2], "lobby", 1).await;
    let mut stream = ann[0].listens("lobby").await;
    stream.catches_up().await;
    let last = stream.last_id.clone().expect("frames carry ids");
    drop(stream);

    ann[0].leaves("lobby").await;
    bob[0].says("lobby", "while she was away").await;
    cluster.agree(&[1, 2], "lobby", 2).await;
    ann[1].joins("lobby").await;
    bob[1].says("lobby", "after it").await;
    cluster.agree(&[1, 2], "lobby", 3).await;

    for reader in &ann {
        let missed = reader.resumes("lobby", &last).await.catches_up().await;
        assert_eq!(said(&missed), ["while she was away", "after it"]);
    }
}

#[tokio::test]
async fn every_frame_is_a_place_to_resume_from() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.user("bob").await;
    let start = ann.snapshot("lobby").await["cursor"]
        .as_str()
        .expect("a text")
        .to_owned();
    bob.joins("lobby").await;
    for number in 0..3 {
        let message = ann.says("lobby", &format!("{number}")).await;
        bob.likes("lobby", &message["id"]).await.with(200);
    }
    bob.leaves("lobby").await;

    let all = ann.resumes("lobby", &start).await.catches_up().await;
    assert_eq!(all.len(), 8, "{all:?}");
    for (at, frame) in all.iter().enumerate() {
        let rest = ann
            .resumes("lobby", &frame.cursor())
            .await
            .catches_up()
            .await;
        assert_eq!(kinds(&rest), kinds(&all[at + 1..]), "after frame {at}");
        let ids = |frames: &[Frame]| -> Vec<Value> {
            frames
                .iter()
                .map(|frame| frame.data["id"].clone())
                .collect()
        };
        assert_eq!(ids(&rest), ids(&all[at + 1..]));
    }
}

#[tokio::test]
async fn a_cursor_may_come_as_a_header_or_as_a_parameter_and_the_header_wins() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let first = ann.snapshot("lobby").await["cursor"]
        .as_str()
        .expect("a text")
        .to_owned();
    ann.says("lobby", "one").await;
    let second = ann.snapshot("lobby").await["cursor"]
        .as_str()
        .expect("a text")
        .to_owned();
    ann.says("lobby", "two").await;

    let open = |cursor: &str| {
        ann.request(
            Method::GET,
            &format!("/v1/groups/lobby/events?cursor={cursor}"),
        )
    };
    let by_parameter = Stream::open(open(&first)).await.catches_up().await;
    let request = open(&first).header("Last-Event-ID", &second);
    let by_both = Stream::open(request).await.catches_up().await;

    assert_eq!(said(&by_parameter), ["one", "two"]);
    assert_eq!(said(&by_both), ["two"]);
}

#[tokio::test]
async fn a_stream_resumes_on_other_replicas_without_gap_or_repeat() {
    let cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let mut stream = ann[0].listens("lobby").await;
    stream.catches_up().await;
    let mut cursor = stream.last_id.clone().expect("caught_up carries an id");
    let mut seen: Vec<String> = Vec::new();

    for hop in 0..9_usize {
        for (at, bob) in bob.iter().enumerate() {
            bob.says("lobby", &format!("hop {hop} at {at}")).await;
        }
        let mut stream = ann[hop % 3].resumes("lobby", &cursor).await;
        let enough = (hop + 1) * 2;
        while seen.len() < enough {
            let frame = stream.next_of(&["message"]).await;
            seen.push(frame.data["id"].as_str().expect("a text").to_owned());
            cursor = frame.cursor();
        }
    }
    let mut stream = ann[1].resumes("lobby", &cursor).await;
    while seen.len() < 27 {
        let frame = stream.next_of(&["message"]).await;
        seen.push(frame.data["id"].as_str().expect("a text").to_owned());
    }

    let history = cluster.agree(&[1, 2, 3], "lobby", 27).await;
    assert_same_set(&seen, &ids(&history));
    bob[0].says("lobby", "the end").await;
    assert_eq!(stream.next_of(&["message"]).await.data["text"], "the end");
}

#[tokio::test]
async fn a_replica_that_lacks_what_the_cursor_covers_neither_repeats_nor_skips() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    cluster.cut(&[1], &[2]);
    let mut stream = ann[0].listens("lobby").await;
    stream.catches_up().await;
    bob[0].says("lobby", "given on replica 1").await;
    let cursor = stream.next_of(&["message"]).await.cursor();
    drop(stream);
    bob[1].says("lobby", "only on replica 2").await;

    let mut stream = ann[1].resumes("lobby", &cursor).await;
    let missed = stream.catches_up().await;
    assert_eq!(said(&missed), ["only on replica 2"]);
    let behind = stream.last_id.clone().expect("caught_up carries an id");
    bob[0].says("lobby", "later on replica 1").await;
    cluster.heal();
    let frame = stream.next_of(&["message"]).await;
    assert_eq!(frame.data["text"], "later on replica 1");
    bob[1].says("lobby", "the end").await;
    assert_eq!(stream.next_of(&["message"]).await.data["text"], "the end");

    let again = ann[0].resumes("lobby", &behind).await;
    assert_eq!(
        next_texts(again, 2).await,
        ["later on replica 1", "the end"]
    );
}

#[tokio::test]
async fn a_cursor_survives_a_kill_of_its_replica() {
    let mut replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;
    ann.says("lobby", "seen").await;
    let cursor = stream.next_of(&["message"]).await.cursor();
    ann.says("lobby", "acknowledged").await;

    replica.kill9();
    stream.ends().await;
    replica.restart().await;

    let mut stream = ann.resumes("lobby", &cursor).await;
    assert_eq!(said(&stream.catches_up().await), ["acknowledged"]);
    ann.says("lobby", "live").await;
    assert_eq!(stream.next_of(&["message"]).await.data["text"], "live");
}

#[tokio::test]
async fn a_stream_opened_in_a_burst_misses_nothing_of_it() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let start = ann.snapshot("lobby").await["cursor"]
        .as_str()
        .expect("a text")
        .to_owned();

    let burst = async {
        for number in 0..200 {
            ann.says("lobby", &format!("{number:03}")).await;
        }
    };
    let readers = async {
        let mut read = Vec::new();
        for _ in 0..10 {
            let stream = ann.resumes("lobby", &start).await;
            read.push(texts_until(&ann, stream, &start, 200));
        }
        crate::harness::all_at_once(read).await
    };
    let ((), read) = tokio::join!(burst, readers);

    let expected: Vec<String> = (0..200).map(|number| format!("{number:03}")).collect();
    for read in read {
        assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn who_joins_in_the_middle_of_a_burst_ends_with_the_whole_history() {
    let cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.at(2).user("bob").await;

    let burst = async {
        for number in 0..200 {
            let at = &ann[number % 2];
            at.says("lobby", &format!("{number:03}")).await;
        }
    };
    let joining = async {
        eventually(
            "the burst being under way at the other replica",
            async || match ann[1].history("lobby").await.len() {
                0..40 => Err("not yet".to_owned()),
                _ => Ok(()),
            },
        )
        .await;
        let snapshot = bob.joins("lobby").await;
        let newest = snapshot["messages"].as_array().expect("a list").clone();
        let cursor = snapshot["cursor"].as_str().expect("a text").to_owned();
        let oldest = newest[0]["position"].as_str().expect("a text").to_owned();
        let mut before = Vec::new();
        let mut place = oldest;
        loop {
            let page = bob.page("lobby", &format!("limit=15&before={place}")).await;
            let messages = page["messages"].as_array().expect("a list").clone();
            let Some(first) = messages.first() else {
                break;
            };
            place = first["position"].as_str().expect("a text").to_owned();
            before.extend(messages);
        }
        let stream = bob.resumes("lobby", &cursor).await;
        (before, newest, stream)
    };
    let ((), (before, newest, mut stream)) = tokio::join!(burst, joining);

    // Pages that were read after the cursor may overlap with the stream.
    let place = |message: Value| (message["position"].to_string(), message);
    let mut seen: BTreeMap<_, _> = before.into_iter().chain(newest).map(place).collect();
    let mut streamed = Vec::new();
    while seen.len() < 200 {
        let message = stream.next_of(&["message"]).await.data;
        streamed.push(message["id"].to_string());
        seen.extend([place(message)]);
    }
    let history = cluster.agree(&[1, 2], "lobby", 200).await;
    let seen: Vec<Value> = seen.into_values().collect();
    assert_eq!(ids(&seen), ids(&history));
    let distinct: BTreeSet<_> = streamed.iter().collect();
    assert_eq!(distinct.len(), streamed.len(), "nothing came twice");
}

/// Reads so many messages. A stream that lags on a busy machine is closed, and resumes.
async fn texts_until(user: &User, mut stream: Stream, from: &str, count: usize) -> Vec<String> {
    let (mut texts, mut cursor) = (Vec::new(), from.to_owned());
    while texts.len() < count {
        let Some(frame) = stream.read().await else {
            stream = user.resumes("lobby", &cursor).await;
            continue;
        };
        if frame.event == "message" {
            cursor = frame.cursor();
            texts.push(frame.data["text"].as_str().expect("a text").to_owned());
        }
    }
    texts
}

async fn next_texts(mut stream: Stream, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let frame = stream.next_of(&["message"]).await;
        texts.push(frame.data["text"].as_str().expect("a text").to_owned());
    }
    texts
}

fn said(frames: &[Frame]) -> Vec<String> {
    let messages: Vec<Value> = frames
        .iter()
        .filter(|it| it.event == "message")
        .map(|it| it.data.clone())
        .collect();
    texts(&messages).into_iter().map(Into::into).collect()
}

fn kinds(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| frame.event.as_str()).collect()
}

#[track_caller]
fn assert_same_set(seen: &[String], expected: &[&str]) {
    let mut seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    let mut expected = expected.to_vec();
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected, "each exactly once");
}
