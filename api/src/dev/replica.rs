//! One replica as a process: started, watched, killed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;
/// Variables that are meant for the replicas as much as for us; others would spoil their settings.
const HANDED_ON: &[&str] = &["CAUSEWAY_PG_BIN", "CAUSEWAY_LOG"];

/// What a replica's process does.
#[derive(Debug)]
pub(super) enum Happening {
    /// It serves.
    Ready,
    /// It has ended.
    Ended(io::Result<ExitStatus>),
}

/// A running process; it ends by itself when this value, or we, are gone.
#[derive(Debug)]
pub(super) struct Process {
    /// Closed to have it stop in order.
    leash: Option<ChildStdin>,
    kill: oneshot::Sender<()>,
    watching: JoinHandle<()>,
}

impl Process {
    /// Starts a replica and tells what happens to it.
    pub(super) fn start(
        settings: &Path,
        tell: impl Fn(Happening) + Send + 'static,
    ) -> io::Result<Self> {
        let log = open_log(&log_beside(settings))?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["run", "--until-stdin-closes", "--config"])
            .arg(settings);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CAUSEWAY_") && !HANDED_ON.contains(&&*name) {
                command.env_remove(&*name);
            }
        }
        // Ctrl-C is for us alone: we stop the replicas in order.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn()?;
        let leash = child.stdin.take();
        let said = child
            .stdout
            .take()
            .expect("standard output was asked to be a pipe");
        let (kill, killed) = oneshot::channel();
        let watching = tokio::spawn(watch(child, said, killed, tell));
        Ok(Self {
            leash,
            kill,
            watching,
        })
    }

    /// Asks it to stop in order, waits, and kills it when that takes too long.
    pub(super) async fn stop(mut self, patience: Duration) {
        self.leash.take();
        if timeout(patience, &mut self.watching).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends it as `kill -9` does, and waits for its end.
    pub(super) async fn kill(self) {
        // It may have ended by itself.
        let _ = self.kill.send(());
        let _ = self.watching.await;
    }
}

/// Follows a process to its end.
async fn watch(
    mut child: Child,
    said: ChildStdout,
    mut killed: oneshot::Receiver<()>,
    tell: impl Fn(Happening),
) {
    let mut lines = BufReader::new(said).lines();
    let mut is_talking = true;
    let mut can_be_killed = true;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            line = lines.next_line(), if is_talking => match line {
                Ok(Some(line)) if line == "ready" => tell(Happening::Ready),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => is_talking = false,
            },
            order = &mut killed, if can_be_killed => {
                can_be_killed = false;
                if order.is_ok() && let Err(error) = child.start_kill() {
                    break Err(error);
                }
            }
        }
    };
    tell(Happening::Ended(status));
}

/// Where a replica with these settings logs.
pub(super) fn log_beside(settings: &Path) -> PathBuf {
    settings.with_file_name("log")
}

/// What a replica said last, without the name of the program.
pub(super) fn last_words(settings: &Path) -> String {
    let log = fs::read(log_beside(settings)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log[log.len().saturating_sub(4096)..]).into_owned();
    let line = log
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing");
    line.trim_start_matches("causeway-server: ")
        .trim()
        .to_owned()
}

fn open_log(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|found| found.len() > LOG_LIMIT_BYTES) {
        fs::rename(path, path.with_extension("old"))?;
    }
    File::options().create(true).append(true).open(path)
}
