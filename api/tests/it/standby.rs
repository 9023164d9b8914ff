//! A primary with a streaming standby: after a failover nothing is lost that the standby or a peer
//! holds, and no number is given out twice.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use causeway_postgres::{Disposable, Programs};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::foreign_postgres::{database, stock};
use crate::harness::{Cluster, eventually, run_with, texts};

#[tokio::test]
async fn after_a_failover_to_a_standby_that_lags_nothing_is_lost_and_a_new_epoch_begins() {
    let primary = stock(&["--encoding=UTF8"]).await;
    let Some(mut standby) = Standby::of(&primary) else {
        eprintln!("pg_basebackup is not installed");
        return;
    };
    let url = database(&primary, 2).await;
    let mut cluster = Cluster::prepare(2).await;
    cluster.at_mut(2).settings.database_url = Some(url.clone());
    cluster.start().await;
    cluster.sees_itself_whole().await;
    let ann = cluster.member_everywhere("ann", "lobby").await;
    let before = ann[1].view().await["self"]["epoch"].clone();
    standby.start();
    ann[1].says("lobby", "0 on the standby").await;
    standby.shows_messages(1).await;
    standby.stop();
    ann[1].says("lobby", "1 not on the standby").await;
    cluster.agree(&[1, 2], "lobby", 2).await;

    cluster.kill9(2);
    cluster.isolate(2);
    drop(primary);
    standby.start();
    cluster.at_mut(2).settings.database_url = Some(standby.url());
    let checked = eventually("the standby answering", async || {
        let checked = run_with(&cluster.at(2).settings, &["check"]).await;
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        if said.contains("standby") {
            Ok(said)
        } else {
            Err(said)
        }
    })
    .await;
    assert!(checked.contains("promote it first"), "{checked}");
    standby.promote().await;
    cluster.restart(2).await;

    assert_eq!(texts(&ann[1].history("lobby").await), ["0 on the standby"]);
    let view = ann[1].view().await;
    assert_ne!(view["self"]["epoch"], before, "{view}");
    ann[1].says("lobby", "2 promoted and alone").await;
    cluster.heal();
    let history = cluster.agree(&[1, 2], "lobby", 3).await;
    let mut shown = texts(&history);
    shown.sort_unstable();
    assert_eq!(
        shown,
        [
            "0 on the standby",
            "1 not on the standby",
            "2 promoted and alone"
        ]
    );
    cluster.show_the_same_bytes("lobby").await;
    cluster.at_mut(2).stop().await;
}

/// A standby that follows a primary while it runs.
struct Standby {
    folder: TempDir,
    owner: (u32, u32),
    postgres: PathBuf,
    child: Option<Child>,
}

impl Standby {
    /// Copies a primary.
    fn of(primary: &Disposable) -> Option<Self> {
        let postgres = Programs::find().ok()?.postgres.canonicalize().ok()?;
        let copy = postgres.with_file_name("pg_basebackup");
        if !copy.is_file() {
            return None;
        }
        let url = primary.url();
        let (_, socket) = url.split_once("host=")?;
        let socket = socket.split('&').next()?;
        let owner = std::fs::metadata(socket).ok()?;
        let owner = (owner.uid(), owner.gid());
        let folder = tempfile::tempdir().expect("a folder can be made");
        chown(folder.path(), Some(owner.0), Some(owner.1)).expect("we are root, or it is ours");
        let copied = Command::new(copy)
            .args(["--host", socket, "--username", "postgres"])
            .args(["--write-recovery-conf", "--checkpoint=fast", "--pgdata"])
            .arg(folder.path().join("data"))
            .uid(owner.0)
            .gid(owner.1)
            .current_dir("/")
            .status()
            .expect("it can be run");
        assert!(copied.success());
        Some(Self {
            folder,
            owner,
            postgres,
            child: None,
        })
    }

    fn start(&mut self) {
        let here = self.folder.path().display();
        let child = Command::new(&self.postgres)
            .args(["-c", "listen_addresses=", "-c"])
            .arg(format!("unix_socket_directories={here}"))
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .uid(self.owner.0)
            .gid(self.owner.1)
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("it can be run"));
    }

    /// Ends it as a machine that goes away.
    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let _ = kill_process(pid.expect("it has a number"), Signal::QUIT);
            let _ = child.wait();
        }
    }

    /// Waits until it has this many messages.
    async fn shows_messages(&self, count: i64) {
        let url = self.url();
        eventually("the standby following", async || {
            let connected = PgConnection::connect(&url).await;
            let mut connection = connected.map_err(|error| error.to_string())?;
            let query = "SELECT count(*) FROM events WHERE event_type = 'MessagePosted'";
            let counted: i64 = sqlx::query_scalar(query)
                .fetch_one(&mut connection)
                .await
                .map_err(|error| error.to_string())?;
            if counted == count {
                Ok(())
            } else {
                Err(counted.to_string())
            }
        })
        .await;
    }

    async fn promote(&self) {
        let url = self.url().replace("://chat@", "://postgres@");
        let mut connection = PgConnection::connect(&url).await.expect("it answers");
        let promoted: bool = sqlx::query_scalar("SELECT pg_promote()")
            .fetch_one(&mut connection)
            .await
            .expect("it is a standby");
        assert!(promoted);
    }

    fn url(&self) -> String {
        let here = Path::display(self.folder.path());
        format!("postgres://chat@localhost:5432/chat_2?host={here}&sslmode=disable")
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.stop();
    }
}
