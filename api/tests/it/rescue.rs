//! Returning after a fork: `new-epoch` and `new-epoch --rescue`. Nothing written on either side is
//! lost, and all replicas show one history again.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Cluster, Database, all_at_once, eventually, passes, run_with, texts, write};

#[tokio::test]
async fn a_replica_rolled_back_with_its_file_that_wrote_alone_is_rescued_with_all_it_wrote() {
    let mut cluster = Cluster::of(3).await;
    forks_after_a_rollback(&mut cluster).await;
    let ann = cluster.at(2).user("ann").await;
    ann.says("lobby", "4 under the epoch drawn after the fork")
        .await;
    tells_of_a_fork(&cluster, 1).await;

    cluster.at_mut(2).stop().await;
    let told = rescue(&cluster, 2).await;
    cluster.restart(2).await;

    assert!(told.contains("replica 1, 3 is followed"), "{told}");
    everything_is_back(&cluster).await;
}

#[tokio::test]
async fn a_rescue_that_is_killed_anywhere_and_run_again_repeats_nothing() {
    let mut cluster = Cluster::of(3).await;
    forks_after_a_rollback(&mut cluster).await;
    let ann = cluster.at(2).user("ann").await;
    ann.says("lobby", "4 under the epoch drawn after the fork")
        .await;
    cluster.at_mut(2).stop().await;

    for ms in [30, 60, 90, 120, 160, 200, 250, 300, 400] {
        let config = write(&cluster.at(2).settings);
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_causeway-server"));
        command
            .args(["new-epoch", "--rescue", "--config"])
            .arg(config);
        let mut killed = command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("it can be run");
        passes(Duration::from_millis(ms)).await;
        drop(killed.kill().await);
    }
    rescue(&cluster, 2).await;
    rescue(&cluster, 2).await;
    cluster.restart(2).await;

    everything_is_back(&cluster).await;
}

#[tokio::test]
async fn two_copies_of_a_replica_that_were_both_written_to_become_one_history() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "0 before the copy").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
    cluster.at_mut(2).stop().await;
    let (copy, file) = (cluster.at(2).backup().await, cluster.at(2).identity_file());

    // One copy writes where replica 1 sees it, the other where replica 3 does.
    cluster.cut(&[1, 2], &[3]);
    cluster.restart(2).await;
    for text in ["1 with replica 1", "2 with replica 1"] {
        ann[1].says("lobby", text).await;
    }
    ann[0].says("lobby", "3 of replica 1, in answer").await;
    cluster.agree(&[1, 2], "lobby", 4).await;
    cluster.kill9(2);
    cluster.at_mut(2).restore(copy);
    cluster.at(2).restore_identity_file(&file);
    cluster.heal();
    cluster.isolate(1);
    cluster.restart(2).await;
    ann[1].says("lobby", "4 with replica 3").await;
    ann[2].says("lobby", "5 of replica 3, in answer").await;
    cluster.agree(&[2, 3], "lobby", 3).await;
    cluster.heal();
    tells_of_a_fork(&cluster, 1).await;

    // The copy that wrote with replica 1 is gone: replica 1 alone has its events, and yields.
    cluster.at_mut(1).stop().await;
    rescue(&cluster, 1).await;
    cluster.restart(1).await;

    let history = cluster.agree(&[1, 2, 3], "lobby", 6).await;
    let mut shown = texts(&history);
    shown.sort_unstable();
    assert!(
        shown
            .iter()
            .zip(0..)
            .all(|(text, n)| text.starts_with(&n.to_string())),
        "{shown:?}"
    );
    cluster.show_the_same_bytes("lobby").await;
    no_fork_is_left(&cluster).await;
}

#[tokio::test]
async fn a_new_epoch_keeps_everything_and_is_told() {
    let mut cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "0 under the first").await;
    let former = epoch(&cluster, 2).await;
    cluster.at_mut(2).stop().await;

    let told = run(&cluster, 2, &["new-epoch"]).await;
    assert!(told.status.success(), "{told:?}");
    cluster.restart(2).await;
    ann[1].says("lobby", "1 under the second").await;

    let present = epoch(&cluster, 2).await;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_ne!(former, present);
    assert!(
        told.contains(&format!("2.{former}")) && told.contains(&format!("2.{present}")),
        "{told}"
    );
    cluster.agree(&[1, 2], "lobby", 2).await;
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn a_restored_snapshot_that_was_given_a_new_epoch_never_forks() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let (backup, file) = rolls_on_after_a_backup(&mut cluster).await;

    cluster.kill9(2);
    cluster.isolate(2);
    cluster.at_mut(2).restore(backup);
    cluster.at(2).restore_identity_file(&file);
    assert!(run(&cluster, 2, &["new-epoch"]).await.status.success());
    cluster.restart(2).await;
    ann[1].says("lobby", "2 alone").await;
    cluster.heal();

    cluster.agree(&[1, 2, 3], "lobby", 3).await;
    cluster.show_the_same_bytes("lobby").await;
    no_fork_is_left(&cluster).await;
}

