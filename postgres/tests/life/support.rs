//! Folders, owners and what runs in them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use causeway_postgres::{Options, PrivatePostgres, StartError};
use sqlx::{Connection, PgConnection};

pub const OWNER_OF: &str = "CAUSEWAY_TEST_OWNER_OF";

pub fn start(dir: &Path) -> Result<PrivatePostgres, StartError> {
    PrivatePostgres::start(dir, &Options::default())
}

/// A folder that others may walk through.
pub struct Root(
    pub PathBuf,
    #[expect(dead_code, reason = "removes the folder when dropped")] tempfile::TempDir,
);

impl Root {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder.path().canonicalize().unwrap(), folder)
    }

    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

/// Another process that owns a Postgres, and the address of that.
pub struct Owner(pub Child, pub String);

impl Owner {
    pub fn of(dir: &Path) -> Self {
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

pub fn postmaster(dir: &Path) -> Option<i32> {
    fs::read_to_string(dir.join("cluster/postmaster.pid"))
        .ok()?
        .lines()
        .next()?
        .parse()
        .ok()
}

pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Kills what would end the server together with its owner.
pub fn kill_guards(data: &Path) {
    for process in processes_of(data) {
        if process.contains("guard") {
            kill(process.split_whitespace().next().unwrap().parse().unwrap());
        }
    }
}

/// The lines of `ps` that name the folder; collected or not, the dead do not count.
pub fn processes_of(dir: &Path) -> Vec<String> {
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
pub fn assert_nothing_runs_in(dir: &Path) {
    wait_until("everything has ended", || processes_of(dir).is_empty());
}

#[track_caller]
pub fn wait_until(fact: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {fact}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn is_reachable(url: &str) -> bool {
    within(async { PgConnection::connect(url).await.is_ok() })
}

pub fn run(url: &str, sql: &str) {
    within(async {
        sqlx::raw_sql(sql)
            .execute(&mut PgConnection::connect(url).await.unwrap())
            .await
            .unwrap()
    });
}

pub fn answer(url: &str) -> i32 {
    let question = sqlx::query_scalar("SELECT answer FROM kept");
    within(async {
        question
            .fetch_one(&mut PgConnection::connect(url).await.unwrap())
            .await
            .unwrap()
    })
}

pub fn text(url: &str, sql: &str) -> String {
    let question = sqlx::query_scalar(sql);
    within(async {
        question
            .fetch_one(&mut PgConnection::connect(url).await.unwrap())
            .await
            .unwrap()
    })
}

pub fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}
