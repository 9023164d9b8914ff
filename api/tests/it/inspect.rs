//! `inspect`: an operator reads the history and the state of an aggregate.

use std::process::Output;

use crate::harness::{Replica, User, run_to_its_end, write};

#[tokio::test]
async fn an_aggregate_is_inspected_beside_its_server_and_without_it() {
    let mut replica = Replica::start().await;
    let (ann, id) = a_message(&replica).await;

    let group = inspect(&replica, &["group", "Lobby"]).await;
    let post = inspect(&replica, &["post", &id]).await;
    let with_text = inspect(&replica, &["post", &id, "--texts"]).await;
    replica.stop().await;
    let stopped = inspect(&replica, &["group", "lobby"]).await;

    let (group, post) = (told(&group), told(&post));
    assert!(group.starts_with("group lobby, events: 1\n"), "{group}");
    assert!(group.contains("MemberJoined    ann ("), "{group}");
    assert!(group.contains("\"value\": true"), "{group}");
    assert!(post.contains("MessagePosted   ann ("), "{post}");
    assert!(!post.contains("a secret"), "{post}");
    assert!(told(&with_text).contains("\"a secret\""), "{with_text:?}");
    assert_eq!(told(&stopped), group);
    drop(ann);
}

#[tokio::test]
async fn what_cannot_be_inspected_is_named() {
    let replica = Replica::start().await;
    a_message(&replica).await;

    for (asked, said) in [
        (["group", "attic"], "this replica holds no group `attic`"),
        (["post", "lobby"], "this replica holds no post `lobby`"),
        (["group", "no name"], "a name has 1 to 32 letters"),
        (["user", "ann"], "possible values: group, post"),
    ] {
        let output = inspect(&replica, &asked).await;

        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(said), "{told}");
    }
}

async fn a_message(replica: &Replica) -> (User, String) {
    let ann = replica.member("ann", "lobby").await;
    let answer = ann.says("lobby", "a secret").await;
    let id = answer["id"].as_str().expect("it has an id");
    (ann, id.to_owned())
}

async fn inspect(replica: &Replica, asked: &[&str]) -> Output {
    let config = write(&replica.settings);
    let mut arguments = vec!["inspect".to_owned()];
    arguments.extend(asked.iter().map(|&it| it.to_owned()));
    arguments.extend(["--config".to_owned(), config.display().to_string()]);
    let run = move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run_to_its_end(&arguments, &[])
    };
    tokio::task::spawn_blocking(run).await.expect("it ends")
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
