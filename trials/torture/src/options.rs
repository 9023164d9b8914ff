//! The command line, and the server to torture.

use std::path::PathBuf;

use causeway_rig::program;
use clap::{Parser, Subcommand};

use crate::bounds;
use crate::kinds::Kind;

/// Runs real servers, does everything to them that can go wrong, and checks what they promised
#[derive(Debug, Parser)]
#[command(name = "torture", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// How long to torture; healing and checking come on top
    #[arg(long, default_value_t = 3.0, value_name = "N")]
    pub minutes: f64,
    /// Repeats the choices of a former run; what the machine makes of them differs
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// How many replicas
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=9))]
    pub replicas: u16,
    /// How many users write
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub writers: u16,
    /// How many users read: of six, half take at most 5 events a call, and two only poll
    #[arg(long, default_value_t = 6, value_name = "N")]
    pub readers: u16,
    /// Only these faults
    #[arg(long, value_delimiter = ',', value_name = "FAULT,…")]
    pub faults: Vec<Kind>,
    /// The server's program; else it is built
    #[arg(long, global = true, value_name = "FILE")]
    pub server: Option<PathBuf>,
    /// Something else to try
    #[command(subcommand)]
    pub instead: Option<Instead>,
}

/// What can be tried instead of torture.
#[derive(Debug, Subcommand)]
pub enum Instead {
    /// Looks whether a server grows while a peer is away
    Bounds(bounds::Arguments),
}

const EXAMPLES: &str = "\
Examples:
  cargo torture -- --minutes 60
  cargo torture -- --minutes 5 --seed 7 --faults wipe,old-dump,halves
  cargo bounds -- --events 100000

Faults: halves, bridge, ring, isolate, one-way, deaf, ragged, one-by-one, apart, black-hole, delay,
  stall, flap, torn, again, clock, kill-server, kill-postgres, kill-both, kill-loop, blackout,
  pause-server, long-pause, pause-postgres, restart-postgres, rolling, new-key, full-disk, wipe,
  old-dump, old-folder, fork, clone

Ends with 0 when every promise was kept, with 1 when one was broken: then the history and the logs of
the servers are kept, and where they are is said.";

impl Arguments {
    /// The kinds of faults to make.
    pub fn kinds(&self) -> Vec<Kind> {
        if self.faults.is_empty() {
            Kind::all()
        } else {
            self.faults.clone()
        }
    }
}

/// The server's program: the one that was named, or the one beside ours, freshly built.
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
