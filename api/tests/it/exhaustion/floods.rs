//! Floods of calls by one user.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sqlx::{Connection, PgConnection};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Replica, User, all_at_once};

#[tokio::test]
async fn a_flood_of_posts_fills_its_own_share_of_the_queue_and_no_other_users_post_is_refused() {
    let mut replica = Replica::prepare().await;
    replica.settings.more = "[limits]\nmax_waiting_writes = 12\nmax_calls_of_one = 1000\n".into();
    replica.restart().await;
    let flooder = replica.member("flooder", "lobby").await;
    let calm = replica.member("calm", "lobby").await;
    let mut stall = PgConnection::connect(&replica.database_url())
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE events IN SHARE MODE")
        .execute(&mut stall)
        .await
        .unwrap();

    let mut flood: FuturesUnordered<_> = (0..40)
        .map(|number| says(&flooder, "flood", number))
        .collect();
    for _ in 0..28 {
        flood.next().await.unwrap().refused(503, "busy");
    }
    let mut posts: FuturesUnordered<_> = (0..2).map(|number| says(&calm, "calm", number)).collect();
    let early = timeout(Duration::from_millis(300), posts.next()).await;
    assert!(early.is_err(), "the calm user's posts wait: {early:?}");
    drop(stall);
    while let Some(answer) = posts.next().await {
        answer.with(201);
    }
    while flood.next().await.is_some() {}

    says(&flooder, "after", 0).await.with(201);
}

#[tokio::test]
async fn calls_of_one_user_wait_in_turn_and_beyond_that_are_refused() {
    let mut replica = Replica::prepare().await;
    replica.settings.more = "[limits]\nmax_calls_of_one = 2\n".into();
    replica.restart().await;
    let flooder = replica.member("flooder", "lobby").await;
    let calm = replica.member("calm", "lobby").await;
    let mut stall = PgConnection::connect(&replica.database_url())
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE events IN SHARE MODE")
        .execute(&mut stall)
        .await
        .unwrap();

    // One or two run, eight wait, the rest is refused.
    let mut flood: FuturesUnordered<_> = (0..15)
        .map(|number| says(&flooder, "flood", number))
        .collect();
    for _ in 0..5 {
        flood.next().await.unwrap().refused(503, "busy");
    }
    calm.page("lobby", "limit=1").await;
    drop(stall);
    let mut accepted = 0;
    while let Some(answer) = flood.next().await {
        accepted += usize::from(answer.status == 201);
    }
    assert!(accepted >= 9, "{accepted}");
}

#[tokio::test]
async fn waiting_for_an_event_takes_no_turn() {
    let mut replica = Replica::prepare().await;
    replica.settings.more = "[limits]\nmax_calls_of_one = 16\n".into();
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;
    let start = ann.get("/v1/groups/lobby/changes").await.with(200);
    let cursor = start["cursor"].as_str().expect("a cursor");
    let path = format!("/v1/groups/lobby/changes?wait_ms=30000&cursor={cursor}");

    let polls = all_at_once((0..20).map(|_| ann.get(&path)));
    let speaks = async {
        let _streams = all_at_once((0..20).map(|_| ann.listens("lobby"))).await;
        ann.says("lobby", "hello").await
    };
    let (answers, _) = tokio::join!(polls, speaks);

    for answer in answers {
        assert_eq!(answer.with(200)["events"][0]["data"]["text"], "hello");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn answers_that_nobody_takes_cost_bounded_memory_and_other_users_nothing() {
    const SOCKETS: usize = 160;
    let replica = Replica::start().await;
    let author = replica.member("author", "lobby").await;
    let text = "\u{1f409}".repeat(4_000);
    all_at_once((0..70).map(|_| author.says("lobby", &text))).await;
    let calm = replica.user("calm").await;
    let taker = replica.user("taker").await;
    calm.page("lobby", "limit=500").await;
    let before = replica.process().memory_kb();

    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = TcpStream::connect(replica.door.address()).await.unwrap();
        let request = format!(
            "GET /v1/groups/lobby/messages?limit=500 HTTP/1.1\r\nHost: {}\r\n\
             Authorization: Bearer {}\r\n\r\n",
            replica.door.address(),
            taker.token
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    for _ in 0..20 {
        calm.page("lobby", "limit=500").await;
    }

    let grown = replica.process().memory_kb().saturating_sub(before);
    assert!(
        grown < 80 * 1_024,
        "{grown} KiB for {SOCKETS} answers of a MiB"
    );
}

async fn says(user: &User, text: &str, number: usize) -> crate::harness::Answer {
    let text = format!("{text} {number}");
    user.says_once("lobby", &text, &text.replace(' ', "-"))
        .await
}
