//! A pull does not wait for the disk: the next batch comes while the last one is being stored.

use crate::stop;
use crate::support::{Door, Replica, expect_agreement, replicas, until};

#[tokio::test]
async fn the_next_batch_comes_while_the_last_one_is_being_stored() {
    let replicas = replicas(2, |_| b"key").await;
    let written = write_behind_shut_doors(&replicas, 3_500).await;
    let mut busy = replicas[1].log.pool().begin().await.unwrap();
    let lock = sqlx::query("LOCK TABLE events IN EXCLUSIVE MODE");
    lock.execute(&mut *busy).await.unwrap();

    open_doors(&replicas);

    until("two batches have come", || received(&replicas[1]) == 2_000).await;
    assert_eq!(replicas[1].log.head().offset, 0);
    busy.rollback().await.unwrap();
    expect_agreement(&replicas, written).await;
    assert_eq!(received(&replicas[1]), written, "nothing moves twice");
    stop(replicas).await;
}

async fn write_behind_shut_doors(replicas: &[Replica], count: u64) -> u64 {
    for replica in replicas {
        replica.set_door(Door::Shut);
    }
    let joins: Vec<_> = (0..count).map(|number| format!("user{number}")).collect();
    futures_util::future::join_all(joins.iter().map(|who| replicas[0].join(who))).await;
    count
}

fn open_doors(replicas: &[Replica]) {
    for replica in replicas {
        replica.set_door(Door::Open);
    }
}

fn received(replica: &Replica) -> u64 {
    let counted = replica.replicator.traffic().counted();
    counted.map(|counted| counted.received).sum()
}
