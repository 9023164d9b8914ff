//! The program outside a terminal.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::home::Home;

/// Runs the program in a new home until it ends.
pub fn run(arguments: &[&str], input: &str) -> Output {
    run_at(&Home::new(), arguments, input.as_bytes())
}

/// Runs the program in this home until it ends.
pub fn run_at(home: &Home, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = start(home, arguments);
    // A program that rejects its command line does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Starts the program with pipes for input, output and errors.
pub fn start(home: &Home, arguments: &[&str]) -> Child {
    command(home)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The program with a minimal environment, as under cron.
pub fn command(home: &Home) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    for (name, value) in home.variables() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// The program with pipes that stay open; it ends when this is dropped.
pub struct Live {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    _home: Home,
}

impl Live {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at(&Home::new(), arguments)
    }

    pub fn start_at(home: &Home, arguments: &[&str]) -> Self {
        let mut child = start(home, arguments);
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            stdin,
            lines,
            _home: home.clone(),
        }
    }

    pub fn type_in(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for a line with this end.
    pub fn wait_for(&self, end: &str) {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(20)) {
                Ok(line) if line.ends_with(end) => return,
                Ok(line) => seen.push(line),
                Err(error) => panic!("not seen: {end} ({error})\n{}", seen.join("\n")),
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
