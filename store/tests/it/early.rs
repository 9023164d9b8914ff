//! Events that arrive before their causal past (F10, F11), and a log with a gap (F5, F14).

use causeway_domain::envelope::RawEvent;
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Absorbed;
use causeway_store::log::ReadError;

use crate::support::{Open, Store};

#[tokio::test]
async fn pushes_that_wait_for_each_other_leave_nothing_behind_and_all_comes_in_the_end() {
    let (one, two, three) = tokio::join!(Store::create(1), Store::create(2), Store::create(3));
    let (first, second, third) = tokio::join!(one.open(), two.open(), three.open());
    first.join("lobby", "anna").await;
    second.pull_from(&first).await;
    second.join("lobby", "bert").await;
    first.pull_from(&second).await;
    first.say("lobby", "anna", "knows of bert").await;
    let of_first = own(&first).await;
    let of_second = own(&second).await;

    // Each push begins with an event whose past includes an event of the other.
    let (from_second, _) = third.log.absorb(of_second.clone()).await.unwrap();
    let (from_first, _) = third.log.absorb(vec![of_first[1].clone()]).await.unwrap();
    let (before, origins) = (third.log.head().vector.clone(), [&first, &second]);
    third.close().await;
    let third = three.open().await;
    let after = third.log.head().vector.clone();
    third.pull_from(&second).await;
    third.pull_from(&first).await;

    let origins = origins.map(|replica| replica.log.origin());
    let lacking = |absorbed: &Absorbed| {
        absorbed
            .missing
            .iter()
            .map(|range| range.origin)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (from_second.stored, lacking(&from_second)),
        (0, vec![origins[0]])
    );
    assert_eq!(
        (from_first.stored, lacking(&from_first)),
        (0, origins.to_vec())
    );
    assert!(before.is_empty() && after.is_empty());
    assert_eq!(third.log.head().vector, first.log.head().vector);
    assert_eq!(third.log.head().hashes, first.log.head().hashes);
    assert_eq!(third.texts("lobby").await, ["knows of bert"]);
}

#[tokio::test]
async fn a_log_with_a_hole_is_not_read_beyond_it() {
    let store = Store::create(1).await;
    let replica = store.open().await;
    replica.join("lobby", "anna").await;
    for text in ["one", "two", "three"] {
        replica.say("lobby", "anna", text).await;
    }
    sqlx::query("DELETE FROM events WHERE arrival = 3")
        .execute(replica.log.pool())
        .await
        .unwrap();

    let read = replica.log.read_after(0, 100).await;

    assert!(matches!(read, Err(ReadError::Corrupt(3))), "{read:?}");
}

/// The events that a replica originated.
async fn own(replica: &Open) -> Vec<RawEvent> {
    let nothing = VersionVector::default();
    let all = replica.log.read_beyond(&nothing, 100, usize::MAX).await;
    let is_own = |event: &RawEvent| event.envelope.stamp.origin == replica.log.origin();
    all.unwrap().into_iter().filter(is_own).collect()
}
