//! Backups, made and restored with the commands of `docs/OPERATIONS.md`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use causeway_postgres::Programs;

use crate::harness::{Database, Replica, texts};

#[tokio::test]
async fn a_dump_of_a_running_replica_is_restored_and_begins_a_new_epoch_by_itself() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("it is ours");
    let dump = folder.path().join("backup.dump");
    let mut original = Replica::prepare().await;
    original.settings.database_url = None;
    original.settings.data_dir = folder.path().join("data");
    original.restart().await;
    let ann = original.member("ann", "lobby").await;
    ann.says("lobby", "in the backup").await;
    let socket = original.settings.data_dir.join("postgres/socket");

    // A private Postgres, dumped while the server runs.
    let from_private = ["--host", path(&socket), "--username", "causeway"];
    let into = ["--format", "custom", "--file", path(&dump), "postgres"];
    run("pg_dump", &[&from_private[..], &into].concat());
    let mut restored = restored_from(&dump).await;

    begins_anew(&restored);
    let at_restored = ann.at(&restored);
    at_restored.says("lobby", "after the restore").await;
    let expected = ["in the backup", "after the restore"];
    assert_eq!(texts(&at_restored.history("lobby").await), expected);

    // A Postgres of one's own, dumped in the same way.
    let url = restored.database_url();
    let from_url = ["--dbname", &url, "--format", "custom"];
    run(
        "pg_dump",
        &[&from_url[..], &["--file", path(&dump)]].concat(),
    );
    let again = restored_from(&dump).await;
    begins_anew(&again);
    assert_eq!(texts(&ann.at(&again).history("lobby").await), expected);
    restored.stop().await;
    original.stop().await;
}

async fn restored_from(dump: &Path) -> Replica {
    let database = Database::empty().await;
    let url = database.url();
    let options = ["--no-owner", "--single-transaction", path(dump)];
    run("pg_restore", &[&["--dbname", &url][..], &options].concat());
    let mut replica = Replica::prepare().await;
    replica.restore(database);
    replica.restart().await;
    replica
}

#[track_caller]
fn begins_anew(replica: &Replica) {
    let log = replica.process().log();
    assert!(log.contains("begins a new epoch"), "{log}");
}

/// Runs a program that stands beside the Postgres of these tests, or else in the path.
fn run(program: &str, arguments: &[&str]) {
    let programs = Programs::find().expect("the tests have a Postgres");
    let real = programs.postgres.canonicalize().expect("it is there");
    let beside = real.with_file_name(program);
    let found = if beside.exists() {
        beside
    } else {
        program.into()
    };
    let output = Command::new(found)
        .args(arguments)
        .output()
        .expect("the program can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of these tests is text")
}
