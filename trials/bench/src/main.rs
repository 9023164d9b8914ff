//! Benchmarks: each figure is compared with a yardstick that is measured in the same run.
//!
//! `cargo bench-write`, `bench-replicate`, `bench-heal`, `bench-storm`, `bench-history`,
//! `bench-fanout`, `bench-tls`, `bench-crowd`, `bench-absent`, `bench-fair`, `bench-start`,
//! `bench-terminal`, `bench-grow`, or `cargo bench-all`; a table on standard output (`--json` for
//! programs), progress on standard error. How to read it:
//! `docs/PERFORMANCE.md`.

mod absent;
mod broadcast;
mod crowd;
mod fair;
mod fanout;
mod grow;
mod heal;
mod history;
mod http;
mod load;
mod made;
mod pgbench;
mod print;
mod process;
mod readers;
mod replica;
mod replicate;
mod report;
mod rows;
mod secure;
mod setup;
mod start;
mod stats;
mod storm;
mod stream;
mod terminal;
mod tls;
mod write;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use made::History;
use print::Head;
use setup::{Setup, Sizes};

/// Measures Causeway against yardsticks.
#[derive(Parser)]
struct Arguments {
    /// The benchmark to run.
    #[arg(required = true)]
    what: Vec<What>,
    /// The number of runs per figure; medians are printed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Uses small sizes and short loads, to check that everything works.
    #[arg(long)]
    quick: bool,
    /// The number of events of the large history (default 1,000,000).
    #[arg(long, value_name = "N")]
    large: Option<u64>,
    /// The duration of each load in seconds (default 4).
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    load: Option<u64>,
    /// The folder of the databases; it decides which disk is measured.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    disk: PathBuf,
    /// The server program to measure instead of this project's, to compare builds.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// The server to read streams from.
    #[arg(long, hide = true)]
    address: Option<SocketAddr>,
    /// The authority of that server, where it speaks TLS.
    #[arg(long, hide = true)]
    ca: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    All,
    Write,
    Replicate,
    Heal,
    Storm,
    History,
    Fanout,
    Crowd,
    Absent,
    Fair,
    Start,
    Terminal,
    Grow,
    Tls,
    /// The yardstick for streams; started by `fanout` as a process.
    #[value(hide = true)]
    BareBroadcast,
    /// The readers of streams; started by `fanout` as a process.
    #[value(hide = true)]
    Readers,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    raise_open_files();
    let is_asked = |what| arguments.what.contains(&what);
    let mut runtime = if is_asked(What::BareBroadcast) {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        // One thread, so the load costs at most one core; its share is reported.
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = runtime.enable_all().build()?;
    match arguments.address {
        _ if is_asked(What::BareBroadcast) => runtime.block_on(broadcast::serve()),
        Some(address) if is_asked(What::Readers) => {
            runtime.block_on(readers::serve(address, arguments.ca))
        }
        _ => runtime.block_on(measure(arguments)),
    }
}

/// Raises the limit of open files to the maximum: each stream needs one at each end.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(failure) = setrlimit(Resource::Nofile, limit) {
        eprintln!("cannot open as many files as wanted: {failure}");
    }
}

async fn measure(arguments: Arguments) -> anyhow::Result<()> {
    replica::choose(arguments.server.clone())?;
    let setup = arguments.setup();
    let head = Head::of(&setup);
    let mut history = None;
    let mut lines = Vec::new();
    for part in What::PARTS {
        let is_asked = |what: &What| [part, What::All].contains(what);
        if !arguments.what.iter().any(is_asked) {
            continue;
        }
        if part.needs_history() && history.is_none() {
            history = Some(History::make(&setup).await?);
        }
        let measured = match (part, &history) {
            (What::Write, _) => write::run(&setup).await?,
            (What::Replicate, _) => replicate::run(&setup).await?,
            (What::Fanout, _) => fanout::run(&setup).await?,
            (What::Crowd, _) => crowd::run(&setup).await?,
            (What::Absent, _) => absent::run(&setup).await?,
            (What::Tls, _) => tls::run(&setup).await?,
            (What::Fair, _) => fair::run(&setup).await?,
            (What::Storm, _) => storm::run(&setup).await?,
            (What::Terminal, _) => terminal::run(&setup).await?,
            (What::Heal, Some(history)) => heal::run(&setup, history).await?,
            (What::History, Some(history)) => history::run(&setup, history).await?,
            (What::Start, Some(history)) => start::run(&setup, history).await?,
            (What::Grow, Some(history)) => grow::run(&setup, history).await?,
            _ => Vec::new(),
        };
        // Printed now, so that results survive the failure of a later benchmark.
        eprintln!("{}", print::table(&head, &measured));
        lines.extend(measured);
    }
    let text = if arguments.json {
        serde_json::to_string_pretty(&print::json(&head, &lines))?
    } else {
        print::table(&head, &lines)
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

impl Arguments {
    fn setup(&self) -> Setup {
        let (mut sizes, load, idle) = if self.quick {
            (Sizes::QUICK, 1, 3)
        } else {
            (Sizes::ASKED, 4, 20)
        };
        sizes.large = self.large.unwrap_or(sizes.large);
        Setup {
            runs: self.runs,
            disk: self.disk.clone(),
            load: Duration::from_secs(self.load.unwrap_or(load)),
            idle: Duration::from_secs(idle),
            sizes,
        }
    }
}

impl What {
    /// All benchmarks in order; growth comes last, since it adds to the history.
    const PARTS: [Self; 13] = [
        Self::Write,
        Self::Replicate,
        Self::Fanout,
        Self::Tls,
        Self::Crowd,
        Self::Absent,
        Self::Fair,
        Self::History,
        Self::Start,
        Self::Terminal,
        Self::Heal,
        Self::Storm,
        Self::Grow,
    ];

    fn needs_history(self) -> bool {
        matches!(self, Self::Heal | Self::History | Self::Start | Self::Grow)
    }
}
