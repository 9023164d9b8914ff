//! Readers whose sessions are terminated at any moment get an error, never an incomplete history
//! (F14).

use std::time::Duration;

use causeway_domain::names::UserId;
use causeway_domain::post::Post;
use causeway_domain::version_vector::VersionVector;
use causeway_store::log::{EventRepository, Log};
use causeway_store::timelines::{Anchor, Page, Timelines, rebuild};
use cqrs_es::persist::{PersistedEventRepository as _, PersistenceError};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::support::{Store, name};

const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_log_read_while_postgres_dies_fails_or_is_whole_and_never_short() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    for i in 0..60 {
        replica.say("lobby", "anna", &i.to_string()).await;
    }
    let held = replica.log.head().offset;
    let nothing = VersionVector::default();
    let mut failed = 0;

    for round in 0..40_u64 {
        let ending = end_readers_after(
            Duration::from_micros(round * 997 % 5_000),
            &store.options.database_url,
        );
        for _ in 0..20 {
            let (after, beyond) = tokio::join!(
                replica.log.read_after(0, 1_000),
                replica.log.read_beyond(&nothing, 1_000, usize::MAX),
            );
            let counts = [after.map(|it| it.len()), beyond.map(|it| it.len())];
            for count in counts {
                match count {
                    Ok(count) => assert_eq!(i64::try_from(count).unwrap(), held),
                    Err(_) => failed += 1,
                }
            }
        }
        ending.await.unwrap();
    }

    assert!(failed > 0, "no read was interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_while_postgres_dies_is_whole_or_ends_with_an_error() {
    const MESSAGES: usize = 250;
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    for i in 0..MESSAGES {
        replica.say("lobby", "anna", &i.to_string()).await;
    }
    let options = &store.options;
    let events = EventRepository::open(&options.database_url, &options.cluster, options.replica);
    let events = events.await.unwrap();
    let (mut failed, mut whole) = (0, 0);

    for round in 0..200_u64 {
        let ending = end_readers_after(
            Duration::from_micros(round * 997 % 9_000),
            &store.options.database_url,
        );
        let outcome = replayed(&events).await;
        match outcome {
            Ok(count) => {
                assert_eq!(count, MESSAGES);
                whole += 1;
            }
            Err(_) => failed += 1,
        }
        ending.await.unwrap();
    }

    assert!(failed > 0 && whole > 0, "{failed} failed, {whole} did not");
    replica.close().await;
}

/// Counts the events of posts that cqrs-es reads.
async fn replayed(events: &EventRepository) -> Result<usize, PersistenceError> {
    let mut stream = events.stream_all_events::<Post>().await?;
    let mut count = 0;
    while let Some(event) = stream.next::<Post>(&[]).await {
        event?;
        count += 1;
    }
    Ok(count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_while_postgres_dies_never_shows_less_than_its_cursor_says() {
    const MESSAGES: i64 = 120;
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    for i in 0..MESSAGES {
        replica.say("lobby", "anna", &i.to_string()).await;
    }
    replica.timelines.catch_up().await.unwrap();
    let history = texts(&newest(&replica.timelines).await.unwrap());
    // So that sessions end in the middle of a step.
    replica.slow_down("messages").await;
    replica.close().await;
    let url = &store.options.database_url;
    let (log, writer) = Log::open(store.options.clone()).await.unwrap();
    rebuild(&log).await.unwrap();

    let mut following = None;
    let (mut failed, mut shown) = (0, 0);
    for round in 0..300_u64 {
        // The pauses grow, so that a machine of any speed succeeds in the end.
        let pause = Duration::from_millis(round * 7 % 30 + round);
        let ending = end_readers_after(pause, url);
        match &following {
            None => match Timelines::follow(log.clone(), url).await {
                Ok(started) => following = Some(started),
                Err(_) => failed += 1,
            },
            Some((timelines, _)) => {
                if let Some(page) = newest(timelines).await {
                    // The first event is the join.
                    let messages = i64::try_from(page.messages.len()).unwrap();
                    assert_eq!(messages, page.checkpoint.offset - 1);
                    shown += 1;
                } else {
                    failed += 1;
                }
            }
        }
        ending.await.unwrap();
        if failed > 0 && shown > 20 {
            break;
        }
    }

    assert!(failed > 0 && shown > 20, "{failed} failed, {shown} shown");
    let (timelines, follower) = following.unwrap();
    timelines.catch_up().await.unwrap();
    assert_eq!(texts(&newest(&timelines).await.unwrap()), history);
    drop((log, timelines));
    writer.await.unwrap();
    follower.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_a_crash_took_back_are_made_again_before_anybody_reads() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    replica.say("lobby", "anna", "first").await;
    replica.timelines.catch_up().await.unwrap();
    let pool = replica.log.pool();
    sqlx::raw_sql("CREATE TABLE kept AS SELECT * FROM timeline_checkpoint")
        .execute(pool)
        .await
        .unwrap();

    for round in 0..5 {
        replica.say("lobby", "anna", &round.to_string()).await;
        replica.timelines.catch_up().await.unwrap();
        let before = newest(&replica.timelines).await.unwrap();
        // A crash after an asynchronous commit: its rows were read, and are lost.
        sqlx::raw_sql(
            "BEGIN;
             UPDATE timeline_checkpoint SET arrival = kept.arrival, hlc = kept.hlc,
                 vector = kept.vector FROM kept;
             DELETE FROM feed USING kept WHERE feed.arrival > kept.arrival;
             DELETE FROM messages WHERE text <> 'first';
             COMMIT",
        )
        .execute(pool)
        .await
        .unwrap();
        end_readers(&store.options.database_url).await;

        let reading = async {
            loop {
                // The first use of a terminated session fails.
                if let Some(page) = newest(&replica.timelines).await {
                    return page;
                }
            }
        };
        let after = timeout(DEADLINE, reading).await.unwrap();
        assert_eq!(texts(&after), texts(&before));
        assert_eq!(after.checkpoint, before.checkpoint);
    }
}

/// The newest messages; `None` if the read failed or the group is not known yet.
async fn newest(timelines: &Timelines) -> Option<Page> {
    let reader = UserId("nobody".into());
    let reading = timelines.page(name("lobby"), Anchor::Newest, 500, reader);
    reading.await.ok().flatten()
}

fn texts(page: &Page) -> Vec<String> {
    let texts = page.messages.iter().map(|seen| seen.message.text.clone());
    texts.collect()
}

fn end_readers_after(pause: Duration, database_url: &str) -> JoinHandle<()> {
    let url = database_url.to_owned();
    tokio::spawn(async move {
        sleep(pause).await;
        end_readers(&url).await;
    })
}

/// Terminates every session except this one and the writer's.
async fn end_readers(database_url: &str) {
    let mut connection = PgConnection::connect(database_url).await.unwrap();
    sqlx::query(
        "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
         WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
           AND NOT EXISTS (SELECT FROM pg_locks l
               WHERE l.pid = a.pid AND l.locktype = 'advisory')",
    )
    .execute(&mut connection)
    .await
    .unwrap();
}
