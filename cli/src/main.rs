//! `causeway`: the terminal client.
//!
//! Reads the command line, opens the terminal or the pipe, and hands both to `chat`. Of the
//! project's other crates it imports `client` alone: its contract is `openapi.yaml`.

mod address;
mod arguments;
mod background;
mod backoff;
mod chat;
mod clock;
mod complete;
mod folders;
mod input;
mod layout;
mod logins;
mod names;
mod outbox;
mod output;
mod pager;
mod pages;
mod plain;
mod prompt;
mod random;
mod recall;
mod screen;
mod script;
mod scrollback;
mod settings;
mod state;
mod text;
mod tty;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use causeway_client::Http;
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Receiver;

use crate::address::{DEFAULT_SERVER, Target};
use crate::arguments::{Arguments, Color, Options};
use crate::chat::{Chat, Start};
use crate::logins::Logins;
use crate::outbox::Storage;
use crate::output::Output;
use crate::prompt::{Status, Terminal, Typed};
use crate::screen::Style;
use crate::script::{Failure, Script};
use crate::settings::{Applied, Settings};

fn main() -> ExitCode {
    let settings =
        settings::read(std::env::args_os().collect()).unwrap_or_else(|error| error.exit());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .context("the program cannot start")
        .and_then(|runtime| {
            let done = runtime.block_on(run(settings));
            // A thread may still be waiting for input.
            runtime.shutdown_background();
            done
        });
    done.unwrap_or_else(|error| {
        eprintln!("causeway: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let Settings { arguments, applied } = settings;
    let Arguments { command, options } = arguments;
    let storage = storage(options.outbox.as_deref());
    let Some(command) = command else {
        return chat(options, &applied, storage).await;
    };
    let script = Script {
        options,
        applied,
        storage,
    };
    match script.run(command).await {
        Ok(()) | Err(Failure::OutputClosed) => Ok(ExitCode::SUCCESS),
        Err(Failure::Error(sentence)) => Err(anyhow::Error::msg(sentence)),
    }
}

async fn chat(options: Options, applied: &[Applied], storage: Storage) -> anyhow::Result<ExitCode> {
    let begun = start(&options, applied);
    let (output, typed, color) = open(options.color)?;
    let style = Style {
        color,
        zone: TimeZone::system(),
    };
    let http = Http::trusting(options.ca.as_deref()).map_err(anyhow::Error::msg)?;
    let mut chat = Chat::new(style, output, http, storage, !options.no_failover);
    chat.greet();
    let all_went_well = tokio::select! {
        all_went_well = chat.run(begun, typed) => all_went_well,
        () = terminate_signal() => false,
    };
    Ok(if all_went_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the chat begins with: the options, or else the stored login.
fn start(options: &Options, applied: &[Applied]) -> Start {
    let is_typed = |name: &str| {
        let mut all = applied.iter();
        all.any(|applied| applied.setting == name && applied.source == "command line")
    };
    if is_typed("json") {
        settings::misuse("--json is for commands, as in: causeway history --group lobby --json")
            .exit();
    }
    let server = options.server.as_ref().map(Target::address);
    let kept = Logins::own().ok().and_then(|logins| {
        logins
            .find(server.as_deref(), options.user.as_deref())
            .ok()?
    });
    let user = options
        .user
        .clone()
        .or_else(|| kept.as_ref().map(|login| login.user.clone()));
    if is_typed("group") && user.is_none() {
        settings::misuse(
            "--group needs a name to log in under: add --user NAME, as in: causeway \
            --user ann --group lobby",
        )
        .exit();
    }
    let target = options
        .server
        .clone()
        .or_else(|| kept.map(|login| Target::Address(login.server)))
        .unwrap_or(Target::Address(DEFAULT_SERVER.to_owned()));
    // A group from the settings applies only to a user.
    let group = options.group.clone().filter(|_| user.is_some());
    Start {
        server: target,
        user,
        group,
    }
}

fn storage(given: Option<&Path>) -> Storage {
    match given {
        Some(path) if path.as_os_str() == "none" => Storage::Memory,
        Some(path) => Storage::Folder(path.to_owned()),
        None => match folders::state() {
            Ok(folder) => Storage::Folder(folder.join("outbox")),
            Err(error) => Storage::Nowhere(error.to_string()),
        },
    }
}

/// A terminal if input, output and errors are one; otherwise a pipe.
fn open(color: Color) -> anyhow::Result<(Output, Receiver<Typed>, bool)> {
    let is_terminal = std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
        && std::io::stderr().is_terminal();
    if !is_terminal {
        return Ok((
            Output::Pipe { closed: false },
            plain::lines(),
            color == Color::Always,
        ));
    }
    let has_codes = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    let color = match color {
        Color::Auto => {
            has_codes && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
        Color::Always => true,
        Color::Never => false,
    };
    let (terminal, typed) =
        Terminal::open(color, has_codes).context("the terminal cannot be used")?;
    Ok((
        Output::Terminal {
            terminal,
            is_prompting: false,
            status: Status::default(),
        },
        typed,
        color,
    ))
}

async fn terminate_signal() {
    let ends = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    // Without signal handlers the program exits without restoring the terminal.
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
