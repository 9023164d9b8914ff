//! A server as an operating system sees it: started, stopped, killed, and never left behind.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{PATIENCE, Settings};

/// The key of every cluster here that does not ask for another one.
const KEY: &str = "a key for tests, longer than thirty-two bytes";

/// The settings of replica 1 of a cluster of one, with everything under a folder.
pub fn settings_alone(folder: &Path) -> Settings {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    Settings {
        replicas: vec![(1, url(12001), url(11001))],
        ..Settings::new("it", 1, &folder.join("data"), KEY)
    }
}

/// Writes settings into their file.
pub fn write(settings: &Settings) -> PathBuf {
    settings.write().expect("a file can be written")
}

/// A running server. Killed when this value goes; it also ends by itself when the process of the
/// tests dies.
#[derive(Debug)]
pub struct Process {
    server: causeway_rig::Process,
    log: Log,
    /// Where clients are served.
    pub public: SocketAddr,
    /// Where peers are served.
    pub internal: SocketAddr,
}

impl Process {
    /// Starts a server and waits until it says that it is ready.
    pub async fn start(config: &Path) -> Self {
        Self::start_telling(config, Stdio::piped(), "").await
    }

    /// Starts a server that may never have more files open than this, and waits until it says that it
    /// is ready.
    pub async fn start_small(config: &Path, open_files: u32) -> Self {
        let mut command = tokio::process::Command::from(server(&[]));
        command.env("OPEN_FILES", format!("-n {open_files}"));
        Self::spawn(command, config, Stdio::piped()).await
    }

    /// Starts a server that logs to this, of this level, and waits until it says that it is ready.
    pub async fn start_telling(config: &Path, log: Stdio, level: &str) -> Self {
        let mut command = tokio::process::Command::from(server(&[]));
        command.env("CAUSEWAY_LOG", level);
        Self::spawn(command, config, log).await
    }

    async fn spawn(command: tokio::process::Command, config: &Path, log: Stdio) -> Self {
        let started = causeway_rig::Process::spawn(command, config, log);
        let mut server = started.expect("the server can be run");
        let log = server.take_log().map(|pipe| {
            let pipe = pipe.into_owned_fd().expect("a pipe is a file");
            keep(File::from(pipe))
        });
        let log = log.unwrap_or_default();
        let ready = tokio::time::timeout(PATIENCE * 2, server.ready()).await;
        let Ok(Ok(addresses)) = ready else {
            let said = log.lock().expect("no holder panics");
            panic!("the server did not become ready ({ready:?}); it said:\n{said}");
        };
        let log = Log {
            server: addresses.public,
            text: log,
        };
        Self {
            server,
            log,
            public: addresses.public,
            internal: addresses.internal,
        }
    }

    /// What the server logged until now.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The soft and the hard limit of its open files, as the system tells them.
    #[cfg(target_os = "linux")]
    pub fn open_files(&self) -> (String, String) {
        let path = format!("/proc/{}/limits", self.server.id().expect("it runs"));
        let limits = std::fs::read_to_string(path).expect("it runs");
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let mut words = line.expect("there is a limit").split_whitespace();
        let mut word = || words.next().expect("two of them").to_owned();
        (word(), word())
    }

    /// Lets it open no more files than this from now on; what is open stays open.
    #[cfg(target_os = "linux")]
    pub fn limit_open_files(&self, soft: u64) {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
        let id = self.server.id().and_then(|id| i32::try_from(id).ok());
        let limit = Rlimit {
            current: Some(soft),
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        prlimit(id.and_then(Pid::from_raw), Resource::Nofile, limit).expect("it is ours");
    }

    /// The memory that it holds, in kB.
    #[cfg(target_os = "linux")]
    pub fn memory_kb(&self) -> u64 {
        let path = format!("/proc/{}/status", self.server.id().expect("it runs"));
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|it| it.parse().ok()).expect("a number")
    }

    /// Ends it as `kill -9` does.
    pub fn kill9(self) {
        drop(self);
    }

    /// Asks it to stop, as a service manager does, and returns how it ended.
    pub async fn terminate(self) -> ExitStatus {
        let Self { server, log, .. } = self;
        let stopped = server.stop(PATIENCE).await;
        stopped.unwrap_or_else(|_| panic!("still there after SIGTERM:\n{}", log.text()))
    }

    /// Stops or continues the whole process (`SIGSTOP`, `SIGCONT`).
    pub fn signal(&self, signal: Signal) {
        self.server.signal(signal);
    }
}

/// What a server logged; its end is printed where a test fails.
#[derive(Debug)]
struct Log {
    server: SocketAddr,
    text: Arc<Mutex<String>>,
}

impl Log {
    fn text(&self) -> String {
        self.text.lock().expect("no holder panics").clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- server on {} ---\n{}", self.server, tail(&self.text()));
        }
    }
}

/// Runs a command of the program with these settings until it ends; links and other servers of the
/// test go on meanwhile.
pub async fn run_with(settings: &Settings, command: &'static [&'static str]) -> Output {
    let config = write(settings);
    let config = config.to_str().expect("a path of text").to_owned();
    let run = move || run_to_its_end(&[command, &["--config", &config]].concat(), &[]);
    tokio::task::spawn_blocking(run).await.expect("it ends")
}

/// Runs the program with these arguments until it ends, which must be soon; the environment is
/// bare but for what is given.
pub fn run_to_its_end(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = server(arguments);
    let mut child = command
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server can be run");
    let (stdout, stderr) = (
        keep(child.stdout.take().expect("it is piped")),
        keep(child.stderr.take().expect("it is piped")),
    );
    let said = |text: Arc<Mutex<String>>| text.lock().expect("no holder panics").clone();
    let end = Instant::now() + PATIENCE * 2;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if Instant::now() > end {
            drop(child.kill());
            drop(child.wait());
            panic!(
                "{arguments:?} does not end; it said:\n{}{}",
                said(stdout),
                said(stderr)
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Output {
        status,
        stdout: to_the_end(&stdout),
        stderr: to_the_end(&stderr),
    }
}

fn server(arguments: &[&str]) -> Command {
    // With few open files, as many systems begin: the server asks for more itself.
    let mut command = Command::new("sh");
    let small = "ulimit ${OPEN_FILES:--S -n 256}; unset OPEN_FILES; exec \"$0\" \"$@\"";
    command.args(["-c", small]);
    command.arg(env!("CARGO_BIN_EXE_causeway-server"));
    command.args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CAUSEWAY_")) {
        command.env_remove(name);
    }
    command
}

/// Keeps all that a process prints.
fn keep(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    let text = Arc::clone(&kept);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut piece) {
            let piece = String::from_utf8_lossy(&piece[..count]);
            text.lock().expect("no holder panics").push_str(&piece);
        }
    });
    kept
}

/// The text once nobody adds to it: its reader has let go of it.
fn to_the_end(kept: &Arc<Mutex<String>>) -> Vec<u8> {
    let end = Instant::now() + PATIENCE;
    while Arc::strong_count(kept) > 1 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    kept.lock().expect("no holder panics").clone().into_bytes()
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
