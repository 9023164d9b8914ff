//! Causeway in a terminal.
//!
//! Reads the command line, opens the terminal or the pipe, and hands both to `chat`. Imports none
//! of the project's other crates: its contract is `openapi.yaml`.

mod address;
mod backoff;
mod chat;
mod client;
mod complete;
mod feed;
mod folders;
mod input;
mod layout;
mod names;
mod outbox;
mod output;
mod pager;
mod paper;
mod plain;
mod prompt;
mod recall;
mod screen;
mod sse;
mod state;
mod text;
mod tty;
mod wire;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Receiver;

use crate::address::Place;
use crate::chat::{Chat, Start};
use crate::client::Http;
use crate::outbox::Keeping;
use crate::output::Output;
use crate::prompt::{Status, Terminal, Typed};
use crate::screen::Look;

const EXAMPLES: &str = "\
Examples:
  causeway                                   chat on replica 1 of this machine
  causeway --user ann --group lobby          and begin in a group
  causeway --server 3                        on replica 3
  causeway --server chat.example:12001       on another machine
  printf 'u ann\\nj lobby\\na hello\\n' | causeway   without a terminal: a command per line

Once started, h shows the commands.
Exit code: 0 when all went well, 1 when something did not, 2 for a wrong command line.";

/// Chat on a Causeway server.
#[derive(Debug, Parser)]
#[command(name = "causeway", version, after_help = EXAMPLES)]
struct Arguments {
    /// The server: a host, a host with a port (12000 where there is none), or a replica's number.
    #[arg(
        long,
        short,
        value_name = "HOST[:PORT]|N",
        default_value = "127.0.0.1:12001",
        env = "CAUSEWAY_SERVER"
    )]
    server: Place,
    /// Log in under this name.
    #[arg(long, short, value_name = "NAME", env = "CAUSEWAY_USER")]
    user: Option<String>,
    /// Go to this group; needs a name to log in under.
    #[arg(long, short, value_name = "NAME", requires = "user")]
    group: Option<String>,
    /// When the server is lost, stay logged out instead of going to the next one.
    #[arg(long)]
    no_failover: bool,
    /// Trust the authorities in this PEM file, instead of the system's, for https://.
    #[arg(long, value_name = "FILE", env = "CAUSEWAY_CA")]
    ca: Option<PathBuf>,
    /// Keep unsent messages in this folder, or nowhere.
    #[arg(long, value_name = "FOLDER|none", env = "CAUSEWAY_OUTBOX")]
    outbox: Option<PathBuf>,
}

fn keeping(given: Option<&Path>) -> Keeping {
    match given {
        Some(path) if path.as_os_str() == "none" => Keeping::Memory,
        Some(path) => Keeping::Folder(path.to_owned()),
        None => match folders::state() {
            Ok(folder) => Keeping::Folder(folder.join("outbox")),
            Err(error) => Keeping::Nowhere(error.to_string()),
        },
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let (output, typed, color) = open()?;
    let look = Look {
        color,
        zone: TimeZone::system(),
    };
    let http = Http::trusting(arguments.ca.as_deref()).map_err(anyhow::Error::msg)?;
    let keeping = keeping(arguments.outbox.as_deref());
    let mut chat = Chat::new(look, output, http, keeping, !arguments.no_failover);
    chat.greet();
    let start = Start {
        place: arguments.server,
        user: arguments.user,
        group: arguments.group,
    };
    let all_went_well = tokio::select! {
        all_went_well = chat.run(start, typed) => all_went_well,
        () = told_to_end() => false,
    };
    Ok(if all_went_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A terminal where a person sits at both ends, else a pipe.
fn open() -> anyhow::Result<(Output, Receiver<Typed>, bool)> {
    let is_terminal = std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal();
    if !is_terminal {
        return Ok((Output::Pipe { closed: false }, plain::lines(), false));
    }
    let has_codes = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    let color = has_codes && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (terminal, typed) =
        Terminal::open(color, has_codes).context("the terminal cannot be used")?;
    Ok((
        Output::Terminal {
            terminal,
            asking: false,
            status: Status::default(),
        },
        typed,
        color,
    ))
}

async fn told_to_end() {
    let ends = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    // Where signals cannot be had, the program ends without setting the terminal back.
    let waits = ends
        .into_iter()
        .filter_map(|end| signal(end).ok())
        .map(|mut end| {
            Box::pin(async move {
                end.recv().await;
            })
        });
    futures_util::future::select_all(waits).await;
}
