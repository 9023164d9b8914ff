//! Adding, replacing and retiring replicas (F33) as `docs/OPERATIONS.md` describes it, while users go
//! on writing.

use serde_json::{Value, json};

use crate::harness::{Cluster, User, eventually, texts};

#[tokio::test]
async fn a_replica_is_added_by_rolling_restarts() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[0].says("lobby", "0 before it came").await;

    let number = cluster.grow().await;
    cluster.restart(number).await;
    let at_newcomer = cluster.at(number).member("ann", "lobby").await;
    let everywhere = [&ann[..], std::slice::from_ref(&at_newcomer)].concat();
    let mut count = 1;
    for other in 1..number {
        cluster.roll(other).await;
        // A replica that does not know the new one yet refuses it, and gets its events from the others.
        let text = format!("{count} as {other} knows of it");
        ann[usize::from(other) - 1].says("lobby", &text).await;
        all_show(&everywhere, count + 1).await;
        let text = format!("{} written at the newcomer", count + 1);
        at_newcomer.says("lobby", &text).await;
        all_show(&everywhere, count + 2).await;
        count += 2;
    }

    cluster.sees_itself_whole().await;
    let message = at_newcomer.says("lobby", "7 when all know it").await;
    let settled = settles(&ann[0], &message["id"], &[1, 2, 3, 4]).await;
    assert_eq!(settled["vector"].as_array().map(Vec::len), Some(4));
    assert_eq!(settled["origin"], 4);
    let view = ann[0].view().await;
    assert_eq!(view["peers"].as_array().map(Vec::len), Some(3));
    assert_eq!(view["self"]["vector"].as_array().map(Vec::len), Some(4));
    assert_in_order(&at_newcomer.history("lobby").await, 8);
}

#[tokio::test]
async fn a_newcomer_that_starts_before_the_others_know_it_catches_up_when_they_do() {
    let mut cluster = Cluster::of(2).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[0].says("lobby", "0 before it came").await;
    let number = cluster.grow().await;
    cluster.restart(number).await;
    let early = cluster.at(number).member("ann", "lobby").await;
    early.says("lobby", "1 at the newcomer, still alone").await;
    eventually("the refusal being told", async || {
        let log = cluster.at(number).process().log();
        if log.contains("replica `3` is not configured") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;

    cluster.roll(1).await;
    // Replica 2 still refuses it, and gets everything from replica 1.
    all_show(&ann[1..], 2).await;
    cluster.roll(2).await;

    cluster.sees_itself_whole().await;
    let message = early.says("lobby", "2 when all know it").await;
    settles(&ann[1], &message["id"], &[1, 2, 3]).await;
    assert_in_order(&ann[1].history("lobby").await, 3);
}

#[tokio::test]
async fn a_replica_is_replaced_by_an_empty_machine_while_another_is_away() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[1].says("lobby", "0 of the one that is replaced").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;
    let before = ann[1].view().await["self"]["epoch"].clone();

    cluster.kill9(3);
    cluster.kill9(2);
    cluster.replace(2).await;
    cluster.restart(2).await;
    let back = ann[1].at(cluster.at(2));
    cluster.agree(&[1, 2], "lobby", 1).await;
    back.says("lobby", "1 of the new machine").await;
    ann[0].says("lobby", "2 beside it").await;
    cluster.agree(&[1, 2], "lobby", 3).await;
    assert_ne!(back.view().await["self"]["epoch"], before);
    cluster.restart(3).await;

    let history = cluster.agree(&[1, 2, 3], "lobby", 3).await;
    assert_in_order(&history, 3);
    let last = back.says("lobby", "3 with all").await;
    settles(&ann[0], &last["id"], &[1, 2, 3]).await;
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn a_replica_is_retired_and_what_it_wrote_stays() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[2].says("lobby", "0 of the one that goes").await;
    cluster.agree(&[1, 2, 3], "lobby", 1).await;

    cluster.at_mut(3).stop().await;
    cluster.strike_out(3, &[1, 2]);
    cluster.roll(1).await;
    cluster.roll(2).await;

    let after = ann[0].says("lobby", "1 after it went").await;
    settles(&ann[1], &after["id"], &[1, 2]).await;
    assert_eq!(
        ann[0].view().await["peers"].as_array().map(Vec::len),
        Some(1)
    );
    let history = cluster.agree(&[1, 2], "lobby", 2).await;
    assert_eq!(history[0]["origin"], 3);

    // A new replica gets the events of the retired one from those that hold them.
    let number = cluster.grow().await;
    cluster.strike_out(3, &[number]);
    cluster.roll(1).await;
    cluster.roll(2).await;
    cluster.restart(number).await;
    let history = cluster.agree(&[1, 2, 4], "lobby", 2).await;
    assert_in_order(&history, 2);
    let last = ann[0].says("lobby", "2 with the newcomer").await;
    settles(&ann[1], &last["id"], &[1, 2, 4]).await;

    // A retired replica that is started by mistake is refused, and says why.
    cluster.restart(3).await;
    let returned = ann[2].at(cluster.at(3));
    eventually("the reason being told", async || {
        let log = cluster.at(3).process().log();
        let other = cluster.at(1).process().log();
        let is_told = |log: &str| log.contains("replica `3` is not configured");
        if is_told(&log) && is_told(&other) {
            Ok(())
        } else {
            Err(format!("{log}\n--- replica 1 ---\n{other}"))
        }
    })
    .await;
    returned.says("lobby", "lost to the others").await;
    let last = ann[0].says("lobby", "3 goes on").await;
    settles(&ann[1], &last["id"], &[1, 2, 4]).await;
    let history = cluster.agree(&[1, 2, 4], "lobby", 4).await;
    assert_in_order(&history, 4);
}

/// Waits until a message is settled and stored on exactly these replicas.
async fn settles(user: &User, id: &Value, stored_on: &[u16]) -> Value {
    eventually("the message being settled and stored", async || {
        let id = id.as_str().expect("an id is a text");
        let answer = user.get(&format!("/v1/groups/lobby/messages/{id}")).await;
        let is_settled = answer.status == 200 && answer.json()["settled"] == true;
        if is_settled && answer.json()["stored_on"] == json!(stored_on) {
            Ok(answer.json())
        } else {
            Err(answer.body)
        }
    })
    .await
}

/// Waits until all users are shown this many messages, in the order in which they were written.
async fn all_show(users: &[User], count: usize) {
    for user in users {
        eventually("all messages being shown", async || {
            let history = user.history("lobby").await;
            let texts = texts(&history);
            if texts.len() == count && texts.is_sorted() {
                Ok(())
            } else {
                Err(format!("{texts:?}"))
            }
        })
        .await;
    }
}

/// The texts begin with the numbers in which they were written.
#[track_caller]
fn assert_in_order(history: &[Value], count: usize) {
    let texts = texts(history);
    assert_eq!(texts.len(), count, "{texts:?}");
    assert!(texts.is_sorted(), "{texts:?}");
}
