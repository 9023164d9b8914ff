//! The loop: what is typed and what the server tells, one after the other.
//!
//! Holds the state and the connection together; each command is a few lines that call, note and
//! show. Its parts: `connection` (which server), `loss` (a server that is lost), `login` (who one
//! is), `group` (which group, and its history), `post` (what is written), `unsent` (the outbox),
//! `hear` (frames), `own` (messages on the screen), `needs` (what a command needs).

mod connection;
mod group;
mod hear;
mod known;
mod login;
mod loss;
mod needs;
mod own;
mod post;
mod reading;
mod unsent;

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use crate::address::Place;
use crate::backoff::Backoff;
use crate::client::{Client, Http};
use crate::feed::{News, Task};
use crate::input::{self, Input};
use crate::outbox::{Keeping, Outbox};
use crate::output::Output;
use crate::prompt::Typed;
use crate::screen::Look;
use crate::state::State;
use crate::text::harmless_line;
use crate::wire::Message;

/// How often what waits is looked after.
const TICK: Duration = Duration::from_secs(1);
/// How long a program that ends waits for its last messages to be answered, where nobody sits before
/// it.
const LAST_CHANCE: Duration = Duration::from_secs(10);
/// The same where somebody waits for it to end.
const LAST_CHANCE_SEEN: Duration = Duration::from_secs(2);
/// Frames that may wait while a command runs; then the stream waits, and at last its server.
const NEWS: usize = 256;

/// Which server is used.
#[derive(Debug)]
enum Link {
    /// None yet.
    None,
    /// One that answers.
    Connected(Client),
    /// One that answers, and the name is logged in there.
    LoggedIn(Client),
    /// One that answers, but no longer takes the login.
    Expired(Client),
    /// It does not answer; its address.
    Lost(String),
}

/// Where a conversation begins.
#[derive(Debug)]
pub struct Start {
    /// The server.
    pub place: Place,
    /// The name to log in under.
    pub user: Option<String>,
    /// The group to go to.
    pub group: Option<String>,
}

/// What lasts, and the person knows already.
#[derive(Debug, Default)]
struct Told {
    /// That no server answers.
    no_server: bool,
    /// That something waits to be sent.
    waiting: bool,
}

/// A conversation: state, connection, and where it is shown.
pub struct Chat {
    state: State,
    look: Look,
    output: Output,
    http: Http,
    link: Link,
    failover: bool,
    outbox: Outbox,
    /// The keys of the messages whose lines were typed in this run.
    written_here: HashSet<String>,
    /// Where outboxes are kept.
    keeping: Keeping,
    /// Why nothing can be kept, and so nothing be sent.
    outbox_fault: Option<String>,
    /// Groups whose next message is not tried again before then.
    waits: Vec<(String, Instant)>,
    /// Counts connections, so that news of a former one is known as such.
    connection: u64,
    tasks: Vec<Task>,
    news: Sender<News>,
    heard: Receiver<News>,
    /// Until when the stream is given time to show what was missed.
    catching_up: Option<Instant>,
    /// An own like that was shown when it was answered, and is still to come in the stream.
    own_like: Option<(String, bool)>,
    /// The own message that was shown last.
    last_own: Option<Message>,
    /// When the present server, or the last one, was found.
    connected_at: Option<Instant>,
    /// When servers are tried again.
    try_again_at: Option<Instant>,
    backoff: Backoff,
    /// When a login was last made anew.
    renewed: Option<Instant>,
    told: Told,
    /// Where the history was left.
    reading: Option<reading::Place>,
    heard_of: known::Heard,
    has_failed: bool,
}

impl Chat {
    /// A conversation with nobody yet.
    pub fn new(look: Look, output: Output, http: Http, keeping: Keeping, failover: bool) -> Self {
        let (news, heard) = channel(NEWS);
        Self {
            state: State::default(),
            look,
            output,
            http,
            link: Link::None,
            failover,
            outbox: Outbox::default(),
            written_here: HashSet::new(),
            keeping,
            outbox_fault: None,
            waits: Vec::new(),
            connection: 0,
            tasks: Vec::new(),
            news,
            heard,
            catching_up: None,
            own_like: None,
            last_own: None,
            connected_at: None,
            try_again_at: None,
            backoff: Backoff::default(),
            renewed: None,
            told: Told::default(),
            reading: None,
            heard_of: known::Heard::default(),
            has_failed: false,
        }
    }

    /// The first words, for a person.
    pub fn greet(&mut self) {
        if self.output.is_terminal() {
            self.note("Causeway. h shows the commands, q leaves");
        }
    }

    /// Carries out what the command line asked for, then what is typed, until the person leaves.
    /// Returns whether all went well; a person has seen what did not.
    pub async fn run(mut self, start: Start, mut typed: Receiver<Typed>) -> bool {
        self.start(start).await;
        self.ask();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.output.is_closed() {
            self.tell_terminal();
            tokio::select! {
                Some(news) = self.heard.recv() => self.hear(news).await,
                line = typed.recv() => match line {
                    Some(Typed::Line(line)) if self.take(&line).await => {}
                    Some(Typed::Unreadable) => self.complain(
                        "Not sent: this line is not UTF-8; convert the input first, as in: iconv -f latin1 -t utf-8",
                    ),
                    _ => break,
                },
                () = sleep_until_some(self.try_again_at) => self.tend_link().await,
                _ = tick.tick() => self.tend().await,
            }
        }
        self.say_good_bye().await;
        !self.has_failed || self.output.is_terminal()
    }

