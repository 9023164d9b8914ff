//! The loop: what is typed and what the server tells, one after the other.
//!
//! Holds the state and the connection together; each command is a few lines that call, note and
//! show. Its parts: `connection` (which server), `loss` (a server that is lost), `login` (who one
//! is), `group` (which group, and its history), `post` (what is written), `unsent` (the outbox),
//! `ahead` (lines ended early), `hear` (frames), `own` (messages on the screen), `needs` (what a
//! command needs), `good_bye` (the end).

mod ahead;
mod connection;
mod good_bye;
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

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use causeway_client::{Client, Http, Message};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

use self::ahead::Ahead;
use crate::address::Place;
use crate::backoff::Backoff;
use crate::feed::{News, Task};
use crate::input::{self, Input};
use crate::outbox::{Keeping, Outbox};
use crate::output::Output;
use crate::prompt::Typed;
use crate::screen::Look;
use crate::state::State;
use crate::text::harmless_line;

/// How often what waits is looked after.
const TICK: Duration = Duration::from_secs(1);
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

/// What is done next.
enum Work {
    Start(Start),
    News(News),
    /// What was typed, and the key of the message that is kept for it.
    Typed(Typed, Option<String>),
    /// It is time to try a server.
    Link,
    Tick,
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
    /// Lines that are ended early are kept in it while a command has the rest.
    outbox: Rc<RefCell<Outbox>>,
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
            outbox: Rc::default(),
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
        let mut ahead = Ahead::new(&self.outbox);
        self.work(&mut ahead, &mut typed, Work::Start(start)).await;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.output.is_closed() {
            self.tell_terminal();
            let work = if let Some((typed, kept)) = ahead.next() {
                Work::Typed(typed, kept)
            } else {
                tokio::select! {
                    Some(news) = self.heard.recv() => Work::News(news),
                    typed = typed.recv() => match typed {
                        Some(typed) => {
                            ahead.take_in(typed);
                            continue;
                        }
                        None => break,
                    },
                    () = sleep_until_some(self.try_again_at) => Work::Link,
                    _ = tick.tick() => Work::Tick,
                }
            };
            if !self.work(&mut ahead, &mut typed, work).await {
                break;
            }
        }
        self.outbox.borrow_mut().end_turns();
        self.say_good_bye().await;
        !self.has_failed || self.output.is_terminal()
    }

    /// Does something; what a person types meanwhile is kept. Returns false when it is time to leave.
    async fn work(&mut self, ahead: &mut Ahead, typed: &mut Receiver<Typed>, work: Work) -> bool {
        let line = match &work {
            Work::Typed(Typed::Line(line), _) => Some(line.as_str()),
            _ => None,
        };
        ahead.expect(self.pattern(line));
        if self.output.is_terminal() {
            ahead.during(typed, self.carry_out(work)).await
        } else {
            // Whoever writes into a pipe waits until the line before is carried out.
            self.carry_out(work).await
        }
    }

    async fn carry_out(&mut self, work: Work) -> bool {
        match work {
            Work::Start(start) => {
                self.start(start).await;
                self.ask();
            }
            Work::News(news) => self.hear(news).await,
            Work::Typed(Typed::Line(line), kept) => return self.take(&line, kept).await,
            Work::Typed(Typed::Unreadable, _) => self.complain(
                "Not sent: this line is not UTF-8; convert the input first, as in: iconv -f latin1 -t utf-8",
            ),
            Work::Typed(Typed::Leave, _) => return false,
            // Taken in by `Ahead`.
            Work::Typed(Typed::Ahead(_), _) => {}
            Work::Link => self.tend_link().await,
            Work::Tick => self.tend().await,
        }
        true
    }

    /// Takes a typed line; its message may be kept already. Returns false when it asked to leave.
    async fn take(&mut self, line: &str, kept: Option<String>) -> bool {
        self.output.line_taken();
        match input::parse(line) {
            Ok(Input::Quit) => return false,
            Ok(input) => self.obey(input, kept).await,
            Err(mistake) => self.complain(&mistake.to_string()),
        }
        self.ask();
        true
    }

    async fn obey(&mut self, input: Input, kept: Option<String>) {
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
