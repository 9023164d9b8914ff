//! One replica as a process: started, watched, killed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use causeway_rig::hide_settings;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// What a replica's process does.
#[derive(Debug)]
pub(super) enum Happening {
    /// It serves.
    Ready,
    /// It has ended.
    Ended(io::Result<ExitStatus>),
}

/// How a process is to end.
#[derive(Debug)]
enum Order {
    /// In order; killed when that takes longer.
    Stop(Duration),
    Kill,
}

/// A process that is watched; it ends with us.
#[derive(Debug)]
pub(super) struct Process {
    order: oneshot::Sender<Order>,
    watching: JoinHandle<()>,
}

impl Process {
    /// Starts a replica and tells what happens to it.
    pub(super) fn start(
        settings: &Path,
        tell: impl Fn(Happening) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        hide_settings(&mut command);
        let log = open_log(&log_beside(settings))?;
        let process = causeway_rig::Process::spawn(command, settings, log)?;
        let (order, ordered) = oneshot::channel();
        let watching = tokio::spawn(watch(process, ordered, tell));
        Ok(Self { order, watching })
    }

    /// Asks it to stop in order, waits, and kills it when that takes too long.
    pub(super) async fn stop(self, patience: Duration) {
        self.end(Order::Stop(patience)).await;
    }

    /// Ends it as `kill -9` does, and waits for its end.
    pub(super) async fn kill(self) {
        self.end(Order::Kill).await;
    }

    async fn end(self, order: Order) {
        // It may have ended by itself.
        let _ = self.order.send(order);
        let _ = self.watching.await;
    }
}

/// Follows a process to its end.
async fn watch(
    mut process: causeway_rig::Process,
    mut ordered: oneshot::Receiver<Order>,
    tell: impl Fn(Happening),
) {
    let serving = async {
        if process.ready().await.is_ok() {
            tell(Happening::Ready);
        }
        process.ended().await
    };
    let order = tokio::select! {
        status = serving => return tell(Happening::Ended(status)),
        order = &mut ordered => order,
    };
    tell(Happening::Ended(match order {
        Ok(Order::Stop(patience)) => process.stop(patience).await,
        Ok(Order::Kill) | Err(_) => process.kill().await,
    }));
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
