//! The life of a private Postgres: it keeps its data, comes back, and never outlives its owner.

#![expect(clippy::unwrap_used, reason = "a test fails where its helper does")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use causeway_postgres::{Disposable, Options, PrivatePostgres, StartError};
use sqlx::{Connection, PgConnection};

const OWNER_OF: &str = "CAUSEWAY_TEST_OWNER_OF";

#[test]
fn data_survives_a_stop_and_a_start() {
    let root = Root::new();
    let postgres = start(&root.data()).unwrap();
    run(&postgres.url(), "CREATE TABLE kept AS SELECT 42 AS answer");
    postgres.stop();
    assert_nothing_runs_in(&root.data());

    let again = start(&root.data()).unwrap();

    assert_eq!(answer(&again.url()), 42);
}

#[test]
fn its_settings_never_lose_an_acknowledged_write() {
    let root = Root::new();
    let postgres = start(&root.data()).unwrap();

    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_sync_retry", "off"),
    ] {
        assert_eq!(
            text(&postgres.url(), &format!("SHOW {setting}")),
            value,
            "{setting}"
        );
    }
}

#[test]
fn a_killed_server_comes_back_by_itself_with_what_was_committed() {
    let root = Root::new();
    let postgres = start(&root.data()).unwrap();
    run(&postgres.url(), "CREATE TABLE kept AS SELECT 42 AS answer");
    let before = postmaster(&root.data()).unwrap();

    kill(before);

    wait_until("another server answers", || {
        postmaster(&root.data()).is_some_and(|now| now != before) && is_reachable(&postgres.url())
    });
    assert_eq!(answer(&postgres.url()), 42);
}

#[test]
fn nothing_is_left_running_when_the_owner_is_killed() {
    let root = Root::new();
    let mut owner = Owner::of(&root.data());

    owner.0.kill().unwrap();
    owner.0.wait().unwrap();

    wait_until("everything has ended", || {
        processes_of(&root.data()).is_empty()
    });
    assert!(
        postmaster(&root.data()).is_none(),
        "it was stopped in order"
    );
}

#[test]
fn a_start_ends_the_server_that_lost_its_owner_and_its_guard() {
    let root = Root::new();
    let mut owner = Owner::of(&root.data());
    let orphan = postmaster(&root.data()).unwrap();
    // The guards first, or they would do their duty.
    for process in processes_of(&root.data())
        .into_iter()
        .filter(|line| line.contains("guard"))
    {
        kill(process.split_whitespace().next().unwrap().parse().unwrap());
    }
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();

    let postgres = start(&root.data()).unwrap();

    assert_ne!(postmaster(&root.data()), Some(orphan));
    assert!(is_reachable(&postgres.url()));
}

#[test]
fn a_start_after_a_kill_of_everything_at_once_recovers() {
    let root = Root::new();
    let mut owner = Owner::of(&root.data());
    for process in processes_of(&root.data()) {
        kill(process.split_whitespace().next().unwrap().parse().unwrap());
    }
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();

    let postgres = start(&root.data()).unwrap();

    assert!(is_reachable(&postgres.url()));
}

#[test]
fn a_half_made_database_is_made_again() {
    let root = Root::new();
    fs::create_dir_all(root.data().join("cluster.new.1/base")).unwrap();
    fs::write(root.data().join("causeway-postgres"), "").unwrap();

    let postgres = start(&root.data()).unwrap();

    assert!(is_reachable(&postgres.url()));
    assert!(!root.data().join("cluster.new.1").exists());
}

#[test]
fn a_folder_of_someone_else_is_refused() {
    let root = Root::new();
    fs::create_dir(root.data()).unwrap();
    fs::write(root.data().join("thesis.tex"), "1").unwrap();

    let refused = start(&root.data()).unwrap_err();

    assert!(matches!(refused, StartError::Foreign { .. }), "{refused}");
}

#[test]
fn a_deleted_one_is_gone_with_the_server_it_lost_and_a_foreign_folder_stays() {
    let root = Root::new();
    let mut owner = Owner::of(&root.data());
    for process in processes_of(&root.data())
        .into_iter()
        .filter(|line| line.contains("guard"))
    {
        kill(process.split_whitespace().next().unwrap().parse().unwrap());
    }
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();

    PrivatePostgres::delete(&root.data(), &Options::default()).unwrap();

    assert!(!root.data().exists());
    assert_nothing_runs_in(&root.data());
    fs::create_dir(root.data()).unwrap();
    fs::write(root.data().join("thesis.tex"), "1").unwrap();
    let refused = PrivatePostgres::delete(&root.data(), &Options::default()).unwrap_err();
    assert!(matches!(refused, StartError::Foreign { .. }), "{refused}");
}

