//! The database cost of a post, in counts and not in time, so that a regression shows on any
//! machine.

use std::time::{Duration, Instant};

use causeway_domain::text::IdempotencyKey;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::support::{Store, post};

const POSTS: i64 = 200;

#[tokio::test]
async fn posts_to_a_fresh_database_read_no_table_from_end_to_end() {
    let store = Store::create(1).await;

    let cost = cost_of_posts(&store).await;

    // The identity and the checkpoint are tables of one row, which are not counted.
    assert_eq!(cost.rows_read_from_end_to_end, 0);
}

#[tokio::test]
async fn a_post_takes_no_more_transactions_than_it_needs() {
    let store = Store::create(1).await;

    let cost = cost_of_posts(&store).await;

    // Each statement is a transaction: the writer inserts unless the key is known, and the read
    // model folds the event from memory. Opening and reservations add few.
    let most = 3 * POSTS - 1;
    assert!(cost.transactions <= most, "{cost:?}, at most {most}");
}

#[tokio::test]
async fn a_message_of_a_peer_takes_no_more_transactions_than_a_post() {
    let (left, store) = tokio::join!(Store::create(1), Store::create(2));
    let left = left.open().await;
    left.join("lobby", "anna").await;
    for number in 0..POSTS {
        left.say("lobby", "anna", &format!("message {number}"))
            .await;
    }
    let events = left.log.read_after(0, 1_000).await.unwrap();

    store.open().await.close().await;
    let before = counted(&store).await;
    let open = store.open().await;
    for (_, event) in events {
        let (absorbed, head) = open.log.absorb(vec![event]).await.unwrap();
        assert_eq!(absorbed.stored, 1);
        let offset = head.offset;
        open.timelines.reach(offset).await.unwrap();
    }
    open.close().await;
    let after = counted(&store).await;

    let transactions = after.transactions - before.transactions;
    let most = 3 * POSTS - 1;
    assert!(transactions <= most, "{transactions}, at most {most}");
}

#[tokio::test]
async fn events_without_readers_are_folded_in_few_steps() {
    let store = Store::create(1).await;
    store.open().await.close().await;
    let before = counted(&store).await;
    let open = store.open().await;
    open.join("lobby", "anna").await;

    let begun = Instant::now();
    for number in 0..POSTS {
        open.say("lobby", "anna", &format!("message {number}"))
            .await;
    }
    open.close().await;
    let delays = i64::try_from(begun.elapsed().as_millis() / 15).unwrap();

    let transactions = counted(&store).await.transactions - before.transactions;
    // One for each post, one for each step after a delay of 15 ms; opening, sessions, which set
    // what they need, and reservations add few. A step for each post would be twice as many.
    let most = POSTS + delays + POSTS / 2;
    assert!(transactions <= most, "{transactions}, at most {most}");
}

#[derive(Debug)]
struct Cost {
    transactions: i64,
    rows_read_from_end_to_end: i64,
}

/// Opens an empty store, posts messages one by one, and closes it.
async fn cost_of_posts(store: &Store) -> Cost {
    store.open().await.close().await;
    let before = counted(store).await;
    let open = store.open().await;
    open.join("lobby", "anna").await;
    for number in 0..POSTS {
        let key = IdempotencyKey::parse(&format!("key-{number}")).unwrap();
        let command = post("lobby", "anna", &format!("message {number}"), Some(key));
        let done = open.log.submit(command).await.unwrap();
        open.timelines.reach(done.head.offset).await.unwrap();
    }
    open.close().await;
    let after = counted(store).await;
    Cost {
        transactions: after.transactions - before.transactions,
        rows_read_from_end_to_end: after.rows_read_from_end_to_end
            - before.rows_read_from_end_to_end,
    }
}

/// Reads the counters of Postgres after all sessions have ended, which flushes their statistics.
async fn counted(store: &Store) -> Cost {
    let url = &store.options.database_url;
    let options: PgConnectOptions = url.parse().unwrap();
    let name = options.get_database().unwrap().to_owned();
    // From another database, so that this query is not counted.
    let mut outside = PgConnection::connect_with(&options.database("postgres"))
        .await
        .unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while ask(
        &mut outside,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = $1",
        &name,
    )
    .await
        > 0
    {
        assert!(Instant::now() < deadline, "a session is still open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let transactions = "SELECT xact_commit FROM pg_stat_database WHERE datname = $1";
    let rows = "SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables
                WHERE relname NOT IN ('identity', 'timeline_checkpoint', '_sqlx_migrations')
                    AND relname <> $1";
    Cost {
        transactions: ask(&mut outside, transactions, &name).await,
        rows_read_from_end_to_end: {
            let mut inside = PgConnection::connect(url).await.unwrap();
            let rows = ask(&mut inside, rows, "").await;
            inside.close().await.unwrap();
            rows
        },
    }
}

async fn ask(database: &mut PgConnection, query: &str, name: &str) -> i64 {
    sqlx::query_scalar(query)
        .bind(name)
        .fetch_one(database)
        .await
        .unwrap()
}