    /// Takes a typed line. Returns false when it asked to leave.
    async fn take(&mut self, line: &str) -> bool {
        self.output.line_taken();
        match input::parse(line) {
            Ok(Input::Quit) => return false,
            Ok(input) => self.obey(input).await,
            Err(mistake) => self.complain(&mistake.to_string()),
        }
        self.ask();
        true
    }

    async fn obey(&mut self, input: Input) {
        match input {
            Input::Connect(place) => self.connect(place).await,
            Input::User(name) => self.log_in(&name).await,
            Input::Join(group) => self.join(&group).await,
            Input::Leave(group) => self.leave(group).await,
            Input::Send(text) => self.send(text).await,
            Input::Like(number) => self.like(number, true).await,
            Input::Unlike(number) => self.like(number, false).await,
            Input::History => self.history().await,
            Input::Show(number) => self.show_whole(number).await,
            Input::Outbox(asked) => self.outbox(asked).await,
            Input::View => self.show_view().await,
            Input::Help(None) => self.show_all(&self.look.help()),
            Input::Help(Some(command)) => self.show_all(&self.look.help_for(command)),
            Input::Clear => self.output.clear(),
            Input::Quit | Input::Nothing => {}
        }
        self.tend_link().await;
    }

    /// What is due now and then: the next server, messages that wait, news of own messages.
    async fn tend(&mut self) {
        self.tend_link().await;
        self.show_all_stored();
    }

    /// Logs in anew where the login has ended, goes to another server where the present one is lost,
    /// and sends what waits: until nothing of it changes anything.
    pub(super) async fn tend_link(&mut self) {
        for _ in 0..3 {
            if matches!(self.link, Link::Expired(_)) {
                self.renew_login().await;
            }
            if matches!(self.link, Link::Lost(_)) {
                self.fail_over().await;
            }
            if matches!(self.link, Link::LoggedIn(_)) {
                self.send_what_waits().await;
            }
            if !matches!(self.link, Link::Lost(_) | Link::Expired(_)) {
                return;
            }
        }
    }

    /// Hears what the stream has to tell before something new is written: what is written then
    /// stands after it, and the stream tells from the first how many servers hold it.
    async fn catch_up(&mut self) {
        while let Some(deadline) = self.catching_up {
            match tokio::time::timeout_at(deadline, self.heard.recv()).await {
                Ok(Some(news)) => self.hear(news).await,
                _ => self.catching_up = None,
            }
        }
    }

    async fn say_good_bye(&mut self) {
        let deadline = Instant::now()
            + if self.output.is_terminal() {
                LAST_CHANCE_SEEN
            } else {
                LAST_CHANCE
            };
        while self.unsent_here() > 0 && Instant::now() < deadline {
            tokio::select! {
                Some(news) = self.heard.recv() => self.hear(news).await,
                () = tokio::time::sleep(TICK / 4) => self.tend_link().await,
            }
        }
        while let Ok(news) = self.heard.try_recv() {
            self.hear(news).await;
        }
        let unsent = self.unsent_here();
        if unsent > 0 {
            let kept = match &self.state.user {
                Some(user) if self.keeps() => {
                    format!("; kept, and sent when causeway runs again as {user}")
                }
                _ => " and not kept: no server answered".to_owned(),
            };
            self.complain(&format!("{unsent} not sent{kept}"));
        }
        self.tasks.clear();
        if let Link::LoggedIn(client) = &self.link {
            // Whether the server hears it or not, the program ends.
            let _ = tokio::time::timeout(TICK, client.log_out()).await;
        }
    }

    /// How many messages for this cluster are not sent.
    fn unsent_here(&self) -> usize {
        self.outbox.len_for(self.state.cluster.as_deref())
    }

    /// Asks for a line.
    fn ask(&mut self) {
        self.tell_terminal();
        let front = self.front();
        self.output.prompt(front);
    }

    /// What is written in front of the line has changed, perhaps while it is being typed.
    fn ask_again(&mut self) {
        if self.output.is_asking() {
            self.ask();
        }
    }

    fn front(&self) -> String {
        let user = self.state.user.as_deref().unwrap_or_default();
        let front = match (&self.link, &self.state.group) {
            (Link::Lost(_), _) => format!("{user} (no server)"),
            (_, Some(group)) => format!("{user}@{group}"),
            (_, None) => user.to_owned(),
        };
        harmless_line(&front)
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
        self.show(self.look.note(text));
    }

    /// Something asked for did not come about.
    fn complain(&mut self, text: &str) {
        self.has_failed = true;
        self.show(self.look.warning(text));
    }
}

/// Waits until then, or for ever.
async fn sleep_until_some(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
