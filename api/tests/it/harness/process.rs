//! A server as an operating system sees it: started, stopped, killed, and never left behind.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

use super::{PATIENCE, Settings};

/// A running server. Killed when this value goes; it also ends by itself when the process of the
/// tests dies, because its standard input closes then.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
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

    /// Starts a server that logs to this, of this level, and waits until it says that it is ready.
    pub async fn start_telling(config: &Path, log: Stdio, level: &str) -> Self {
        let mut child = server(&["run", "--until-stdin-closes", "--config"])
            .arg(config)
            .env("CAUSEWAY_LOG", level)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the server can be run");
        let log = child.stderr.take().map(keep).unwrap_or_default();
        let mut lines = follow(child.stdout.take().expect("it is piped"));
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut process = Self {
            child,
            log,
            public: nowhere,
            internal: nowhere,
        };
        let ready = tokio::time::timeout(PATIENCE * 2, process.becomes_ready(&mut lines));
        let is_ready = matches!(ready.await, Ok(true));
        let said = process.log();
        assert!(
            is_ready,
            "the server did not become ready; it said:
{said}"
        );
        process
    }

    /// What the server logged until now.
    pub fn log(&self) -> String {
        self.log.lock().expect("no holder panics").clone()
    }

    /// The soft and the hard limit of its open files, as the system tells them.
    #[cfg(target_os = "linux")]
    pub fn open_files(&self) -> (String, String) {
        let path = format!("/proc/{}/limits", self.child.id());
        let limits = std::fs::read_to_string(path).expect("it runs");
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let mut words = line.expect("there is a limit").split_whitespace();
        let mut word = || words.next().expect("two of them").to_owned();
        (word(), word())
    }

    /// Ends it as `kill -9` does.
    pub fn kill9(mut self) {
        self.end();
    }

    /// Asks it to stop, as a service manager does, and returns how it ended.
    pub async fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(
                Instant::now() < end,
                "still there after SIGTERM:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops or continues the whole process (`SIGSTOP`, `SIGCONT`).
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process has a number"), signal).expect("it is our child");
    }

    async fn becomes_ready(&mut self, lines: &mut mpsc::UnboundedReceiver<String>) -> bool {
        while let Some(line) = lines.recv().await {
            match line.split_once(" http://") {
                Some(("public", address)) => self.public = address.parse().expect(&line),
                Some(("internal", address)) => self.internal = address.parse().expect(&line),
                _ if line == "ready" => return self.public.port() != 0,
                _ => panic!("standard output says {line:?}"),
            }
        }
        false
    }

    fn end(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("--- server on {} ---\n{}", self.public, tail(&self.log()));
        }
    }
}

/// Runs a command of the program with these settings until it ends; links and other servers of the
/// test go on meanwhile.
pub async fn run_with(settings: &Settings, command: &'static [&'static str]) -> Output {
    let config = settings.write();
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
    command.args(["-c", "ulimit -S -n 256; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_causeway-server"));
    command.args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CAUSEWAY_")) {
        command.env_remove(name);
    }
    command
}

/// Hands on line by line what a process prints.
fn follow(pipe: impl Read + Send + 'static) -> mpsc::UnboundedReceiver<String> {
    let (lines, inbox) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            drop(lines.send(line));
        }
    });
    inbox
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
