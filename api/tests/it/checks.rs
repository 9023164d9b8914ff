//! `check` and `rebuild`: problems are reported before anything is changed.

use std::process::Output;

use sqlx::{Connection, PgConnection};

use crate::harness::{Cluster, Replica, run_with, texts};

#[tokio::test]
async fn a_check_finds_what_a_start_or_a_peer_would_refuse() {
    let mut cluster = Cluster::of(3).await;
    let others = cluster.at(2).database_url();
    cluster.at_mut(1).stop().await;
    let settings = cluster.at(1).settings.clone();
    let said = run_with(&settings, &["check"]).await;
    // Nothing listens on the public addresses of these settings.
    assert_eq!(wrong(&said, "database"), None, "{said:?}");
    assert_eq!(wrong(&said, "for peers"), None, "{said:?}");

    let mut other_key = settings.clone();
    other_key.key = "another key for tests, longer than thirty-two bytes".into();
    let found = wrong(
        &run_with(&other_key, &["check"]).await,
        "replica 2 for peers",
    )
    .expect("a finding");
    assert!(found.contains("refused"), "{found}");

    let mut exchanged = settings.clone();
    let (second, third) = (
        exchanged.replicas[1].2.clone(),
        exchanged.replicas[2].2.clone(),
    );
    exchanged.replicas[1].2 = third;
    exchanged.replicas[2].2 = second;
    let found = wrong(
        &run_with(&exchanged, &["check"]).await,
        "replica 2 for peers",
    )
    .expect("a finding");
    assert!(found.contains('3'), "{found}");

    let mut no_peer = settings.clone();
    no_peer.replicas[1].2 = format!("http://{}", cluster.at(2).door.address());
    let found =
        wrong(&run_with(&no_peer, &["check"]).await, "replica 2 for peers").expect("a finding");
    assert!(found.contains("malformed"), "{found}");

    let mut other_cluster = settings.clone();
    other_cluster.cluster = "another".into();
    let found = wrong(&run_with(&other_cluster, &["check"]).await, "database").expect("a finding");
    assert!(found.contains("belongs to cluster `it`"), "{found}");

    let mut in_use = settings.clone();
    in_use.database_url = Some(others);
    let found = wrong(&run_with(&in_use, &["check"]).await, "database").expect("a finding");
    assert!(found.contains("another process"), "{found}");
    cluster.at_mut(2).stop().await;
    let found = wrong(&run_with(&in_use, &["check"]).await, "database").expect("a finding");
    assert!(found.contains("written by replica 2"), "{found}");

    let mut database = PgConnection::connect(&cluster.at(1).database_url())
        .await
        .expect("it answers");
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99990101000000, 'later', true, '', 0)";
    let undone = "DELETE FROM _sqlx_migrations WHERE version = 99990101000000";
    order(&mut database, newer).await;
    let found = wrong(&run_with(&settings, &["check"]).await, "database").expect("a finding");
    assert!(found.contains("99990101000000"), "{found}");
    order(&mut database, undone).await;

    cluster.restart(1).await;
    cluster.restart(2).await;
    cluster.sees_itself_whole().await;
}

#[tokio::test]
async fn a_rebuild_of_a_log_that_is_not_what_was_written_changes_nothing_and_says_what_to_do() {
    let mut replica = Replica::start().await;
    let ann = replica.member("ann", "lobby").await;
    for text in ["one", "two", "three"] {
        ann.says("lobby", text).await;
    }
    replica.stop().await;
    let mut database = PgConnection::connect(&replica.database_url())
        .await
        .expect("it answers");
    let changed = "UPDATE events SET payload = replace(payload::text, 'two', 'owt')::json";
    let removed = "DELETE FROM events WHERE arrival = 3";
    for harm in [changed, removed] {
        order(&mut database, harm).await;

        let output = run_with(&replica.settings, &["rebuild"]).await;

        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("nothing was changed"), "{said}");
        assert!(said.contains("event 3 of the log"), "{said}");
    }
    let shown: i64 = sqlx::query_scalar("SELECT count(*) FROM messages")
        .fetch_one(&mut database)
        .await
        .expect("the table is there");
    assert_eq!(shown, 3);
    replica.restart().await;
    assert_eq!(texts(&ann.history("lobby").await), ["one", "two", "three"]);
}

async fn order(database: &mut PgConnection, sql: &str) {
    let ordered = sqlx::raw_sql(sql).execute(database).await;
    ordered.expect("nobody holds a lock on it");
}

/// Returns what a check finds wrong with a subject.
fn wrong(output: &Output, what: &str) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stdout);
    let mut wrong = said.lines().filter(|line| line.starts_with("WRONG"));
    wrong.find(|line| line.contains(what)).map(str::to_owned)
}
