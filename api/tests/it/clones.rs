//! Two servers with one number: a copy of a replica runs beside it.

use crate::harness::{Cluster, Replica, eventually, texts};
use crate::rescue::rescue;

#[tokio::test]
async fn a_copy_beside_its_original_is_served_by_nobody_and_what_it_wrote_is_rescued() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "0 before the copy").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
    cluster.at_mut(2).stop().await;
    let mut copy = cluster.at(2).copy().await;
    cluster.restart(2).await;
    cluster.sees_itself_whole().await;
    copy.restart().await;

    let at_copy = copy.user("ann").await;
    at_copy.says("lobby", "1 at the copy").await;
    at_copy.says("lobby", "2 at the copy").await;
    ann[1].says("lobby", "3 at the original").await;
    ann[0].says("lobby", "4 at replica 1").await;
    alarm(&copy, "refused_by").await;
    alarm(cluster.at(1), "refused").await;
    alarm(cluster.at(3), "refused").await;

    let history = cluster.agree(&[1, 2, 3], "lobby", 3).await;
    let expected = ["0 before the copy", "3 at the original", "4 at replica 1"];
    assert_eq!(texts(&history), expected);
    let history = at_copy.history("lobby").await;
    let expected = ["0 before the copy", "1 at the copy", "2 at the copy"];
    assert_eq!(
        texts(&history),
        expected,
        "what it is not served stays away"
    );

    // The copy ends, and its data folder replaces that of the original.
    copy.stop().await;
    cluster.at_mut(2).stop().await;
    cluster.at_mut(2).restore(copy.backup().await);
    let file = copy.identity_file();
    cluster.at(2).restore_identity_file(&file);
    rescue(&cluster, 2).await;
    cluster.restart(2).await;

    let history = cluster.agree(&[1, 2, 3], "lobby", 5).await;
    let mut shown = texts(&history);
    shown.sort_unstable();
    let is_there = |(text, n): (&&str, i32)| text.starts_with(&n.to_string());
    assert!(shown.iter().zip(0..).all(is_there), "{shown:?}");
    cluster.show_the_same_bytes("lobby").await;
}

/// Waits until a replica raises an alarm of a kind.
async fn alarm(replica: &Replica, kind: &str) {
    let line = format!("causeway_alarms{{kind=\"{kind}\"}} ");
    eventually("an alarm", async || match replica.metric(&line).await {
        0 => Err(format!("no `{kind}`")),
        _ => Ok(()),
    })
    .await;
}
