//! Forks: a replica was rolled back together with its file, and wrote alone. Its origin stops;
//! everything else goes on.

use crate::harness::{Cluster, User, eventually, texts};

#[tokio::test]
async fn a_side_that_wrote_less_than_the_others_know_exchanges_all_that_comes_after() {
    everything_else_goes_on(4, 1).await;
}

#[tokio::test]
async fn a_side_that_wrote_more_than_the_others_know_exchanges_all_that_comes_after() {
    everything_else_goes_on(1, 4).await;
}

async fn everything_else_goes_on(known_to_all: usize, known_to_nobody: usize) {
    let (mut cluster, ann) = forked(known_to_all, known_to_nobody).await;
    for number in [1, 2] {
        is_alarmed(&cluster, number).await;
    }
    let mut expected = Vec::new();
    for number in [1, 2, 3] {
        let text = format!("after the fork, from {number}");
        ann[number - 1].says("lobby", &text).await;
        expected.push(text);
    }

    for number in [1, 2, 3] {
        shows(&ann[number - 1], &expected).await;
    }
    cluster.kill9(2);
    cluster.restart(2).await;
    let ann = cluster.at(2).user("ann").await;
    ann.says("lobby", "after one more start").await;
    expected.push("after one more start".to_owned());
    shows(&cluster.at(3).user("ann").await, &expected).await;
}

/// Replica 2 of three loses events that all hold and writes others under the same numbers.
async fn forked(known_to_all: usize, known_to_nobody: usize) -> (Cluster, Vec<User>) {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.at_mut(2).stop().await;
    let backup = cluster.at(2).backup().await;
    let file = cluster.at(2).identity_file();
    cluster.restart(2).await;
    for number in 0..known_to_all {
        ann[1]
            .says("lobby", &format!("known to all {number}"))
            .await;
    }
    cluster.agree(&[1, 2, 3], "lobby", known_to_all).await;

    cluster.kill9(2);
    cluster.isolate(2);
    cluster.at_mut(2).restore(backup);
    cluster.at(2).restore_identity_file(&file);
    cluster.restart(2).await;
    for number in 0..known_to_nobody {
        let text = format!("known to nobody else {number}");
        cluster.at(2).user("ann").await.says("lobby", &text).await;
    }
    let forked = epoch(&cluster).await;
    cluster.heal();
    eventually("a new epoch", async || {
        let now = epoch(&cluster).await;
        if now == forked { Err(now) } else { Ok(()) }
    })
    .await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    (cluster, ann)
}

/// Asserts that the view, the metrics and the log report the fork.
async fn is_alarmed(cluster: &Cluster, number: u16) {
    let replica = cluster.at(number);
    let kind = "causeway_alarms{kind=\"fork\"}";
    eventually("the alarm", async || {
        let told = (
            replica.metric(kind).await,
            replica.metric("causeway_forked_origins").await,
        );
        if told.0 > 0 && told.1 == 1 {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    })
    .await;
    let view = replica.user("ann").await.view().await;
    let alarms = view["alarms"].as_array().expect("a list");
    let forks = alarms.iter().filter(|alarm| alarm["kind"] == "fork");
    let origins: Vec<String> = forks.map(|alarm| alarm["origin"].to_string()).collect();
    assert!(
        !origins.is_empty() && origins.iter().all(|origin| origin.starts_with("\"2.")),
        "{alarms:?}"
    );
    let said = replica.process().log();
    assert!(said.contains("under the same numbers"), "{said}");
}

async fn epoch(cluster: &Cluster) -> String {
    let view = cluster.at(2).user("ann").await.view().await;
    view["self"]["epoch"].to_string()
}

async fn shows(reader: &User, expected: &[String]) {
    eventually("what was written after the fork", async || {
        let history = reader.history("lobby").await;
        let texts = texts(&history);
        if expected.iter().all(|text| texts.contains(&text.as_str())) {
            Ok(())
        } else {
            Err(format!("{texts:?}"))
        }
    })
    .await;
}
