//! The writer while its connection fails repeatedly, at every moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use causeway_domain::envelope::RawEvent;
use causeway_domain::names::UserId;
use causeway_domain::post::PostCommand;
use causeway_domain::text::IdempotencyKey;
use causeway_domain::writing::Action;
use causeway_store::log::{Done, Log, ReadError, SubmitError};
use causeway_store::timelines::Anchor;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::audit::audit;
use crate::lossy::{Loss, LossyProxy};
use crate::support::{Open, Store, name, post};

const DEADLINE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_settled_and_nothing_is_written_twice() {
    let mut store = Store::create(1).await;
    let proxy = LossyProxy::to(&store.options.database_url).await;
    store.options.database_url = proxy.url(&store.options.database_url);
    let replica = store.open().await;
    replica.join("lobby", "anna").await;

    let mut acknowledged = Vec::new();
    for i in 0..12 {
        proxy.lose_next(if i % 2 == 0 {
            Loss::Answer
        } else {
            Loss::Request
        });
        let (one, other) = tokio::join!(
            replica.log.submit(post("lobby", "anna", "one", None)),
            replica.log.submit(post("lobby", "anna", "other", None)),
        );
        acknowledged.extend([one, other].map(id_of));
        assert!(proxy.has_lost());
    }

    assert_eq!(posts(&audit(&replica).await), acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_settled_also_when_the_database_stays_away_for_longer() {
    let mut store = Store::create(1).await;
    let proxy = LossyProxy::to(&store.options.database_url).await;
    store.options.database_url = proxy.url(&store.options.database_url);
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    replica.timelines.catch_up().await.unwrap();

    proxy.lose_next(Loss::Answer);
    // One refusal each 100 ms: longer than one wait for a session, shorter than two.
    proxy.refuse_next(40);
    let lost_at = Instant::now();
    let (told, closed_for) = tokio::join!(
        replica.log.submit(post("lobby", "anna", "one", None)),
        async {
            proxy.await_refusals().await;
            lost_at.elapsed()
        }
    );

    assert!(proxy.has_lost());
    let written = posts(&audit(&replica).await);
    if closed_for < Duration::from_secs(5) {
        assert_eq!(written, [id_of(told)]);
    }
    assert_eq!(written.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_epoch_whose_answer_is_lost_is_written_as_from_then_on() {
    let mut store = Store::create(1).await;
    let proxy = LossyProxy::to(&store.options.database_url).await;
    store.options.database_url = proxy.url(&store.options.database_url);
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    let former = replica.log.origin();
    // So that no query of the read model is the next one answered.
    replica.timelines.catch_up().await.unwrap();

    proxy.lose_next(Loss::Answer);
    let told = replica.log.renew(former, 77).await;
    assert!(proxy.has_lost());
    assert!(told.is_err(), "{told:?}");
    replica.say("lobby", "anna", "after it").await;
    let renewed = replica.log.renew(former, 78).await.unwrap();

    assert_ne!(renewed, former);
    let events = audit(&replica).await;
    let origins: Vec<_> = events.iter().map(|it| it.envelope.stamp.origin).collect();
    assert_eq!(origins, [former, renewed]);
    let replica = reopened(replica, &store).await;
    assert_eq!(replica.log.origin(), renewed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_peers_events_is_settled_as_well() {
    let (left, mut right) = tokio::join!(Store::create(1), Store::create(2));
    let proxy = LossyProxy::to(&right.options.database_url).await;
    right.options.database_url = proxy.url(&right.options.database_url);
    let (left, right) = tokio::join!(left.open(), right.open());
    left.join("lobby", "anna").await;
    left.say("lobby", "anna", "hello").await;

    for loss in [Loss::Answer, Loss::Request] {
        proxy.lose_next(loss);
        left.say("lobby", "anna", "hello").await;
        right.pull_from(&left).await;
    }

    assert_eq!(audit(&right).await.len(), 4);
    assert_eq!(left.log.head().vector, right.log.head().vector);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_before_any_statement_costs_nothing() {
    const STATEMENTS: u32 = 24;
    let (mut store, other) = tokio::join!(Store::create(1), Store::create(2));
    let proxy = LossyProxy::to(&store.options.database_url).await;
    store.options.database_url = proxy.url(&store.options.database_url);
    let (replica, other) = tokio::join!(store.open(), other.open());
    replica.join("lobby", "anna").await;
    other.join("attic", "bert").await;

    let mut acknowledged = Vec::new();
    for passing in 0..STATEMENTS {
        other.say("attic", "bert", "hello").await;
        proxy.lose_request_after(passing);
        let absorbing = absorb_until_held(replica.log.clone(), other.log.clone());
        let key = IdempotencyKey::parse(&format!("after {passing}")).ok();
        let command = post("lobby", "anna", "hello", key);
        let id = match &command.action {
            Action::Post(id, PostCommand::Post { .. }) => id.0.clone(),
            _ => unreachable!("a post"),
        };
        let writing = async {
            while let Err(failure) = replica.log.submit(command.clone()).await {
                assert!(matches!(failure, SubmitError::Unavailable), "{failure}");
            }
        };
        timeout(DEADLINE, async { tokio::join!(absorbing, writing) })
            .await
            .unwrap();
        acknowledged.push(id);
        replica.timelines.catch_up().await.unwrap();
    }

    proxy.lose_no_more_requests();
    let replica = reopened(replica, &store).await;
    let own = |id: &String| acknowledged.contains(id);
    let held = posts(&audit(&replica).await);
    assert_eq!(held.iter().filter(|id| own(id)).count(), acknowledged.len());
    assert_eq!(held.len(), 2 * acknowledged.len());
    replica.timelines.catch_up().await.unwrap();
    assert_eq!(replica.texts("lobby").await.len(), acknowledged.len());
    assert_eq!(replica.texts("attic").await.len(), acknowledged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_whole_whichever_of_its_batches_is_lost() {
    const MESSAGES: usize = 1_800;
    let store = Store::create(1).await;
    let left = store.open().await;
    left.join("lobby", "anna").await;
    let posts = (0..MESSAGES).map(|_| left.log.submit(post("lobby", "anna", "hello", None)));
    for done in futures_util::future::join_all(posts).await {
        done.unwrap();
    }
    // Loses each of the first requests, also for longer than the batch waits.
    let losses = (0..10).flat_map(|after| [(after, 0), (after, 70)]);
    let lose = losses.map(|(after, refuse_next)| absorb_backlog(&left, after, refuse_next));
    for count in futures_util::future::join_all(lose).await {
        assert_eq!(count, 1 + MESSAGES);
    }
    left.close().await;
}

/// Absorbs everything while a request is lost and the next `refused` sessions are refused; returns
/// the number of events in the log.
async fn absorb_backlog(from: &Open, lost_after: u32, refused: u32) -> usize {
    let mut store = Store::create(2).await;
    let proxy = LossyProxy::to(&store.options.database_url).await;
    store.options.database_url = proxy.url(&store.options.database_url);
    let replica = store.open().await;
    replica.timelines.catch_up().await.unwrap();

    proxy.lose_request_after(lost_after);
    proxy.refuse_next(refused);
    let absorbing = absorb_by(5_000, replica.log.clone(), from.log.clone());
    timeout(DEADLINE, absorbing).await.unwrap();

    proxy.refuse_next(0);
    let held = audit(&replica).await.len();
    replica.timelines.catch_up().await.unwrap();
    replica.close().await;
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_hangs_is_given_up_and_the_next_one_is_answered() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    replica.say("lobby", "anna", "hello").await;
    replica.timelines.catch_up().await.unwrap();
    let mut other = PgConnection::connect(&store.options.database_url)
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE messages")
        .execute(&mut other)
        .await
        .unwrap();

    let reader = UserId("nobody".into());
    let reading = replica
        .timelines
        .page(name("lobby"), Anchor::Newest, 5, reader);
    let given_up = timeout(DEADLINE, reading).await.unwrap();

    assert!(matches!(given_up, Err(ReadError::Database(_))));
    drop(other);
    assert_eq!(replica.texts("lobby").await, ["hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_messages_are_stored_once_however_often_the_connection_dies() {
    let (store, other) = tokio::join!(Store::create(1), Store::create(2));
    let (replica, other) = tokio::join!(store.open(), other.open());
    replica.join("lobby", "anna").await;
    other.join("attic", "bert").await;
    for i in 0..40 {
        other.say("attic", "bert", &i.to_string()).await;
    }
    // So that sessions end in the middle of a batch.
    replica.slow_down("events").await;

    let mut writers = JoinSet::new();
    for writer in 0..6 {
        writers.spawn(write_until_acknowledged(replica.log.clone(), writer));
    }
    let absorbing = tokio::spawn(absorb_until_held(replica.log.clone(), other.log.clone()));
    let killing = tokio::spawn(kill_again_and_again(store.options.database_url.clone()));
    let written = timeout(DEADLINE, writers.join_all()).await.unwrap();
    timeout(DEADLINE, absorbing).await.unwrap().unwrap();
    killing.abort();

    let replica = reopened(replica, &store).await;
    let events = audit(&replica).await;
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for id in posts(&events) {
        *times.entry(id).or_default() += 1;
    }
    assert_eq!(times.len(), 6 * 20 + 40);
    assert!(times.values().all(|times| *times == 1));
    assert!(written.concat().iter().all(|id| times.contains_key(id)));
    assert!(
        replica
            .log
            .head()
            .vector
            .covers_all(&other.log.head().vector)
    );
}

/// Sends twenty messages, each repeated until it is acknowledged, as a client does.
async fn write_until_acknowledged(log: Log, writer: usize) -> Vec<String> {
    let mut written = Vec::new();
    for i in 0..20 {
        let key = IdempotencyKey::parse(&format!("{writer} {i}")).ok();
        let command = post("lobby", "anna", "hello", key);
        let id = match &command.action {
            Action::Post(id, PostCommand::Post { .. }) => id.0.clone(),
            _ => unreachable!("a post"),
        };
        while let Err(failure) = log.submit(command.clone()).await {
            assert!(matches!(failure, SubmitError::Unavailable), "{failure}");
        }
        written.push(id);
    }
    written
}

async fn absorb_until_held(log: Log, from: Log) {
    absorb_by(5, log, from).await;
}

/// Absorbs everything, in batches of `count` events.
async fn absorb_by(count: usize, log: Log, from: Log) {
    loop {
        let held = log.head().vector.clone();
        let events = from.read_beyond(&held, count, usize::MAX).await.unwrap();
        if events.is_empty() {
            return;
        }
        // The next round retries a failure.
        let _ = log.absorb(events).await;
    }
}

/// Terminates the session that holds the writer's lock, between and during its batches.
async fn kill_again_and_again(database_url: String) {
    let mut connection = PgConnection::connect(&database_url).await.unwrap();
    // The pauses grow, so that a machine of any speed succeeds in the end.
    for pause_ms in (40..).step_by(4) {
        sqlx::query(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l
             JOIN pg_database d ON d.oid = l.database
             WHERE l.locktype = 'advisory' AND d.datname = current_database()",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        sleep(Duration::from_millis(pause_ms)).await;
    }
}

/// Reopens the log, so that its head comes from the rows.
async fn reopened(replica: Open, store: &Store) -> Open {
    let (before, origin) = (replica.log.head(), replica.log.origin());
    replica.close().await;
    let replica = store.open().await;
    let after = replica.log.head();
    assert_eq!(before.vector, after.vector);
    assert_eq!(before.hashes, after.hashes);
    assert_eq!(replica.log.origin(), origin);
    replica
}

fn id_of(done: Result<Done, SubmitError>) -> String {
    done.unwrap().event.unwrap().envelope.id.clone()
}

fn posts(events: &[RawEvent]) -> Vec<String> {
    let posts = events
        .iter()
        .filter(|event| event.envelope.aggregate == "post");
    posts.map(|event| event.envelope.id.clone()).collect()
}
