//! The writer: concurrent clients, cancelled requests, a second process, a retry.

use std::collections::BTreeSet;
use std::time::Duration;

use causeway_domain::envelope::RawEvent;
use causeway_domain::text::IdempotencyKey;
use causeway_store::log::{Log, OpenError, SubmitError};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::audit::audit;
use crate::support::{Store, post};

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_while_many_write_sees_every_event_once_and_no_gap() {
    const WRITERS: usize = 16;
    const EACH: usize = 25;
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    let log = replica.log.clone();
    let reading = tokio::spawn(async move {
        let (mut at, mut seen) = (0, Vec::new());
        while seen.len() < WRITERS * EACH + 1 {
            for (offset, event) in log.read_after(at, 7).await.unwrap() {
                assert_eq!(offset, at + 1);
                at = offset;
                seen.push(event.envelope.id.clone());
            }
        }
        seen
    });

    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let log = replica.log.clone();
        writers.spawn(async move {
            let mut written = Vec::new();
            for _ in 0..EACH {
                let done = log.submit(post("lobby", "anna", "hello", None)).await;
                written.push(done.unwrap().event.unwrap().envelope.id.clone());
            }
            written
        });
    }
    let written: BTreeSet<String> = writers.join_all().await.into_iter().flatten().collect();
    let seen = timeout(DEADLINE, reading).await.unwrap().unwrap();

    assert_eq!(seen[0], "lobby");
    assert_eq!(written.len(), WRITERS * EACH);
    assert_eq!(seen[1..].iter().cloned().collect::<BTreeSet<_>>(), written);
    audit(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_write_costs_no_acknowledged_one() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    let mut waiting = JoinSet::new();
    for i in 0..300_u64 {
        let log = replica.log.clone();
        waiting.spawn(async move {
            let patience = Duration::from_micros(i * 7_919 % 4_000);
            let command = post("lobby", "anna", "hello", None);
            let answer = timeout(patience, log.submit(command)).await.ok()?;
            Some(answer.unwrap().event.unwrap().envelope.id.clone())
        });
    }
    let answers = waiting.join_all().await;

    let last = replica.say("lobby", "anna", "last").await;
    let held = ids(&audit(&replica).await);

    let acknowledged: Vec<&String> = answers.iter().flatten().collect();
    assert!(acknowledged.iter().all(|id| held.contains(*id)));
    assert_eq!(last.head.offset, replica.log.head().offset);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_beyond_the_queue_are_refused_and_all_others_are_stored() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    let mut other = PgConnection::connect(&store.options.database_url)
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE events IN SHARE MODE")
        .execute(&mut other)
        .await
        .unwrap();

    let (told, mut busy) = tokio::sync::mpsc::unbounded_channel();
    let mut waiting = JoinSet::new();
    for _ in 0..6_000 {
        let (log, told) = (replica.log.clone(), told.clone());
        waiting.spawn(async move {
            match log.submit(post("lobby", "anna", "hello", None)).await {
                Ok(done) => Some(done.event.unwrap().envelope.id.clone()),
                Err(failure) => {
                    assert!(matches!(failure, SubmitError::Busy), "{failure}");
                    told.send(()).unwrap();
                    None
                }
            }
        });
    }
    timeout(DEADLINE, busy.recv()).await.unwrap().unwrap();
    drop(other);
    let answers = timeout(DEADLINE, waiting.join_all()).await.unwrap();

    let acknowledged: BTreeSet<String> = answers.into_iter().flatten().collect();
    let mut held = ids(&audit(&replica).await);
    assert!(held.remove("lobby"));
    assert!(acknowledged.len() >= 4_096);
    assert_eq!(held, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peers_events_are_not_turned_away_because_too_many_writes_wait() {
    let (mut store, others) = tokio::join!(Store::create(1), Store::create(2));
    store.options.max_waiting_writes = 1;
    let (replica, peer) = tokio::join!(store.open(), others.open());
    replica.join("lobby", "anna").await;
    peer.join("other", "bob").await;
    let held = replica.log.head().vector.clone();
    let events = peer.log.read_beyond(&held, 10, usize::MAX).await.unwrap();
    let mut lock = PgConnection::connect(&store.options.database_url)
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE events IN SHARE MODE")
        .execute(&mut lock)
        .await
        .unwrap();
    let mut writes = JoinSet::new();
    for _ in 0..2 {
        let log = replica.log.clone();
        writes.spawn(async move { log.submit(post("lobby", "anna", "hello", None)).await });
    }
    let refused = timeout(DEADLINE, writes.join_next()).await.unwrap();
    assert!(matches!(refused.unwrap().unwrap(), Err(SubmitError::Busy)));

    let log = replica.log.clone();
    let absorbing = tokio::spawn(async move { log.absorb(events).await });
    drop(lock);

    let absorbed = timeout(DEADLINE, absorbing).await.unwrap().unwrap();
    assert_eq!(absorbed.unwrap().0.stored, 1);
    let written = timeout(DEADLINE, writes.join_next()).await.unwrap();
    written.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_second_process_is_refused_and_the_first_goes_on() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;

    let second = Log::open_within(store.options.clone(), Duration::from_millis(200)).await;

    assert!(matches!(second, Err(OpenError::InUse)));
    replica.say("lobby", "anna", "still here").await;
    replica.close().await;
    let replica = store.open().await;
    assert_eq!(audit(&replica).await.len(), 2);
}

#[tokio::test]
async fn a_repeat_is_answered_at_every_replica_that_holds_the_message_also_after_leaving() {
    let (left, right) = tokio::join!(Store::create(1), Store::create(2));
    let (left, right) = tokio::join!(left.open(), right.open());
    let key = IdempotencyKey::parse("k").ok();
    let again = || post("lobby", "anna", "once", key.clone());
    left.join("lobby", "anna").await;
    let first = left.log.submit(again()).await.unwrap();
    left.leave("lobby", "anna").await;
    right.pull_from(&left).await;

    let here = left.log.submit(again()).await.unwrap();
    let there = right.log.submit(again()).await.unwrap();

    assert!(first.event.is_some());
    assert!(here.event.is_none() && there.event.is_none());
    assert_eq!(audit(&right).await.len(), 3);
    assert_eq!(left.log.head().vector, right.log.head().vector);
}

fn ids(events: &[RawEvent]) -> BTreeSet<String> {
    events
        .iter()
        .map(|event| event.envelope.id.clone())
        .collect()
}
