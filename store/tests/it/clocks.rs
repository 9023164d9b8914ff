//! For any wall clock, an event sorts after its causal past (F15, F16) and above every reported
//! closed timestamp (F18).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use causeway_domain::hlc::Hlc;
use causeway_store::log::Done;
use tokio::time::timeout;

use crate::support::{Open, Store, wall_ms};

const DEADLINE: Duration = Duration::from_secs(20);
const HOUR_MS: u64 = 3_600_000;

#[tokio::test]
async fn an_answer_sorts_after_a_question_from_a_clock_that_is_ahead() {
    let (ahead, right) = tokio::join!(Store::create_ahead(1, HOUR_MS), Store::create(2));
    let (ahead, right) = tokio::join!(ahead.open(), right.open());
    ahead.join("lobby", "anna").await;
    let question = ahead.say("lobby", "anna", "question").await;
    right.pull_from(&ahead).await;

    right.join("lobby", "bert").await;
    let answer = right.say("lobby", "bert", "answer").await;
    right.timelines.catch_up().await.unwrap();

    assert!(reading(&answer) > reading(&question));
    assert_eq!(right.texts("lobby").await, ["question", "answer"]);
}

#[tokio::test]
async fn a_start_with_the_clock_set_back_goes_on_above_all_that_was_written_and_promised() {
    let mut store = Store::create_ahead(1, HOUR_MS).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    let before = replica.say("lobby", "anna", "before").await;
    let closed_ts = floor_above(&replica, reading(&before)).await;
    replica.close().await;

    store.set_clock(Arc::new(wall_ms));
    let replica = store.open().await;
    let after = replica.say("lobby", "anna", "after").await;

    assert!(reading(&after) > reading(&before).max(closed_ts));
}

#[tokio::test]
async fn nothing_is_written_below_a_floor_that_was_told_when_the_clock_is_set_back() {
    let mut store = Store::create(1).await;
    let ahead = Arc::new(AtomicU64::new(HOUR_MS));
    let offset = ahead.clone();
    store.set_clock(Arc::new(move || wall_ms() + offset.load(Ordering::Relaxed)));
    let replica = store.open().await;
    let joined = replica.join("lobby", "anna").await;
    let closed_ts = floor_above(&replica, reading(&joined)).await;

    ahead.store(0, Ordering::Relaxed);
    let after = replica.say("lobby", "anna", "after").await;

    assert!(reading(&after) > closed_ts);
}

/// Waits for a closed timestamp above a reading, and returns it.
async fn floor_above(replica: &Open, reading: Hlc) -> Hlc {
    let mut commits = replica.log.commits();
    let risen = commits.wait_for(|head| head.closed_ts > reading);
    timeout(DEADLINE, risen).await.unwrap().unwrap().closed_ts
}

fn reading(done: &Done) -> Hlc {
    done.event.as_ref().unwrap().envelope.stamp.hlc
}
