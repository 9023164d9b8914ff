//! The log of the program can be lost, on a full disk or because nobody reads it. The replica goes on.

use std::process::{Command, Stdio};

use crate::harness::{Replica, settings_alone, write};

#[tokio::test]
async fn a_replica_whose_log_cannot_be_written_serves_and_stops_in_order() {
    let mut replica = Replica::prepare().await;
    replica.restart_telling(nobody()).await;

    let ann = replica.member("ann", "lobby").await;
    ann.says("lobby", "nobody hears this server").await;
    // The read model answers this, and logs too.
    ann.history("lobby").await;

    replica.stop().await;
}

#[tokio::test]
async fn a_replica_whose_log_is_not_read_serves_and_stops_in_order() {
    let (_unread, log) = std::io::pipe().expect("a pipe can be made");
    let mut replica = Replica::prepare().await;
    replica.restart_telling(log.into()).await;

    let ann = replica.member("ann", "lobby").await;
    // Far more is logged about it than a pipe holds.
    for _ in 0..200 {
        ann.says("lobby", "nobody reads what this server logs")
            .await;
    }
    ann.history("lobby").await;

    replica.stop().await;
}

#[tokio::test]
async fn a_command_that_nobody_listens_to_does_its_work() {
    let mut replica = Replica::prepare().await;
    replica.restart().await;
    replica.stop().await;
    let config = write(&replica.settings);

    let rebuilds = Command::new(env!("CARGO_BIN_EXE_causeway-server"))
        .args(["rebuild", "--config"])
        .arg(config)
        .stderr(nobody())
        .status();

    assert!(rebuilds.expect("it can be run").success());
}

#[test]
fn a_failure_that_nobody_listens_to_still_has_its_exit_code() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut settings = settings_alone(folder.path());
    settings.database_url = Some("junk".into());

    let fails = Command::new(env!("CARGO_BIN_EXE_causeway-server"))
        .args(["run", "--config"])
        .arg(write(&settings))
        .stderr(nobody())
        .status();

    assert_eq!(fails.expect("it can be run").code(), Some(2));
}

/// A pipe without a reader: every write fails, as on a full disk.
fn nobody() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    writer.into()
}
