//! The command line: its options and commands, and their help texts.
//!
//! Shell completions and manual pages are made from it. Decides nothing: `settings` fills in what
//! is missing, `main` and `script` carry it out.

mod examples;
mod trimmed;

use std::path::PathBuf;

use clap::builder::{
    BoolValueParser, EnumValueParser, PathBufValueParser, RangedU64ValueParser, StringValueParser,
};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use self::trimmed::Trimmed;
pub use self::trimmed::trimmed;

use crate::address::Target;

/// With the level of the API that this program uses; servers of a higher level support it too.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (API level 1)");

/// Chat on a Causeway server, or let a script do it.
#[derive(Debug, Parser)]
#[command(
    name = "causeway",
    version = VERSION,
    about = "Chat on a Causeway server, or let a script do it",
    after_help = examples::CHAT,
    args_conflicts_with_subcommands = false,
    disable_help_subcommand = true
)]
pub struct Arguments {
    /// A command for scripts; without one, a chat begins.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// See [`Options`].
    #[command(flatten)]
    pub options: Options,
}

/// Options of the chat and of every command; each is also a variable and a setting.
#[derive(Debug, Clone, Args)]
#[expect(clippy::doc_markdown, reason = "the help shows no backticks")]
pub struct Options {
    /// The server: a host, a host with a port (default 12000), a replica's number, or a whole http://
    /// or https:// address [default: the server logged in to, else 127.0.0.1:12001].
    #[arg(
        long,
        short,
        global = true,
        value_name = "HOST[:PORT]|N|URL",
        env = "CAUSEWAY_SERVER",
        value_hint = ValueHint::Hostname
    )]
    pub server: Option<Target>,
    /// The name of the user [default: the one logged in].
    #[arg(
        long,
        short,
        global = true,
        value_name = "NAME",
        env = "CAUSEWAY_USER",
        value_parser = Trimmed(StringValueParser::new())
    )]
    pub user: Option<String>,
    /// The group.
    #[arg(
        long,
        short,
        global = true,
        value_name = "NAME",
        env = "CAUSEWAY_GROUP",
        value_parser = Trimmed(StringValueParser::new())
    )]
    pub group: Option<String>,
    /// Do not switch to another server when this one is lost.
    #[arg(
        long,
        global = true,
        env = "CAUSEWAY_NO_FAILOVER",
        value_parser = Trimmed(BoolValueParser::new())
    )]
    pub no_failover: bool,
    /// Trust the authorities in this PEM file, instead of the system's, for https://.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CAUSEWAY_CA",
        value_parser = Trimmed(PathBufValueParser::new()),
        value_hint = ValueHint::FilePath
    )]
    pub ca: Option<PathBuf>,
    /// Keep unsent messages in this folder, or nowhere [default: ~/.local/state/causeway/outbox].
    #[arg(
        long,
        global = true,
        value_name = "FOLDER|none",
        env = "CAUSEWAY_OUTBOX",
        value_parser = Trimmed(PathBufValueParser::new()),
        value_hint = ValueHint::DirPath
    )]
    pub outbox: Option<PathBuf>,
    /// Use colours: auto (in a terminal, unless NO_COLOR is set), always or never.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        env = "CAUSEWAY_COLOR",
        value_parser = Trimmed(EnumValueParser::<Color>::new()),
        default_value = "auto",
        hide_possible_values = true
    )]
    pub color: Color,
    /// For commands: print JSON, an object of the API on each line.
    #[arg(
        long,
        global = true,
        env = "CAUSEWAY_JSON",
        value_parser = Trimmed(BoolValueParser::new())
    )]
    pub json: bool,
    /// For commands: give up after this many seconds without an answer; 0 waits for ever.
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        env = "CAUSEWAY_TIMEOUT",
        value_parser = Trimmed(RangedU64ValueParser::<u64>::new()),
        default_value = "30"
    )]
    pub timeout: u64,
    /// Read settings from this file [default: ~/.config/causeway/config.toml].
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CAUSEWAY_CONFIG",
        value_parser = Trimmed(PathBufValueParser::new()),
        value_hint = ValueHint::FilePath
    )]
    pub config: Option<PathBuf>,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// In a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Also in a pipe.
    Always,
    /// Nowhere.
    Never,
}

/// A command for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Log in, and keep the login for the next commands.
    #[command(after_help = examples::LOGIN)]
    Login,
    /// Log out, and forget the login.
    #[command(after_help = examples::LOGOUT)]
    Logout,
    /// Send a message; prints its id.
    #[command(after_help = examples::SEND)]
    Send {
        /// What to say [default: all of standard input, as one message].
        #[arg(conflicts_with = "lines")]
        text: Option<String>,
        /// Send each line of standard input as a message.
        #[arg(long)]
        lines: bool,
    },
    /// Print the newest messages, or the changes since a cursor; --follow goes on.
    #[command(after_help = examples::TAIL)]
    Tail {
        /// Begin after this cursor of an earlier --json line, at the START, or NOW [default: with
        /// the ten newest messages].
        #[arg(long, value_name = "CURSOR|START|NOW")]
        from: Option<String>,
        /// Go on as things happen, until interrupted.
        #[arg(long, short)]
        follow: bool,
    },
    /// Print all messages of a group, in order.
    #[command(after_help = examples::HISTORY)]
    History,
    /// Print the members of a group.
    #[command(after_help = examples::MEMBERS)]
    Members,
    /// Like a message.
    #[command(after_help = examples::LIKE)]
    Like {
        /// The message's id, as send prints it and --json shows it.
        id: String,
        /// Take the like back.
        #[arg(long)]
        undo: bool,
    },
    /// Print the groups: name, members, members online, whether you have joined.
    #[command(after_help = examples::GROUPS)]
    Groups {
        /// Only groups that you have joined.
        #[arg(long)]
        joined: bool,
    },
    /// Print the servers and which of them are up.
    #[command(after_help = examples::VIEW)]
    View,
    /// Print the settings, and where each one is set.
    #[command(after_help = examples::CONFIG)]
    Config,
    /// Print the completions for a shell.
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, of this program or of one of its commands.
    #[command(after_help = examples::MAN)]
    Man {
        /// Which command.
        command: Option<String>,
    },
}
