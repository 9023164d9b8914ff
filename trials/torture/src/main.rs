//! Torture: real servers with real databases, real faults, and checkers that look for lost, repeated
//! and reordered messages. `cargo torture -- --help` says how to run it.

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
    // `cargo torture -- --minutes 5` and `cargo torture --minutes 5` are the same: the alias ends in
    // dashes too.
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