#[test]
fn a_second_owner_is_told_that_another_process_has_the_folder() {
    let root = Root::new();
    let _first = start(&root.data()).unwrap();

    let options = Options {
        lock_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let refused = PrivatePostgres::start(&root.data(), &options).unwrap_err();

    assert!(matches!(refused, StartError::Taken { .. }), "{refused}");
}

#[test]
fn a_deep_folder_below_a_closed_one_works_and_leaves_no_socket_folder() {
    let root = Root::new();
    fs::set_permissions(&root.0, fs::Permissions::from_mode(0o700)).unwrap();
    let deep = root
        .data()
        .join("a folder with a name, and \"quotes\"")
        .join("deep".repeat(30));
    let postgres = start(&deep).unwrap();
    let url = postgres.url();
    assert!(is_reachable(&url));

    postgres.stop();

    let socket = url
        .split("host=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    assert!(!Path::new(socket).exists(), "{socket}");
    assert!(is_reachable(&start(&deep).unwrap().url()));
}

#[test]
fn a_disposable_one_goes_with_its_process_and_leaves_no_folder() {
    let mut owner = Owner::of(Path::new("disposable"));
    let folder = owner
        .1
        .split("host=")
        .nth(1)
        .unwrap()
        .split("/socket")
        .next()
        .unwrap()
        .to_owned();
    assert!(Path::new(&folder).exists());

    owner.0.kill().unwrap();
    owner.0.wait().unwrap();

    wait_until("the folder is gone", || !Path::new(&folder).exists());
    wait_until("everything has ended", || {
        processes_of(Path::new(&folder)).is_empty()
    });
}

/// Not a test: the owner that others start as a process of its own, to kill it.
#[test]
fn an_owner_process() {
    let Some(dir) = std::env::var_os(OWNER_OF) else {
        return;
    };
    let held;
    let url = if dir == "disposable" {
        Disposable::shared().url()
    } else {
        held = start(Path::new(&dir)).unwrap();
        held.url()
    };
    fs::write(
        std::env::var_os("CAUSEWAY_TEST_TELL").unwrap(),
        format!("{url}\n"),
    )
    .unwrap();
    std::thread::sleep(Duration::from_mins(2));
}

fn start(dir: &Path) -> Result<PrivatePostgres, StartError> {
    PrivatePostgres::start(dir, &Options::default())
}

/// A folder that others may walk through.
struct Root(
    PathBuf,
    #[expect(dead_code, reason = "removes the folder when dropped")] tempfile::TempDir,
);

impl Root {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder.path().canonicalize().unwrap(), folder)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

/// Another process that owns a Postgres, and the address of that.
struct Owner(Child, String);

impl Owner {
    fn of(dir: &Path) -> Self {
        let tell = tempfile::tempdir().unwrap();
        let told = tell.path().join("told");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "an_owner_process", "--nocapture"])
            .env(OWNER_OF, dir)
            .env("CAUSEWAY_TEST_TELL", &told)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut owner = Self(child, String::new());
        let read = || fs::read_to_string(&told).unwrap_or_default();
        wait_until("the owner tells its address", || read().ends_with('\n'));
        read().trim().clone_into(&mut owner.1);
        owner
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn postmaster(dir: &Path) -> Option<i32> {
    fs::read_to_string(dir.join("cluster/postmaster.pid"))
        .ok()?
        .lines()
        .next()?
        .parse()
        .ok()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// The lines of `ps` that name the folder; collected or not, the dead do not count.
fn processes_of(dir: &Path) -> Vec<String> {
    let said = Command::new("ps")
        .args(["-A", "-ww", "-o", "pid=,stat=,command="])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let dir = dir.to_string_lossy();
    let is_alive = |line: &&str| !line.split_whitespace().nth(1).unwrap().starts_with('Z');
    said.lines()
        .filter(is_alive)
        .filter(|line| line.contains(&*dir))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn assert_nothing_runs_in(dir: &Path) {
    wait_until("everything has ended", || processes_of(dir).is_empty());
}

#[track_caller]
fn wait_until(fact: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {fact}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_reachable(url: &str) -> bool {
    within(async { PgConnection::connect(url).await.is_ok() })
}

fn run(url: &str, sql: &str) {
    within(async {
        sqlx::raw_sql(sql)
            .execute(&mut PgConnection::connect(url).await.unwrap())
            .await
            .unwrap()
    });
}

fn answer(url: &str) -> i32 {
    let question = sqlx::query_scalar("SELECT answer FROM kept");
    within(async {
        question
            .fetch_one(&mut PgConnection::connect(url).await.unwrap())
            .await
            .unwrap()
    })
}

fn text(url: &str, sql: &str) -> String {
    let question = sqlx::query_scalar(sql);
    within(async {
        question
            .fetch_one(&mut PgConnection::connect(url).await.unwrap())
            .await
            .unwrap()
    })
}

fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}
