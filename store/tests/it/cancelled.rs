//! Requests cancelled at any moment, and a Postgres killed meanwhile: every acknowledged event is
//! committed and stays (F13).

use std::collections::BTreeSet;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_domain::text::IdempotencyKey;
use causeway_domain::writing::Command;
use causeway_postgres::{Options, PrivatePostgres, Scratch};
use causeway_store::log::{Log, SubmitError};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::audit::audit;
use crate::lossy::LossyProxy;
use crate::support::{Store, post};

const DEADLINE: Duration = Duration::from_mins(1);
const WRITERS: u64 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_while_others_gave_up_outlives_a_killed_postgres() {
    let folder = Scratch::create();
    let postgres = started(folder.path()).await;
    let mut store = Store::create(1).await;
    store.options.database_url = postgres.url();
    store.options.allow_unsafe_postgres = false;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;

    let acknowledgements = Arc::new(Acknowledgements::default());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write_and_give_up(
            replica.log.clone(),
            writer,
            acknowledgements.clone(),
        ));
    }
    for _ in 0..3 {
        acknowledgements.await_growth(100).await;
        kill(&postgres.superuser_url()).await;
    }
    acknowledgements.await_growth(100).await;
    writers.abort_all();
    while let Some(ended) = writers.join_next().await {
        assert!(ended.is_err_and(|end| end.is_cancelled()));
    }
    kill(&postgres.superuser_url()).await;

    let acknowledged = acknowledgements.ids.lock().unwrap().clone();
    let held = posts(&mut connection(&postgres.url()).await).await;
    let once: BTreeSet<String> = held.iter().cloned().collect();
    assert_eq!(once.len(), held.len());
    let is_lost = |id: &&String| !once.contains(*id);
    let lost: Vec<_> = acknowledged.iter().filter(is_lost).collect();
    assert!(lost.is_empty(), "{lost:?} of {}", acknowledged.len());
    assert!(acknowledgements.given_up.load(Ordering::Relaxed) > 100);
    while let Err(failure) = replica
        .log
        .submit(post("lobby", "anna", "after", None))
        .await
    {
        assert!(matches!(failure, SubmitError::Unavailable), "{failure}");
    }
    assert!(audit(&replica).await.len() > held.len());
    replica.close().await;
    tokio::task::spawn_blocking(move || postgres.stop())
        .await
        .unwrap();
}

#[derive(Default)]
struct Acknowledgements {
    ids: Mutex<Vec<String>>,
    given_up: AtomicU64,
}

impl Acknowledgements {
    async fn await_growth(&self, count: usize) {
        let goal = self.ids.lock().unwrap().len() + count;
        let growing = async {
            while self.ids.lock().unwrap().len() < goal {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(DEADLINE, growing).await.unwrap();
    }
}

/// Writes in a loop, and cancels each write after a pseudo-random time.
async fn write_and_give_up(log: Log, writer: u64, acknowledgements: Arc<Acknowledgements>) {
    for i in 1.. {
        let patience = Duration::from_micros((writer * 104_729 + i * 7_919) % 10_000);
        let command = post("lobby", "anna", "hello", None);
        match timeout(patience, log.submit(command)).await {
            Ok(Ok(done)) => {
                let id = done.event.unwrap().envelope.id.clone();
                assert_ne!(is_visible(&log, &id).await, Some(false), "{id}");
                acknowledgements.ids.lock().unwrap().push(id);
            }
            // Writes cancelled while the database was unavailable are still queued.
            Ok(Err(SubmitError::Unavailable | SubmitError::Busy)) => {
                sleep(Duration::from_millis(50)).await;
            }
            Ok(Err(failure)) => panic!("{failure}"),
            Err(_) => {
                acknowledgements.given_up.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_after_somebody_gave_up_at_any_statement_is_there_for_all() {
    let mut store = Store::create(1).await;
    let direct = store.options.database_url.clone();
    let proxy = LossyProxy::to(&direct).await;
    store.options.database_url = proxy.url(&direct);
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    replica.timelines.catch_up().await.unwrap();
    let mut beside = connection(&direct).await;

    for passing in 0.. {
        // Afterwards every statement is prepared: each is one request.
        let done = replica.log.submit(keyed("kept", passing)).await.unwrap();
        replica.timelines.reach(done.head.offset).await.unwrap();
        proxy.hold_request_after(passing);
        let gives_up = tokio::select! {
            () = proxy.await_held() => true,
            _ = replica.log.submit(keyed("given up", passing)) => false,
        };
        proxy.release();
        let done = replica.say("lobby", "anna", "hello").await;

        let id = done.event.unwrap().envelope.id.clone();
        let held = posts(&mut beside).await;
        assert!(held.contains(&id), "after {passing} statements");
        if !gives_up {
            // One statement looks up the key and inserts the event.
            assert!(passing >= 1, "{passing}");
            break;
        }
    }
    audit(&replica).await;
}

fn keyed(text: &str, number: u32) -> Command {
    let key = IdempotencyKey::parse(&format!("{text} {number}"));
    post("lobby", "anna", text, key.ok())
}

/// Whether another session sees a post, which it does only after the commit; `None` while the
/// database is unavailable.
async fn is_visible(log: &Log, id: &str) -> Option<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM events WHERE aggregate_type = 'post' AND aggregate_id = $1)",
    )
    .bind(id)
    .fetch_one(log.pool())
    .await
    .ok()
}

/// A durable Postgres that also lets its superuser in.
async fn started(folder: &Path) -> PrivatePostgres {
    let folder = folder.join("postgres");
    let options = Options {
        superuser: true,
        ..Options::default()
    };
    tokio::task::spawn_blocking(move || PrivatePostgres::start(&folder, &options))
        .await
        .unwrap()
        .unwrap()
}

/// Kills the postmaster like the kernel's OOM killer; its supervisor restarts it.
async fn kill(database_url: &str) {
    let mut connection = connection(database_url).await;
    let pid: String =
        sqlx::query_scalar("SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    let killed = process::Command::new("kill")
        .args(["-9", &pid])
        .status()
        .unwrap();
    assert!(killed.success());
}

async fn posts(connection: &mut PgConnection) -> Vec<String> {
    let rows = sqlx::query_scalar("SELECT aggregate_id FROM events WHERE aggregate_type = 'post'");
    rows.fetch_all(connection).await.unwrap()
}

/// A new connection, as soon as the database accepts one.
async fn connection(database_url: &str) -> PgConnection {
    let connecting = async {
        loop {
            match PgConnection::connect(database_url).await {
                Ok(connection) => return connection,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(DEADLINE, connecting).await.unwrap()
}
