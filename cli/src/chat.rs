//! The chat's loop: handles typed lines and news from the server, one at a time.
//!
//! Holds state and connection together; each command is a few lines that call, record and show. Its
//! parts: `connection` (the server), `failover` (a lost server), `login`, `group` (the group and
//! its history), `reading` (the history in a terminal), `sending`, `unsent` (the outbox),
//! `type_ahead` (lines entered early), `frames` (the stream), `blocks` (messages on the screen),
//! `terminal` (its status row and completion), `requirements` (of commands) and `shutdown`.

mod blocks;
mod connection;
mod failover;
mod frames;
mod group;
mod login;
mod reading;
mod requirements;
mod sending;
mod shutdown;
mod terminal;
mod type_ahead;
mod unsent;

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use causeway_client::{Client, Http, Message};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use self::type_ahead::TypeAhead;
use crate::address::Target;
use crate::background::{Report, Task};
use crate::backoff::Backoff;
use crate::input::{self, Input};
use crate::outbox::{Outbox, Storage};
use crate::output::Output;
use crate::prompt::Typed;
use crate::screen::Style;
use crate::state::State;
use crate::text::sanitised_line;

/// How often messages that wait are tried and counts are reported.
const TICK: Duration = Duration::from_secs(1);
/// Frames buffered while a command runs; beyond that the stream waits, and then its server.
const REPORTS: usize = 256;

/// The connection to a server.
#[derive(Debug)]
enum Connection {
    /// No server yet.
    None,
    /// A server that answers.
    Connected(Client),
    /// A server that answers and at which the user is logged in.
    LoggedIn(Client),
    /// A server that answers but no longer accepts the login.
    Expired(Client),
    /// A server that does not answer; its address.
    Lost(String),
}

/// What the chat begins with.
#[derive(Debug)]
pub struct Start {
    /// The server.
    pub server: Target,
    /// The name to log in under.
    pub user: Option<String>,
    /// The group to enter.
    pub group: Option<String>,
}

/// What to do next.
enum Work {
    Start(Start),
    Report(Report),
    /// What was typed, and the key of the message that is stored for it.
    Typed(Typed, Option<String>),
    /// It is time to try a server.
    Connect,
    Tick,
}

/// Lasting conditions that have been reported.
#[derive(Debug, Default)]
struct Announced {
    /// That no server answers.
    no_server: bool,
    /// That something waits to be sent.
    waiting: bool,
}

/// A chat: its state, its connection and its output.
pub struct Chat {
    state: State,
    style: Style,
    output: Output,
    http: Http,
    connection: Connection,
    failover: bool,
    /// Shared, because lines entered early are stored while a command has the rest.
    outbox: Rc<RefCell<Outbox>>,
    /// The keys of the messages whose lines were typed in this run.
    written_here: HashSet<String>,
    /// Where outboxes are stored.
    storage: Storage,
    /// Why nothing can be stored, and so nothing be sent.
    outbox_fault: Option<String>,
    /// Groups, and when the next message of each is tried again.
    waits: Vec<(String, Instant)>,
    /// Counts connections, so that news of a former one is recognised.
    generation: u64,
    tasks: Vec<Task>,
    reports: Sender<Report>,
    incoming: Receiver<Report>,
    /// Until when writing waits for the stream to show what was missed.
    catching_up: Option<Instant>,
    /// An own like that is shown already, and is still to come in the stream.
    own_like: Option<(String, bool)>,
    /// The user's own message that was shown last.
    last_own: Option<Message>,
    /// When the current or last connection was made.
    connected_at: Option<Instant>,
    /// When to try servers again.
    try_again_at: Option<Instant>,
    backoff: Backoff,
    /// When a login was last renewed.
    renewed: Option<Instant>,
    announced: Announced,
    /// Where the reader left the history.
    bookmark: Option<reading::Bookmark>,
    terminal: terminal::TerminalSync,
    has_failed: bool,
}

impl Chat {
    /// A chat without a server.
    pub fn new(style: Style, output: Output, http: Http, storage: Storage, failover: bool) -> Self {
        let (reports, incoming) = channel(REPORTS);
        Self {
            state: State::default(),
            style,
            output,
            http,
            connection: Connection::None,
            failover,
            outbox: Rc::default(),
            written_here: HashSet::new(),
            storage,
            outbox_fault: None,
            waits: Vec::new(),
            generation: 0,
            tasks: Vec::new(),
            reports,
            incoming,
            catching_up: None,
            own_like: None,
            last_own: None,
            connected_at: None,
            try_again_at: None,
            backoff: Backoff::default(),
            renewed: None,
            announced: Announced::default(),
            bookmark: None,
            terminal: terminal::TerminalSync::default(),
            has_failed: false,
        }
    }

    /// Greets a person.
    pub fn greet(&mut self) {
        if self.output.is_terminal() {
            self.note("Causeway. h shows the commands, q leaves");
        }
    }

    /// Carries out the command line, then what is typed, until the user leaves. Returns whether
    /// nothing failed; in a terminal always true, because failures have been shown.
    pub async fn run(mut self, start: Start, mut typed: Receiver<Typed>) -> bool {
        let mut ahead = TypeAhead::new(&self.outbox);
        self.work(&mut ahead, &mut typed, Work::Start(start)).await;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.output.is_closed() {
            self.update_terminal();
            let work = if let Some((typed, kept)) = ahead.next() {
                Work::Typed(typed, kept)
            } else {
                tokio::select! {
                    Some(report) = self.incoming.recv() => Work::Report(report),
                    typed = typed.recv() => match typed {
                        Some(typed) => {
                            ahead.receive(typed);
                            continue;
                        }
                        None => break,
                    },
                    () = sleep_until_some(self.try_again_at) => Work::Connect,
                    _ = tick.tick() => Work::Tick,
                }
            };
            if !self.work(&mut ahead, &mut typed, work).await {
                break;
            }
        }
        self.outbox.borrow_mut().end_turns();
        self.shut_down().await;
        !self.has_failed || self.output.is_terminal()
    }

