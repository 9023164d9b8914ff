//! Commands for scripts: data on standard output, a sentence on standard error if one fails.
//!
//! Each command is a few calls through [`Caller`], which finds a server that answers. Started by
//! `main`.

mod caller;
mod lists;
mod login;
mod print;
mod read;
mod send;

use clap::CommandFactory as _;

use self::caller::Caller;
use self::print::Printer;
use crate::address::{DEFAULT_SERVER, Target, short};
use crate::arguments::{Arguments, Command, Options};
use crate::folders;
use crate::logins::Logins;
use crate::outbox::Storage;
use crate::settings::{self, Applied};

/// Why a command has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The sentence for standard error.
    #[error("{0}")]
    Error(String),
    /// The reader of the output has gone; nothing is wrong.
    #[error("nobody reads the output")]
    OutputClosed,
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Self::Error(sentence)
    }
}

/// What commands use besides their own arguments.
#[derive(Debug)]
pub struct Script {
    /// The options.
    pub options: Options,
    /// Where each of them comes from.
    pub applied: Vec<Applied>,
    /// Where unsent messages are stored.
    pub storage: Storage,
}

impl Script {
    /// Carries out a command.
    ///
    /// # Errors
    /// Why it has failed.
    pub async fn run(self, command: Command) -> Result<(), Failure> {
        let printer = Printer::new(self.options.json);
        match command {
            Command::Login => login::log_in(&self.options, printer).await,
            Command::Logout => login::log_out(&self.options).await,
            Command::Send { text, lines } => {
                let group = self.group("send");
                let caller = self.caller().await.map_err(send::not_kept)?;
                send::run(
                    caller,
                    &self.storage,
                    group,
                    printer,
                    send::TextSource::of(text, lines),
                )
                .await
            }
            Command::Tail { from, follow } => {
                let group = self.group("tail");
                read::tail(self.caller().await?, group, printer, from, follow).await
            }
            Command::History => {
                let group = self.group("history");
                read::history(self.caller().await?, group, printer).await
            }
            Command::Members => {
                let group = self.group("members");
                lists::members(self.caller().await?, group, printer).await
            }
            Command::Like { id, undo } => {
                let group = self.group("like");
                lists::like(self.caller().await?, group, printer, &id, !undo).await
            }
            Command::Groups { joined } => {
                lists::groups(self.caller().await?, printer, joined).await
            }
            Command::View => lists::view(self.caller().await?, printer).await,
            Command::Config => self.config(printer),
            Command::Completions { shell } => completions(shell, printer),
            Command::Man { command } => man(command.as_deref(), printer),
        }
    }

    async fn caller(&self) -> Result<Caller, Failure> {
        Caller::open(&self.options).await
    }

    /// The group; without one, reports the wrong use and exits.
    fn group(&self, command: &str) -> String {
        self.options.group.clone().unwrap_or_else(|| {
            settings::misuse(&format!(
                "{command} needs a group: add --group NAME, as in: causeway {command} --group lobby"
            ))
            .exit()
        })
    }

    fn config(&self, mut printer: Printer) -> Result<(), Failure> {
        let options = &self.options;
        let server = options.server.as_ref().map(Target::address);
        let logins = Logins::own().ok();
        let kept = logins.as_ref().and_then(|logins| {
            logins
                .find(server.as_deref(), options.user.as_deref())
                .ok()?
        });
        let kept_in = logins.map_or_else(String::new, |logins| logins.place());
        for applied in &self.applied {
            let mut applied = applied.clone();
            let (value, source) = match (applied.setting, &kept, &self.storage) {
                ("server", Some(login), _) => (short(&login.server).to_owned(), &kept_in),
                ("server", None, _) => (short(DEFAULT_SERVER).to_owned(), &applied.source),
                ("user", Some(login), _) => (login.user.clone(), &kept_in),
                ("outbox", _, Storage::Folder(folder)) => (folders::short(folder), &applied.source),
                _ => ("-".to_owned(), &applied.source),
            };
            if applied.value.is_none() {
                applied.source.clone_from(&source.clone());
                applied.value = Some(value).filter(|value| value != "-");
            }
            let value = applied.value.as_deref().unwrap_or("-");
            let text = format!("{:<12} {value:<36} {}", applied.setting, applied.source);
            printer.object_or(&applied, || text)?;
        }
        printer.flush()
    }
}

fn completions(shell: clap_complete::Shell, mut printer: Printer) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "causeway", &mut script);
    printer.bytes(&script)
}

fn man(command: Option<&str>, mut printer: Printer) -> Result<(), Failure> {
    let mut whole = Arguments::command();
    whole.build();
    let page = match command {
        None => clap_mangen::Man::new(whole),
        Some(name) => {
            let Some(found) = whole.find_subcommand(name) else {
                settings::misuse(&format!(
                    "there is no command {name}; causeway --help lists them"
                ))
                .exit()
            };
            let title = format!("causeway-{name}");
            clap_mangen::Man::new(found.clone()).title(title)
        }
    };
    let mut text = Vec::new();
    page.render(&mut text)
        .map_err(|error| Failure::Error(error.to_string()))?;
    printer.bytes(&text)
}
