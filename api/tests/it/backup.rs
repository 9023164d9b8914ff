//! Backups, made and restored with the commands of `docs/OPERATIONS.md`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

    // A configured Postgres, dumped in the same way.
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

#[tokio::test]
async fn a_dump_is_restored_into_a_private_postgres_that_only_pg_ctl_starts() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("it is ours");
    let dump = folder.path().join("backup.dump");
    let mut original = Replica::start().await;
    let ann = original.member("ann", "lobby").await;
    ann.says("lobby", "in the backup").await;
    let url = original.database_url();
    let from = ["--dbname", &url, "--format", "custom"];
    run("pg_dump", &[&from[..], &["--file", path(&dump)]].concat());

    let mut restored = Replica::prepare().await;
    restored.settings.database_url = None;
    restored.settings.data_dir = folder.path().join("data");
    restored.restart().await;
    restored.stop().await;
    let postgres = restored.settings.data_dir.join("postgres");
    let (cluster, socket) = (postgres.join("cluster"), postgres.join("socket"));
    let log = postgres.join("restore.log");
    let options = format!(
        "-c listen_addresses= -c unix_socket_directories={}",
        path(&socket)
    );
    let start = [
        "--wait",
        "--log",
        path(&log),
        "--options",
        &options,
        "start",
    ];
    run_as_owner(
        "pg_ctl",
        &[&["--pgdata", path(&cluster)][..], &start].concat(),
    );
    let into = ["--host", path(&socket), "--username", "causeway"];
    let how = [
        "--dbname",
        "postgres",
        "--clean",
        "--if-exists",
        "--no-owner",
    ];
    run(
        "pg_restore",
        &[&into[..], &how, &["--single-transaction", path(&dump)]].concat(),
    );
    let stop = ["--pgdata", path(&cluster), "--mode", "fast", "stop"];
    run_as_owner("pg_ctl", &stop);
    restored.restart().await;

    begins_anew(&restored);
    let shown = ann.at(&restored).history("lobby").await;
    assert_eq!(texts(&shown), ["in the backup"]);
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

/// Runs a program beside the Postgres of these tests, or else from the path.
fn run(program: &str, arguments: &[&str]) {
    succeeds(Command::new(found(program)).args(arguments));
}

/// The same, as the owner of a private Postgres.
fn run_as_owner(program: &str, arguments: &[&str]) {
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(found(program));
        succeeds(command.args(arguments));
    } else {
        run(program, arguments);
    }
}

fn found(program: &str) -> PathBuf {
    let programs = Programs::find().expect("the tests have a Postgres");
    let real = programs.postgres.canonicalize().expect("it is there");
    let beside = real.with_file_name(program);
    if beside.exists() {
        beside
    } else {
        program.into()
    }
}

fn succeeds(command: &mut Command) {
    // The server that `pg_ctl` starts inherits its output: a pipe would not end before it.
    let ended = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .status()
        .expect("the program can be run");
    assert!(ended.success(), "{command:?}: {ended}");
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of these tests is text")
}
