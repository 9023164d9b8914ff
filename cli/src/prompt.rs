//! The terminal: the line being typed, whatever is printed above it, and the status in between.
//!
//! Knows nothing of chats: it takes [`Order`]s and gives out what was typed. One thread has the
//! terminal (`typist`), one reads its keys. reedline does the editing (`line`); its own painting is
//! not used: it asks the terminal for its cursor, which may answer late or never, and it guesses the
//! rows of the line from its bytes. Here every row is laid out first (`area`), so that all of them
//! are known when something is printed above (`canvas`).

mod ahead;
mod area;
mod canvas;
mod line;
mod menu;
mod pages;
mod status;
mod suspend;
mod typist;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};

pub use self::status::Status;
use self::typist::Typist;
use crate::complete::Known;
use crate::pager::{Sheet, Turn};
use crate::paper::Block;
use crate::tty::Quiet;

/// How many orders may wait; whoever sends more waits for the terminal.
const ORDERS: usize = 1024;

/// How long the terminal may take to be given back.
const CLOSING: Duration = Duration::from_secs(2);

/// What the terminal is to do.
#[derive(Debug)]
pub enum Order {
    /// Print this above the line being typed.
    Show(Block),
    /// Print this, in place of the line that was typed last where nothing was printed after it.
    ShowTyped {
        /// Under which it can be amended.
        name: String,
        /// What is printed.
        block: Block,
    },
    /// Print `block` in place of what stands under `name`, or `otherwise` where something was
    /// printed after it.
    Amend {
        /// The name it was shown under.
        name: String,
        /// What takes its place.
        block: Block,
        /// What is said instead.
        otherwise: Block,
    },
    /// Ask for the next line, with this in front of it. Until then nothing can be typed.
    Prompt(String),
    /// What the row above the line tells from now on.
    Status(Status),
    /// What else words can become from now on.
    Know(Known),
    /// The file of the lines typed before, from now on.
    Recall(PathBuf),
    /// Print this a screenful at a time; the answer is what the reader wants.
    Page(Sheet, tokio::sync::oneshot::Sender<Turn>),
    /// Say what goes on while the reader waits for a page; the answer is whether to go on.
    Working(String, tokio::sync::oneshot::Sender<bool>),
    /// Empty the screen.
    Clear,
    /// Give the terminal back.
    Close,
}

/// What the person did.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Ended a line.
    Line(String),
    /// Ended these lines before they were asked for: all whose turn has not come. They follow as
    /// [`Typed::Line`], unless the keys turn out to be for somebody else.
    Ahead(Vec<String>),
    /// Ended a line that is no text: only where it comes out of a pipe.
    Unreadable,
    /// Wants to leave: Ctrl-D on an empty line, or Ctrl-C twice.
    Leave,
}

/// What comes to the terminal's thread.
#[derive(Debug)]
enum Happening {
    Order(Order),
    Key(crossterm::event::Event),
    /// Somebody wants the program to stop for a while.
    Suspend,
    /// It goes on after a stop.
    Continued,
    /// There is no terminal any more.
    Gone,
}

/// The other end of the terminal's thread.
#[derive(Debug)]
pub struct Terminal {
    happenings: SyncSender<Happening>,
    is_closing: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Terminal {
    /// Takes over the terminal. Nothing can be typed before the first [`Order::Prompt`]. A terminal
    /// without codes is one that only prints what it is sent.
    ///
    /// # Errors
    /// The terminal does not take the settings, or there can be no further thread.
    pub fn open(
        color: bool,
        has_codes: bool,
    ) -> io::Result<(Self, tokio::sync::mpsc::Receiver<Typed>)> {
        let quiet = Quiet::begin(has_codes)?;
        let (happenings, waiting) = mpsc::sync_channel(ORDERS);
        let (typed, lines) = tokio::sync::mpsc::channel(16);
        let is_closing = Arc::new(AtomicBool::new(false));
        let mut typist = Typist::new(
            quiet,
            waiting,
            typed,
            Arc::clone(&is_closing),
            color && has_codes,
            has_codes,
        );
        suspend::listen(&happenings);
        read_keys(happenings.clone())?;
        let thread = std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || {
                // The terminal is gone: whoever waits for a line learns it by the closed channel.
                let _ = typist.run();
            })?;
        Ok((
            Self {
                happenings,
                is_closing,
                thread: Some(thread),
            },
            lines,
        ))
    }

    /// Hands over an order; waits while too many are not yet carried out.
    pub fn order(&self, order: Order) {
        // An order that nobody takes any more has no terminal to be carried out on.
        let _ = self.happenings.send(Happening::Order(order));
    }
}

fn read_keys(happenings: SyncSender<Happening>) -> io::Result<()> {
    let read = move || {
        while let Ok(event) = crossterm::event::read() {
            if happenings.send(Happening::Key(event)).is_err() {
                return;
            }
        }
        // Nobody listens any more only when the program ends.
        let _ = happenings.send(Happening::Gone);
    };
    std::thread::Builder::new()
        .name("keys".into())
        .spawn(read)
        .map(drop)
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.is_closing.store(true, Ordering::Release);
        // A full queue wakes the thread as well.
        let _ = self.happenings.try_send(Happening::Order(Order::Close));
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A terminal that has gone away may hold its thread for ever; the program ends without it.
        let give_up = Instant::now() + CLOSING;
        while !thread.is_finished() && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
