//! Fault injection on real servers with real databases, and checkers that look for lost, repeated
//! and reordered messages. `cargo torture -- --help` describes how to run it.

mod bounds;
mod check;
mod cluster;
mod conductor;
mod converge;
mod disk;
mod finals;
mod history;
mod kinds;
mod nemesis;
mod network;
mod options;
mod processes;
mod reader;
mod replica;
mod rng;
mod scratch;
mod stop;
mod summary;
mod tally;
mod user;
mod writer;

use std::process::ExitCode;

use clap::Parser;

use crate::options::{Arguments, Instead};

fn main() -> ExitCode {
    // The alias ends in `--`, so `cargo torture -- --minutes 5` passes a second one; it is dropped.
    let arguments = Arguments::parse_from(std::env::args_os().filter(|it| it != "--"));
    let run = || -> anyhow::Result<bool> {
        let program = options::server(&arguments)?;
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(async {
            match &arguments.instead {
                Some(Instead::Bounds(wanted)) => bounds::run(wanted, &program).await,
                None => conductor::run(&arguments, &program).await,
            }
        })
    };
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("torture: {failure:#}");
            ExitCode::from(2)
        }
    }
}
