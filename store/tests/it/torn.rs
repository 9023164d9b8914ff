//! Rows are removed or restored under the writer's open session, as by a restore into a database in
//! use. No event may be written over the gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::Connection;

use crate::support::{Open, Store, post, wall_ms};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_over_what_was_taken_away_under_an_open_session() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    let say = async |text: &str| {
        let command = post("lobby", "anna", text, None);
        replica.log.submit(command).await.map(drop)
    };
    for text in ["in the dump", "answered", "answered too"] {
        say(text).await.unwrap();
    }
    let former = replica.log.origin();

    let mut connection = sqlx::PgConnection::connect(&store.options.database_url)
        .await
        .unwrap();
    sqlx::query("DELETE FROM events WHERE arrival > 2")
        .execute(&mut connection)
        .await
        .unwrap();
    assert!(say("over the gap").await.is_err());
    assert!(replica.log.is_database_replaced());

    replica.close().await;
    let replica = store.open().await;
    assert_ne!(replica.log.origin(), former, "its seqs are known to peers");
    let arrivals: Vec<i64> = sqlx::query_scalar("SELECT arrival FROM events ORDER BY arrival")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(arrivals, [1, 2]);
    replica.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_noticed_also_where_nobody_writes() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    is_noticed(&store, replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_noticed_also_where_the_clock_was_set_back_by_an_hour() {
    let mut store = Store::create(1).await;
    let is_back = Arc::new(AtomicBool::new(false));
    let back = is_back.clone();
    store.set_clock(Arc::new(move || {
        let by_ms = u64::from(back.load(Ordering::Relaxed)) * 3_600_000;
        wall_ms() - by_ms
    }));
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    is_back.store(true, Ordering::Relaxed);
    is_noticed(&store, replica).await;
}

/// Removes the last events without a later write, and expects the writer to end.
async fn is_noticed(store: &Store, replica: Open) {
    replica.join("lobby", "bert").await;
    let said = post("lobby", "bert", "answered", None);
    replica.log.submit(said).await.unwrap();

    let mut connection = sqlx::PgConnection::connect(&store.options.database_url)
        .await
        .unwrap();
    sqlx::query("DELETE FROM events WHERE arrival > 1")
        .execute(&mut connection)
        .await
        .unwrap();

    // The writer ends by itself.
    let (log, _) = replica.writer_ends().await;
    assert!(log.is_database_replaced());
}
