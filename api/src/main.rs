//! `causeway-server`: the command line, and the only place where signals, exit codes and the log
//! are decided. What the commands do lies in the library.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::num::{NonZero, NonZeroU16};
use std::path::PathBuf;
use std::process::ExitCode;

use causeway_api::config::Config;
use causeway_api::dev::{self, DevOptions};
use causeway_api::failure::{UserError, exit_code, print_notice, sentence};
use causeway_api::inspect::Wanted;
use causeway_api::log::Log;
use causeway_api::new_epoch::Rescue;
use causeway_api::{
    check, clock, init, inspect, manual, new_epoch, open_files, rebuild, server, stop, tls,
};
use causeway_domain::ids::ReplicaId;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Gives memory back to the system soon after a storm: of what 3,000 streams and large pages had taken
/// the system's own allocator kept nearly all.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(name = "causeway-server", version, about, long_about = None, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  causeway-server dev                       five replicas on this machine, nothing to set
  causeway-server init --replicas a.example,b.example --out conf
  causeway-server check --config conf/causeway-1.toml
  causeway-server run --config conf/causeway-1.toml

Settings can also come from the environment: CAUSEWAY_DATA_DIR, CAUSEWAY_DATABASE_URL, …
CAUSEWAY_LOG chooses what is logged (error, warn, info, debug); the log goes to standard error.";

#[derive(Subcommand)]
enum Command {
    /// Runs one replica
    Run {
        #[command(flatten)]
        config: ConfigFile,
        /// End when standard input is closed, so that nothing outlives the process that started it
        #[arg(long, hide = true)]
        until_stdin_closes: bool,
    },
    /// Runs a cluster on this machine, each replica with a database of its own
    #[command(after_help = DEV_EXAMPLES)]
    Dev(DevArguments),
    /// Prints the OpenAPI description of the public API (YAML)
    Openapi,
    /// Says what is wrong with settings, database and peers, without starting anything
    Check(ConfigFile),
    /// Shows the history and the state of a group or message, from the events of this replica; its
    /// server may run meanwhile
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArguments),
    /// Rebuilds the read models from the events; the replica must not be running
    Rebuild(ConfigFile),
    /// Gives a replica a new epoch: to be run after every restore; the replica must not be running
    #[command(after_help = NEW_EPOCH_EXAMPLES)]
    NewEpoch(NewEpochArguments),
    /// Writes a configuration and certificates for each replica of a new cluster, with new keys
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArguments),
    /// Issues new certificates for every replica, by the authority that `init` made
    #[command(after_help = RENEW_EXAMPLES)]
    RenewCertificates(RenewArguments),
    /// Prints the completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page of the program, or of one command (roff)
    Man {
        /// Which command
        command: Option<String>,
    },
}

#[derive(Args)]
struct DevArguments {
    /// How many replicas
    #[arg(long, default_value_t = 5, value_name = "N")]
    replicas: u16,
    /// Where their data is kept
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
    /// Replica i serves clients on this port plus i, and its peers 1000 below that
    #[arg(long, default_value_t = 12000, value_name = "PORT")]
    base_port: u16,
    /// Forget the data of former runs first
    #[arg(long)]
    fresh: bool,
    /// Speak TLS, with certificates of an authority in the folder of the data
    #[arg(long)]
    tls: bool,
}

#[derive(Args)]
struct InspectArguments {
    /// What it is
    kind: Kind,
    /// The name of the group, or the id of the message
    id: String,
    #[command(flatten)]
    config: ConfigFile,
    /// Show the texts of messages, too
    #[arg(long)]
    texts: bool,
}

#[derive(Args)]
struct NewEpochArguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Yield to the peers after a fork: set aside the events that differ from theirs, take theirs,
    /// and write again what would be lost
    #[arg(long)]
    rescue: bool,
    /// The replica whose events are to stay, where the peers hold different ones themselves
    #[arg(long, requires = "rescue", value_name = "N")]
    follow: Option<NonZeroU16>,
}

#[derive(Args)]
struct InitArguments {
    /// The hosts of the replicas, in the order of their numbers
    #[arg(
        long,
        value_delimiter = ',',
        required = true,
        value_name = "HOST,HOST,…"
    )]
    replicas: Vec<String>,
    /// The folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The cluster's name
    #[arg(long, default_value = "causeway", value_name = "NAME")]
    cluster: String,
}

#[derive(Args)]
struct RenewArguments {
    /// The folder that `init` wrote, with ca.crt, ca.key and the configurations of all replicas
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Make an authority first, for a cluster that had none
    #[arg(long)]
    new_authority: bool,
}

const DEV_EXAMPLES: &str = "\
Examples:
  causeway-server dev
  causeway-server dev --replicas 3 --base-port 13000 --data /tmp/three
  causeway-server dev --tls
  echo 'cut 1,2|3,4,5' | causeway-server dev

While it runs it takes: status, cut 1,2|3,4,5, heal, kill 3, start 3, help, quit";

const NEW_EPOCH_EXAMPLES: &str = "\
When:
  after a snapshot of a volume, or database and data folder together, were restored:
      causeway-server new-epoch --config conf/causeway-2.toml
  when the view shows the alarm `fork`: stop the replica that is to yield, and
      causeway-server new-epoch --rescue --config conf/causeway-2.toml
  Nothing is deleted, running it again does no harm. It needs a peer that answers. Every replica that
  holds events of the side that yields has to be rescued so.";

