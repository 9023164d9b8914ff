//! The command line, and the server under test.

use std::path::PathBuf;

use causeway_rig::program;
use clap::{Parser, Subcommand};

use crate::bounds;
use crate::kinds::Kind;

/// Runs real servers, injects faults, and checks the guarantees
#[derive(Debug, Parser)]
#[command(name = "torture", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// The duration of the faults, without healing and checking
    #[arg(long, default_value_t = 3.0, value_name = "N")]
    pub minutes: f64,
    /// Repeats the random choices of a former run; timing still differs
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// The number of replicas
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=9))]
    pub replicas: u16,
    /// The number of users who write
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub writers: u16,
    /// The number of users who read: of six, half receive at most 5 events per call, and two poll
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub readers: u16,
    /// Injects only these faults
    #[arg(long, value_delimiter = ',', value_name = "FAULT,…")]
    pub faults: Vec<Kind>,
    /// Lets clients and replicas speak TLS
    #[arg(long)]
    pub tls: bool,
    /// The server program; built if absent
    #[arg(long, global = true, value_name = "FILE")]
    pub server: Option<PathBuf>,
    /// Another test to run instead
    #[command(subcommand)]
    pub instead: Option<Instead>,
}

/// Tests other than fault injection.
#[derive(Debug, Subcommand)]
pub enum Instead {
    /// Checks that a server's memory does not grow while a peer is unreachable
    Bounds(bounds::Arguments),
}

const EXAMPLES: &str = "\
Examples:
  cargo torture -- --minutes 60
  cargo torture -- --minutes 10 --tls
  cargo torture -- --minutes 5 --seed 7 --faults wipe,old-dump,halves
  cargo bounds -- --events 100000

Faults: halves, bridge, ring, isolate, one-way, deaf, ragged, one-by-one, apart, black-hole, delay,
  stall, flap, torn, again, clock, kill-server, kill-postgres, kill-both, kill-loop, blackout,
  pause-server, long-pause, pause-postgres, restart-postgres, rolling, new-key, full-disk, wipe,
  old-dump, old-folder, fork, clone

Exit status: 0 if every guarantee held; 1 if one was violated, in which case the history and the
servers' logs are kept and their folder is printed; 2 if the run failed.";

impl Arguments {
    /// The kinds of faults to inject.
    pub fn kinds(&self) -> Vec<Kind> {
        if self.faults.is_empty() {
            Kind::all()
        } else {
            self.faults.clone()
        }
    }
}

/// The server program: the named one, or the one beside this program, freshly built.
pub fn server(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    match &arguments.server {
        Some(server) => program::named(server),
        None => program::built("causeway-server"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_in_the_help() {
        for name in Kind::names() {
            assert!(EXAMPLES.contains(name), "{name}");
        }
    }
}
