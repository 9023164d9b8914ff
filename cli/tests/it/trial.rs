//! Commands for scripts, run against a fake cluster.

use std::process::Output;

use crate::fake::{Cluster, Server};
use crate::home::Home;
use crate::program::run_at;

/// A cluster, and a home for the commands.
pub struct Trial {
    pub cluster: Cluster,
    pub servers: Vec<Server>,
    pub home: Home,
}

impl Trial {
    pub fn new() -> Self {
        Self::of(1)
    }

    pub fn of(replicas: u64) -> Self {
        let cluster = Cluster::default();
        let servers = (1..=replicas)
            .map(|replica| cluster.start(replica))
            .collect();
        Self {
            cluster,
            servers,
            home: Home::new(),
        }
    }

    /// Runs a command as ann at the first server.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let server = self.servers[0].name();
        let given = ["--server", &server, "--user", "ann"];
        self.run_bare(&[arguments, &given].concat(), input)
    }

    pub fn run_bare(&self, arguments: &[&str], input: &[u8]) -> Output {
        run_at(&self.home, arguments, input)
    }
}

pub fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[track_caller]
pub fn assert_done(output: &Output, printed: &str) {
    assert_eq!(out(output), printed);
    assert_eq!(std::str::from_utf8(&output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

#[track_caller]
pub fn assert_failed(output: &Output, sentence: &str) {
    let said = std::str::from_utf8(&output.stderr).unwrap();
    assert_eq!(said, format!("causeway: {sentence}\n"));
    assert_eq!(out(output), "");
    assert_eq!(output.status.code(), Some(1));
}
