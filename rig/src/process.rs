//! A server as its operator sees it: started, ready, stopped, killed, and never left behind.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Variables that are meant for the servers too.
const HANDED_ON: &[&str] = &["CAUSEWAY_PG_BIN", "CAUSEWAY_LOG"];

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For clients.
    pub public: SocketAddr,
    /// For peers.
    pub internal: SocketAddr,
}

/// A server that was started. Killed when this value goes; it stops by itself when this process
/// dies, because its standard input closes then.
#[derive(Debug)]
pub struct Process {
    child: Child,
    _stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Runs the program of this command with a configuration file. Ctrl-C at our terminal does not
    /// reach it.
    pub fn spawn(mut command: Command, settings: &Path, log: impl Into<Stdio>) -> io::Result<Self> {
        let mut child = command
            .args(["run", "--until-stdin-closes", "--config"])
            .arg(settings)
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("it was asked to be a pipe");
        Ok(Self {
            child,
            _stdin: stdin,
            stdout: BufReader::new(stdout).lines(),
        })
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// It ended, or said something else.
    pub async fn ready(&mut self) -> io::Result<Addresses> {
        let (mut public, mut internal) = (None, None);
        while let Some(line) = self.stdout.next_line().await? {
            let url = line.split_once(" https://");
            match url.or_else(|| line.split_once(" http://")) {
                Some(("public", address)) => public = address.parse().ok(),
                Some(("internal", address)) => internal = address.parse().ok(),
                _ if line == "ready" => break,
                _ => return Err(io::Error::other(format!("its output says `{line}`"))),
            }
        }
        match (public, internal) {
            (Some(public), Some(internal)) => Ok(Addresses { public, internal }),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// What it logs, where that was asked to be a pipe.
    pub fn take_log(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// The number of its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal, if it runs.
    pub fn signal(&self, signal: Signal) {
        if let Some(id) = self.id() {
            self::signal(id, signal);
        }
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to stop, as a service manager does, and waits; kills it when that takes too long, which is an error.
    pub async fn stop(mut self, patience: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM);
        match timeout(patience, self.ended()).await {
            Ok(ended) => ended,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Ends it as `kill -9` does, and waits for its end.
    pub async fn kill(mut self) -> io::Result<ExitStatus> {
        self.child.start_kill()?;
        self.ended().await
    }
}

impl Drop for Process {
    /// Waits, so that its ports and its database are free afterwards.
    fn drop(&mut self) {
        while self.is_running() && self.child.start_kill().is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sends a signal; a process that is gone is fine.
pub fn signal(id: u32, signal: Signal) {
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(id, signal);
    }
}

/// Removes the variables from a command's environment that would change a server's settings.
pub fn hide_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CAUSEWAY_") && !HANDED_ON.contains(&&*name) {
            command.env_remove(&*name);
        }
    }
}
