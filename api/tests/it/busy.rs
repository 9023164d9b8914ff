//! Overload: refused with a reason, and nothing is lost.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sqlx::{Connection, PgConnection};

use crate::harness::{Replica, texts};

#[tokio::test]
async fn one_write_more_than_may_wait_is_told_to_come_back_and_nothing_is_lost() {
    let mut replica = Replica::prepare().await;
    replica.settings.more = "[limits]\nmax_waiting_writes = 2\n".into();
    replica.restart().await;
    let ann = replica.member("ann", "lobby").await;
    let mut stall = PgConnection::connect(&replica.database_url())
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE events IN SHARE MODE")
        .execute(&mut stall)
        .await
        .unwrap();

    let post = async |number: u8| {
        let text = format!("message {number}");
        let answer = ann
            .says_once("lobby", &text, &format!("key-{number}"))
            .await;
        (number, answer)
    };
    let mut posts: FuturesUnordered<_> = (1..=4).map(post).collect();
    let mut refused = Vec::new();
    for _ in 0..2 {
        let (number, answer) = posts.next().await.unwrap();
        answer.refused(503, "busy");
        assert_eq!(answer.header("retry-after"), Some("1"));
        refused.push(number);
    }
    drop(stall);
    while let Some((_, answer)) = posts.next().await {
        answer.with(201);
    }
    for number in refused {
        post(number).await.1.with(201);
    }

    let history = ann.history("lobby").await;
    let mut held = texts(&history);
    held.sort_unstable();
    assert_eq!(held, ["message 1", "message 2", "message 3", "message 4"]);
}