const INSPECT_EXAMPLES: &str = "\
Examples:
  causeway-server inspect group lobby --config conf/causeway-1.toml
  causeway-server inspect post 4be0643f1d98573b97cdca98a65347dd --config conf/causeway-1.toml";

const INIT_EXAMPLES: &str = "\
Example:
  causeway-server init --replicas a.example,b.example,c.example --out conf";

const RENEW_EXAMPLES: &str = "\
When:
  before certificates expire, which the alarm `certificate_expires` announces 30 days ahead:
      causeway-server renew-certificates --out conf
  when a replica was added, with its configuration in the folder: the same
  when a cluster that spoke plain text is to speak TLS, once:
      causeway-server renew-certificates --out conf --new-authority
  Copy the new files over the former ones. Servers use them within seconds, without a restart.";

/// The aggregates that can be inspected.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Group,
    Post,
}

#[derive(Args)]
struct ConfigFile {
    /// The replica's settings
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl ConfigFile {
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config)?)
    }
}

fn main() -> ExitCode {
    tls::install_provider();
    let arguments = Arguments::parse();
    match perform(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            print_notice(&format!("causeway-server: {}", sentence(&error)));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn perform(command: Command) -> anyhow::Result<ExitCode> {
    let usual_log = if matches!(command, Command::Dev { .. }) {
        "warn"
    } else {
        "info"
    };
    let log = start_log(usual_log)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(dispatch(command));
    // Blocking tasks that still wait for a disk or a terminal must not keep the program.
    runtime.shutdown_background();
    log.finish();
    outcome
}

/// Leaves half of the cores to Postgres: with a thread on each of two cores the two programs kept
/// displacing each other, and a single post took a fifth longer.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 2).max(1))
        .enable_all()
        .build()
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run {
            config,
            until_stdin_closes,
        } => run(config.load()?, until_stdin_closes).await?,
        Command::Dev(arguments) => dev(arguments).await?,
        Command::Openapi => print(&server::openapi()),
        Command::Completions { shell } => manual::completions(Arguments::command(), shell),
        Command::Man { command } => manual::page(Arguments::command(), command.as_deref())?,
        Command::Check(config) => {
            let findings = check::check(&config.load()?).await;
            print(&findings.to_string());
            return Ok(ExitCode::from(if findings.are_fine() { 0 } else { 2 }));
        }
        Command::Inspect(arguments) => inspect(arguments).await?,
        Command::Rebuild(config) => rebuild::rebuild(config.load()?).await?,
        Command::NewEpoch(arguments) => new_epoch(arguments).await?,
        Command::Init(InitArguments {
            replicas,
            out,
            cluster,
        }) => {
            let written = init::init(&cluster, &replicas, &out, clock::wall_clock(None)())?;
            print(&init::next_steps(&written));
        }
        Command::RenewCertificates(RenewArguments { out, new_authority }) => {
            let renewed = init::renew(&out, new_authority, clock::wall_clock(None)())?;
            print(&renewed.next_steps());
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn dev(arguments: DevArguments) -> anyhow::Result<()> {
    let options = DevOptions {
        replicas: arguments.replicas,
        data: arguments.data,
        base_port: arguments.base_port,
        fresh: arguments.fresh,
        tls: arguments.tls,
    };
    open_files::raise();
    dev::run(options, stop::requested(false)?.cancelled_owned()).await
}

async fn inspect(arguments: InspectArguments) -> anyhow::Result<()> {
    let wanted = match arguments.kind {
        Kind::Group => Wanted::Group(arguments.id),
        Kind::Post => Wanted::Post(arguments.id),
    };
    let config = arguments.config.load()?;
    print(&inspect::inspect(config, wanted, arguments.texts).await?);
    Ok(())
}

async fn new_epoch(arguments: NewEpochArguments) -> anyhow::Result<()> {
    let follow = arguments.follow;
    let follow = follow.and_then(|number| ReplicaId::new(number.get()));
    let rescue = arguments.rescue.then_some(Rescue { follow });
    print(&new_epoch::new_epoch(arguments.config.load()?, rescue).await?);
    Ok(())
}

/// Runs one replica.
async fn run(config: Config, until_stdin_closes: bool) -> anyhow::Result<()> {
    open_files::raise();
    let stop = stop::requested(until_stdin_closes)?;
    let schemes = [config.tls.is_some(), config.peer_tls.is_some()];
    let schemes = schemes.map(|is_secure| if is_secure { "https" } else { "http" });
    let on_ready = |public, internal| print_ready(schemes, public, internal);
    server::run(config, stop, on_ready).await
}

/// Reports the addresses to the process that started this one; everything else goes to the log.
fn print_ready([of_public, of_internal]: [&str; 2], public: SocketAddr, internal: SocketAddr) {
    print(&format!(
        "public {of_public}://{public}\ninternal {of_internal}://{internal}\nready\n"
    ));
}

/// Prints to standard output, which may be closed: then nobody reads it.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn start_log(usual: &str) -> anyhow::Result<Log> {
    let chosen = std::env::var("CAUSEWAY_LOG").unwrap_or_default();
    let chosen = if chosen.is_empty() { usual } else { &chosen };
    let filter = EnvFilter::try_new(chosen)
        .map_err(|error| UserError(format!("CAUSEWAY_LOG is wrong: {error}")))?;
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = Log::to_standard_error();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .with_ansi(colours)
        // Reporting a failed write to the same place would end the task that logs.
        .log_internal_errors(false)
        .init();
    Ok(log)
}
