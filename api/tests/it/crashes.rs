//! Acknowledged writes survive `kill -9` of any process at any time.

use reqwest::Method;
use serde_json::Value;

use crate::harness::{
    Answer, Cluster, Door, Process, Replica, Settings, eventually, ids, run_with, texts, write,
};

#[tokio::test]
async fn everything_acknowledged_before_a_kill_is_there_after_it() {
    let mut replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut acknowledged: Vec<Value> = Vec::new();

    for life in 0..3 {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let ann = ann.clone();
                tokio::spawn(async move {
                    let mut acknowledged = Vec::new();
                    for round in 0.. {
                        let key = format!("{life}-{writer}-{round}");
                        let body = serde_json::json!({ "text": key });
                        let path = "/v1/groups/lobby/messages";
                        let request = ann.request(Method::POST, path).json(&body);
                        let answer = ann.tries(request.header("Idempotency-Key", &key)).await;
                        match answer {
                            Ok(answer) if answer.status == 201 => {
                                acknowledged.push(answer.json()["id"].clone());
                            }
                            _ => return (key, acknowledged),
                        }
                    }
                    unreachable!("the replica is killed")
                })
            })
            .collect();
        eventually("some messages being written", async || {
            let count = ann.history("lobby").await.len();
            if count > acknowledged.len() + 20 {
                Ok(())
            } else {
                Err(count.to_string())
            }
        })
        .await;
        replica.kill9();
        replica.restart().await;

        for writer in writers {
            let (unanswered, ids) = writer.await.expect("a writer ends well");
            acknowledged.extend(ids);
            let retried = ann.says_once("lobby", &unanswered, &unanswered).await;
            assert!(matches!(retried.status, 200 | 201), "{}", retried.body);
            acknowledged.push(retried.json()["id"].clone());
        }
    }

    let history = ann.history("lobby").await;
    let mut shown = ids(&history);
    let mut acknowledged: Vec<&str> = acknowledged.iter().filter_map(Value::as_str).collect();
    shown.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(shown, acknowledged, "each once, none more");
}

#[tokio::test]
async fn a_killed_replica_returns_and_gets_what_it_missed() {
    let mut cluster = Cluster::of(5).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    ann[2].says("lobby", "0 before").await;
    cluster.agree(&[1, 2, 3, 4, 5], "lobby", 1).await;

    cluster.kill9(3);
    ann[0].says("lobby", "1 while it was away").await;
    cluster.agree(&[1, 2, 4, 5], "lobby", 2).await;
    cluster.restart(3).await;

    cluster.agree(&[1, 2, 3, 4, 5], "lobby", 2).await;
    ann[2].says("lobby", "2 back again").await;
    let history = cluster.agree(&[1, 2, 3, 4, 5], "lobby", 3).await;
    assert!(texts(&history).is_sorted(), "{:?}", texts(&history));
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn what_only_a_killed_replica_had_comes_with_its_return() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.isolate(1);
    ann[0].says("lobby", "nobody else has this").await;
    cluster.kill9(1);
    cluster.heal();
    ann[1].says("lobby", "meanwhile").await;
    cluster.agree(&[2, 3], "lobby", 1).await;

    cluster.restart(1).await;

    let history = cluster.agree(&[1, 2, 3], "lobby", 2).await;
    assert_eq!(texts(&history), ["nobody else has this", "meanwhile"]);
}

#[tokio::test]
async fn all_replicas_killed_at_once_return_with_everything() {
    let mut cluster = Cluster::of(3).await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    cluster.isolate(2);
    for (at, ann) in ann.iter().enumerate() {
        ann.says("lobby", &format!("from {}", at + 1)).await;
    }
    for number in cluster.numbers() {
        cluster.kill9(number);
    }
    cluster.heal();

    cluster.start().await;

    cluster.agree(&[1, 2, 3], "lobby", 3).await;
    cluster.show_the_same_bytes("lobby").await;
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_ends_well_and_closes_its_streams() {
    let mut replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let mut stream = ann.listens("lobby").await;
    stream.catches_up().await;
    let message = ann.says("lobby", "the last one").await;

    replica.stop().await;
    stream.ends().await;
    replica.restart().await;

    assert_eq!(ann.history("lobby").await[0]["id"], message["id"]);
}

#[tokio::test]
async fn rebuilt_read_models_show_what_they_showed_before() {
    let mut replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let bob = replica.member("bob", "lobby").await;
    for round in 0..5 {
        let message = ann.says("lobby", &format!("round {round}")).await;
        bob.likes("lobby", &message["id"]).await.with(200);
    }
    let cursor = ann.snapshot("lobby").await["cursor"]
        .as_str()
        .expect("a text")
        .to_owned();
    let before = ann.raw_messages("lobby").await;
    replica.stop().await;

    let output = run_with(&replica.settings, &["rebuild"]).await;

    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    replica.restart().await;

    eventually("the same bytes", async || {
        let after = ann.raw_messages("lobby").await;
        if after == before {
            Ok(())
        } else {
            Err(format!("{after} was {before}"))
        }
    })
    .await;
    ann.says("lobby", "goes on").await;
    let missed = ann.resumes("lobby", &cursor).await.catches_up().await;
    assert_eq!(
        missed.len(),
        1,
        "a cursor from before is still good: {missed:?}"
    );
}

#[tokio::test]
async fn one_database_is_never_written_by_two_servers() {
    let replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let other = Settings {
        data_dir: folder.path().join("data"),
        ..replica.settings.clone()
    };

    let output = run_with(&other, &["run"]).await;

    let sentence = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && sentence.contains("another process"),
        "{sentence}"
    );
    ann.says("lobby", "the first one goes on").await;
}

#[tokio::test]
async fn a_server_takes_over_from_one_that_is_killed_while_it_waits() {
    let mut replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "before").await;
    let config = write(&replica.settings);
    let second = tokio::spawn(async move { Process::start(&config).await });
    crate::harness::passes(std::time::Duration::from_secs(2)).await;
    assert!(
        !second.is_finished(),
        "it waits while the first one has the database"
    );

    replica.kill9();
    let second = second.await.expect("it becomes ready");

    let door = Door::at(second.public);
    let request = door.request(Method::GET, "/v1/groups/lobby/messages");
    let answer = Answer::to(request.bearer_auth(&ann.token)).await;
    let page = answer.expect("an answer").with(200);
    assert_eq!(page["messages"][0]["text"], "before");
}
