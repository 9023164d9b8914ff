//! A database that was emptied, restored or cloned: it is noticed, and no messages are lost.

use serde_json::Value;

use crate::harness::{Cluster, Database, eventually, texts};

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
async fn a_replica_rolled_back_with_its_file_is_noticed_and_gets_its_tail_back() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "0 in the backup").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
    cluster.at_mut(2).stop().await;
    let backup = cluster.at(2).backup().await;
    let file = cluster.at(2).identity_file();
    cluster.restart(2).await;
    let before = epoch(&cluster, 2).await;
    ann[1].says("lobby", "1 after the backup").await;
    cluster.agree(&[1, 2, 3], "lobby", 2).await;

    cluster.kill9(2);
    cluster.at_mut(2).restore(backup);
    cluster.at(2).restore_identity_file(&file);
    cluster.restart(2).await;
    // It serves no clients before it has the new epoch, as its peers could be asked.
    ann[1].says("lobby", "2 at once after it").await;
    assert_ne!(epoch(&cluster, 2).await, before);
    cluster.agree(&[1, 2, 3], "lobby", 3).await;
    let view = ann[1].view().await;
    let alarms = view["alarms"].as_array().unwrap();
    let rolled_back = alarms.iter().find(|alarm| alarm["kind"] == "rolled_back");
    let origin = &rolled_back.expect("the alarm stands")["origin"];
    assert!(
        before
            .as_str()
            .is_some_and(|epoch| *origin == format!("2.{epoch}"))
    );
    let metric = "causeway_alarms{kind=\"rolled_back\"}";
    assert_eq!(cluster.at(2).metric(metric).await, 1);
    assert_eq!(cluster.at(1).metric("causeway_forked_origins").await, 0);
    ann[1].says("lobby", "3 after it").await;

    let history = cluster.agree(&[1, 2, 3], "lobby", 4).await;
    assert!(texts(&history).is_sorted(), "{:?}", texts(&history));
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn a_replica_rolled_back_with_its_file_that_wrote_alone_goes_on_with_a_new_epoch() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.at_mut(2).stop().await;
    let backup = cluster.at(2).backup().await;
    let file = cluster.at(2).identity_file();
    cluster.restart(2).await;
    ann[1].says("lobby", "known to all").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;

    cluster.kill9(2);
    cluster.isolate(2);
    cluster.at_mut(2).restore(backup);
    cluster.at(2).restore_identity_file(&file);
    cluster.restart(2).await;
    let forked = epoch(&cluster, 2).await;
    ann[1]
        .says("lobby", "forked, and known to nobody else")
        .await;
    cluster.heal();
    eventually("a new epoch", async || {
        let now = epoch(&cluster, 2).await;
        if now == forked {
            Err(now.to_string())
        } else {
            Ok(())
        }
    })
    .await;
    ann[1].says("lobby", "written under the new epoch").await;

    for number in [1, 3] {
        let reader = cluster.at(number).user("ann").await;
        eventually("what was written under the new epoch", async || {
            let history = reader.history("lobby").await;
            let texts = texts(&history);
            if texts == ["known to all", "written under the new epoch"] {
                Ok(())
            } else {
                Err(format!("{texts:?}"))
            }
        })
        .await;
    }
    let history = ann[1].history("lobby").await;
    let own = texts(&history);
    assert!(own.contains(&"forked, and known to nobody else"), "{own:?}");
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
