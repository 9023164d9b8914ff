//! A database that is not what it was: emptied, restored, cloned. It is noticed, and nobody's
//! messages are lost.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Cluster, Database, eventually, passes, texts};

#[tokio::test]
async fn a_replica_with_an_emptied_database_gets_everything_back() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "0 from the one that is emptied").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
    let before = epoch(&cluster, 2).await;

    cluster.kill9(2);
    cluster.at_mut(2).restore(Database::empty().await);
    cluster.restart(2).await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
    ann[1].says("lobby", "1 after it").await;

    let history = cluster.agree(&[1, 2, 3], "lobby", 2).await;
    assert!(texts(&history).is_sorted(), "{:?}", texts(&history));
    assert_ne!(epoch(&cluster, 2).await, before);
}

#[tokio::test]
async fn an_emptied_replica_that_writes_before_it_meets_anybody_reuses_no_number() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    for round in 0..3 {
        ann[1].says("lobby", &format!("before {round}")).await;
    }
    cluster.agree(&[1, 2, 3], "lobby", 3).await;

    cluster.kill9(2);
    cluster.isolate(2);
    cluster.at_mut(2).restore(Database::empty().await);
    cluster.restart(2).await;
    ann[1].joins("lobby").await;
    for round in 0..3 {
        ann[1].says("lobby", &format!("alone {round}")).await;
    }
    cluster.heal();

    cluster.agree(&[1, 2, 3], "lobby", 6).await;
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn a_replica_restored_from_a_backup_reuses_no_number() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "in the backup").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
    cluster.at_mut(2).stop().await;
    let backup = cluster.at(2).backup().await;
    cluster.restart(2).await;
    ann[1].says("lobby", "after the backup").await;
    cluster.agree(&[1, 2, 3], "lobby", 2).await;
    // What was last written is kept beside the database once a second.
    passes(Duration::from_secs(3)).await;

    cluster.kill9(2);
    cluster.isolate(2);
    cluster.at_mut(2).restore(backup);
    cluster.restart(2).await;
    assert_eq!(texts(&ann[1].history("lobby").await), ["in the backup"]);
    ann[1].says("lobby", "restored and alone").await;
    cluster.heal();

    let history = cluster.agree(&[1, 2, 3], "lobby", 3).await;
    assert_eq!(
        texts(&history),
        ["in the backup", "after the backup", "restored and alone"]
    );
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn a_database_that_is_continued_keeps_its_epoch() {
    let mut cluster = Cluster::of(2).await;
    let before = epoch(&cluster, 1).await;

    cluster.kill9(1);
    cluster.restart(1).await;
    assert_eq!(epoch(&cluster, 1).await, before, "after a kill");
    cluster.at_mut(1).stop().await;
    cluster.restart(1).await;
    assert_eq!(epoch(&cluster, 1).await, before, "after a stop");
}

async fn epoch(cluster: &Cluster, number: u16) -> Value {
    let watcher = cluster.at(number).user("watcher").await;
    eventually("the replica naming its epoch", async || {
        let view = watcher.view().await;
        let epoch = view["self"]["epoch"].clone();
        if epoch.is_null() {
            Err(view.to_string())
        } else {
            Ok(epoch)
        }
    })
    .await
}