#[tokio::test]
async fn a_rescue_without_peers_and_a_new_epoch_beside_a_running_server_are_refused() {
    let mut cluster = Cluster::of(2).await;
    let running = run(&cluster, 1, &["new-epoch"]);
    let alone = async {
        passes(Duration::ZERO).await;
    };
    let (running, ()) = tokio::join!(running, alone);
    cluster.at_mut(2).stop().await;
    cluster.kill9(1);
    let alone = run(&cluster, 2, &["new-epoch", "--rescue"]).await;

    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !running.status.success() && said(&running).contains("another process"),
        "{running:?}"
    );
    assert_eq!(alone.status.code(), Some(1), "{alone:?}");
    assert!(said(&alone).contains("no peer answers"), "{alone:?}");
}

/// Replica 2 writes events that all hold, and is then rolled back.
async fn rolls_on_after_a_backup(cluster: &mut Cluster) -> (Database, Vec<u8>) {
    let ann = cluster.at(2).user("ann").await;
    ann.says("lobby", "0 in the backup").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
    cluster.at_mut(2).stop().await;
    let (backup, file) = (cluster.at(2).backup().await, cluster.at(2).identity_file());
    cluster.restart(2).await;
    cluster
        .at(2)
        .user("ann")
        .await
        .says("lobby", "1 after it")
        .await;
    cluster.agree(&[1, 2, 3], "lobby", 2).await;
    (backup, file)
}

/// Database and file of replica 2 are rolled back together, and it writes before it meets a peer.
/// Afterwards it continues in a new epoch, beside the fork.
async fn forks_after_a_rollback(cluster: &mut Cluster) {
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let bob = cluster.member_everywhere("bob", "lobby").await;
    let (backup, file) = rolls_on_after_a_backup(cluster).await;
    cluster.kill9(2);
    cluster.isolate(2);
    cluster.at_mut(2).restore(backup);
    cluster.at(2).restore_identity_file(&file);
    cluster.restart(2).await;
    let former = epoch(cluster, 2).await;
    let first = ann[1].says_once("lobby", "2 forked", "key").await.with(201);
    ann[1].says("lobby", "3 forked too").await;
    bob[1].likes("lobby", &first["id"]).await.with(200);
    bob[1].leaves("lobby").await;
    cluster.heal();
    eventually("a new epoch", async || {
        let now = epoch(cluster, 2).await;
        if now == former { Err(now) } else { Ok(()) }
    })
    .await;
}

/// Asserts that all five messages, likes and memberships are everywhere, once, and unchanged.
async fn everything_is_back(cluster: &Cluster) {
    let history = cluster.agree(&[1, 2, 3], "lobby", 5).await;
    let mut shown = texts(&history);
    shown.sort_unstable();
    assert!(
        shown
            .iter()
            .zip(0..)
            .all(|(text, n)| text.starts_with(&n.to_string())),
        "{shown:?}"
    );
    cluster.show_the_same_bytes("lobby").await;
    let forked = history
        .iter()
        .find(|it| it["text"] == "2 forked")
        .expect("it is there");
    assert_eq!(forked["likes"], 1, "{forked}");
    for number in cluster.numbers() {
        let ann = cluster.at(number).user("ann").await;
        let snapshot = ann.snapshot("lobby").await;
        assert_eq!(snapshot["members_count"], 1, "bob has left: {snapshot}");
    }
    let ann = cluster.at(3).user("ann").await;
    let again = ann.says_once("lobby", "2 forked", "key").await.with(200);
    assert_eq!(again["id"], forked["id"], "its key is known");
    assert_eq!(again["received_at"], forked["received_at"]);
    no_fork_is_left(cluster).await;
    let cluster: &Cluster = cluster;
    all_at_once(cluster.numbers().into_iter().map(async |number| {
        let ann = cluster.at(number).user("ann").await;
        ann.says("lobby", &format!("{} goes on", number + 4)).await;
    }))
    .await;
    cluster.agree(&[1, 2, 3], "lobby", 8).await;
}

async fn tells_of_a_fork(cluster: &Cluster, number: u16) {
    eventually("a replica telling of the fork", async || {
        let alarms = alarms(cluster, number).await;
        if alarms.contains(&"fork".into()) {
            Ok(())
        } else {
            Err(format!("{alarms:?}"))
        }
    })
    .await;
}

async fn no_fork_is_left(cluster: &Cluster) {
    for number in cluster.numbers() {
        eventually("the fork having passed", async || {
            let alarms = alarms(cluster, number).await;
            if alarms.contains(&"fork".into()) {
                Err(format!("{number}: {alarms:?}"))
            } else {
                Ok(())
            }
        })
        .await;
    }
}

pub async fn rescue(cluster: &Cluster, number: u16) -> String {
    let output = run(cluster, number, &["new-epoch", "--rescue"]).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn run(cluster: &Cluster, number: u16, command: &'static [&'static str]) -> Output {
    run_with(&cluster.at(number).settings, command).await
}

async fn alarms(cluster: &Cluster, number: u16) -> Vec<String> {
    let view = cluster.at(number).user("watcher").await.view().await;
    let alarms = view["alarms"].as_array().expect("a list");
    let kind = |alarm: &Value| alarm["kind"].as_str().expect("a text").to_owned();
    alarms.iter().map(kind).collect()
}

async fn epoch(cluster: &Cluster, number: u16) -> String {
    let view = cluster.at(number).user("watcher").await.view().await;
    view["self"]["epoch"].as_str().expect("a text").to_owned()
}
