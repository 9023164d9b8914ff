//! A pooler in front of Postgres, where `PgBouncer` is installed: works in session mode, and is
//! refused in every other.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use causeway_postgres::Disposable;
use tempfile::TempDir;

use crate::foreign_postgres::{database, stock, works_on};
use crate::harness::{Replica, eventually, run_with};

#[tokio::test]
async fn everything_works_through_a_pooler_in_session_mode() {
    let postgres = stock(&["--encoding=UTF8"]).await;
    let Some(pooler) = Pooler::start(&postgres, "session").await else {
        return;
    };

    works_on(&postgres, |url| pooler.in_front_of(url)).await;
}

#[tokio::test]
async fn a_pooler_that_lends_its_sessions_is_refused_with_the_setting_to_change() {
    let postgres = stock(&["--encoding=UTF8"]).await;
    let direct = database(&postgres, 1).await;
    for mode in ["transaction", "statement"] {
        let Some(pooler) = Pooler::start(&postgres, mode).await else {
            return;
        };
        let mut replica = Replica::prepare().await;
        replica.settings.database_url = Some(pooler.in_front_of(&direct));

        let started = run_with(&replica.settings, &["run"]).await;
        let checked = run_with(&replica.settings, &["check"]).await;

        let said = String::from_utf8_lossy(&started.stderr).into_owned();
        assert_eq!(started.status.code(), Some(2), "{mode}: {said}");
        assert!(said.contains("pool_mode = session"), "{mode}: {said}");
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(said.contains("pool_mode = session"), "{mode}: {said}");
    }
}

/// A running `PgBouncer`.
struct Pooler {
    child: Child,
    folder: TempDir,
}

impl Pooler {
    /// Starts it in front of a Postgres, as the account of that; `None` where it is not installed.
    async fn start(postgres: &Disposable, mode: &str) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("PgBouncer is not installed");
            return None;
        };
        let socket = socket_folder(&postgres.url());
        let owner = std::fs::metadata(&socket).expect("it is there");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (here, users) = (folder.path().display(), folder.path().join("users"));
        std::fs::write(&users, "\"chat\" \"\"\n").expect("it can be written");
        let settings = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={socket} port=5432\n\
             [pgbouncer]\npool_mode = {mode}\nlisten_addr =\nlisten_port = 6432\n\
             unix_socket_dir = {here}\nauth_type = trust\nauth_file = {here}/users\n"
        );
        std::fs::write(&settings, text).expect("it can be written");
        for path in [folder.path(), &users, &settings] {
            chown(path, Some(owner.uid()), Some(owner.gid())).expect("we are root, or it is ours");
        }
        let child = Command::new(program)
            .arg(&settings)
            .uid(owner.uid())
            .gid(owner.gid())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be run");
        let pooler = Self { child, folder };
        eventually("the pooler listening", async || {
            let socket = pooler.folder.path().join(".s.PGSQL.6432");
            if socket.exists() {
                Ok(())
            } else {
                Err("no socket".to_owned())
            }
        })
        .await;
        Some(pooler)
    }

    /// The URL of a database through the pooler.
    fn in_front_of(&self, url: &str) -> String {
        let here = self.folder.path().to_str().expect("a path of text");
        url.replace(&socket_folder(url), here)
            .replace(":5432/", ":6432/")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn socket_folder(url: &str) -> String {
    let (_, rest) = url.split_once("host=").expect("it names its socket");
    rest.split('&').next().unwrap_or_default().to_owned()
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push(Path::new("/usr/sbin").to_owned());
    let mut programs = folders.iter().map(|folder| folder.join("pgbouncer"));
    programs.find(|program| program.is_file())
}