    /// Does one piece of work, and stores what is typed meanwhile. Returns false to leave.
    async fn work(
        &mut self,
        ahead: &mut TypeAhead,
        typed: &mut Receiver<Typed>,
        work: Work,
    ) -> bool {
        let line = match &work {
            Work::Typed(Typed::Line(line), _) => Some(line.as_str()),
            _ => None,
        };
        ahead.set_template(self.template(line));
        if self.output.is_terminal() {
            ahead.during(typed, self.carry_out(work)).await
        } else {
            // A pipe is read only after the line before is carried out.
            self.carry_out(work).await
        }
    }

    async fn carry_out(&mut self, work: Work) -> bool {
        match work {
            Work::Start(start) => {
                self.start(start).await;
                self.prompt();
            }
            Work::Report(report) => self.handle_report(report).await,
            Work::Typed(Typed::Line(line), kept) => return self.process_line(&line, kept).await,
            Work::Typed(Typed::NotUtf8, _) => self.report_failure(
                "Not sent: this line is not UTF-8; convert the input first, as in: iconv -f \
                 latin1 -t utf-8",
            ),
            Work::Typed(Typed::Leave, _) => return false,
            // Handled by `TypeAhead`.
            Work::Typed(Typed::Early(_), _) => {}
            Work::Connect => self.maintain_connection().await,
            Work::Tick => self.maintain().await,
        }
        true
    }

    /// Carries out a typed line, whose message may be stored already. Returns false to leave.
    async fn process_line(&mut self, line: &str, kept: Option<String>) -> bool {
        self.output.line_received();
        match input::parse(line) {
            Ok(Input::Quit) => return false,
            Ok(input) => self.execute(input, kept).await,
            Err(error) => self.report_failure(&error.to_string()),
        }
        self.prompt();
        true
    }

    async fn execute(&mut self, input: Input, kept: Option<String>) {
        match input {
            Input::Connect(place) => self.connect(place).await,
            Input::User(name) => self.log_in(&name).await,
            Input::Join(group) => self.join(&group).await,
            Input::Leave(group) => self.leave(group).await,
            Input::Send(text) => self.send(text, kept).await,
            Input::Like(number) => self.like(number, true).await,
            Input::Unlike(number) => self.like(number, false).await,
            Input::History => self.history().await,
            Input::Show(number) => self.show_whole(number).await,
            Input::Outbox(asked) => self.outbox(asked).await,
            Input::View => self.show_view().await,
            Input::Help(None) => self.show_all(&self.style.help()),
            Input::Help(Some(command)) => self.show_all(&self.style.help_for(command)),
            Input::Clear => self.output.clear(),
            Input::Quit | Input::Nothing => {}
        }
        self.maintain_connection().await;
    }

    /// Periodic work: the next server, waiting messages, replica counts of own messages.
    async fn maintain(&mut self) {
        self.maintain_connection().await;
        self.show_all_stored();
    }

    /// Renews an expired login, replaces a lost server and sends what waits, until nothing changes.
    pub(super) async fn maintain_connection(&mut self) {
        for _ in 0..3 {
            if matches!(self.connection, Connection::Expired(_)) {
                self.renew_login().await;
            }
            if matches!(self.connection, Connection::Lost(_)) {
                self.fail_over().await;
            }
            if matches!(self.connection, Connection::LoggedIn(_)) {
                self.send_what_waits().await;
            }
            if !matches!(
                self.connection,
                Connection::Lost(_) | Connection::Expired(_)
            ) {
                return;
            }
        }
    }

    /// Handles what the stream has missed before something new is written: the new message sorts
    /// after it, and its replica count is reported from the start.
    async fn catch_up(&mut self) {
        while let Some(deadline) = self.catching_up {
            match tokio::time::timeout_at(deadline, self.incoming.recv()).await {
                Ok(Some(report)) => self.handle_report(report).await,
                _ => self.catching_up = None,
            }
        }
    }

    /// Prompts for a line.
    fn prompt(&mut self) {
        self.update_terminal();
        let text = self.prompt_text();
        self.output.prompt(text);
    }

    /// Updates the prompt, if one is shown.
    fn refresh_prompt(&mut self) {
        if self.output.is_prompting() {
            self.prompt();
        }
    }

    fn prompt_text(&self) -> String {
        let user = self.state.user.as_deref().unwrap_or_default();
        let text = match (&self.connection, &self.state.group) {
            (Connection::Lost(_), _) => format!("{user} (no server)"),
            (_, Some(group)) => format!("{user}@{group}"),
            (_, None) => user.to_owned(),
        };
        sanitised_line(&text)
    }

    fn show(&mut self, line: String) {
        self.output.show(line);
    }

    fn show_all(&mut self, lines: &[String]) {
        if !lines.is_empty() {
            self.output.show(lines.join("\n"));
        }
    }

    fn note(&mut self, text: &str) {
        self.show(self.style.note(text));
    }

    /// Reports that a command failed.
    fn report_failure(&mut self, text: &str) {
        self.has_failed = true;
        self.show(self.style.warning(text));
    }
}

/// Waits until this time; without one, for ever.
async fn sleep_until_some(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
