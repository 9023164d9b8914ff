//! The terminal: the line editor, the output above it, and the status row between them.
//!
//! Knows nothing of chats: it carries out [`Request`]s and reports what was typed. One thread owns
//! the terminal (`thread`), another reads its keys. reedline does the editing (`line`) but not the
//! painting: it asks the terminal for its cursor, which may answer late or never, and it estimates
//! rows from byte counts. Here every row is laid out first (`area`), so that the screen is known
//! when something is printed above the line (`canvas`).

mod area;
mod canvas;
mod line;
mod menu;
mod pages;
mod prediction;
mod status;
mod suspend;
mod thread;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};

pub use self::status::Status;
use self::thread::TerminalThread;
use crate::complete::Vocabulary;
use crate::pager::{PagerExit, Section};
use crate::scrollback::Block;
use crate::tty::TerminalMode;

/// Capacity of the request queue; senders block while it is full.
const REQUESTS: usize = 1024;

/// How long closing waits for the terminal's thread.
const CLOSING: Duration = Duration::from_secs(2);

/// A request to the terminal.
#[derive(Debug)]
pub enum Request {
    /// Print this above the line editor.
    Show(Block),
    /// Print this in place of the line entered last, unless something was printed after it.
    ShowTyped {
        /// The name by which it can be amended.
        name: String,
        /// The text.
        block: Block,
    },
    /// Replace the block called `name` by `block`, or print `otherwise` if something was printed
    /// after it.
    Amend {
        /// The block's name.
        name: String,
        /// The new text.
        block: Block,
        /// The text to print if the block cannot be replaced.
        otherwise: Block,
    },
    /// Prompt for the next line. Until then keys are buffered.
    Prompt(String),
    /// Set the status row.
    Status(Status),
    /// Add words to complete.
    AddWords(Vocabulary),
    /// Recall lines from this file, and save them there.
    Recall(PathBuf),
    /// Page through this text; the answer is what the reader wants next.
    Page(Section, tokio::sync::oneshot::Sender<PagerExit>),
    /// Show progress while a page is loaded; the answer is whether to go on.
    Progress(String, tokio::sync::oneshot::Sender<bool>),
    /// Clear the screen.
    Clear,
    /// Restore the terminal and stop.
    Close,
}

/// What the user typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// A line.
    Line(String),
    /// All lines entered before a prompt and still buffered. Each follows as [`Typed::Line`],
    /// unless its keys turn out to be for something else.
    Early(Vec<String>),
    /// A line from a pipe that is not UTF-8.
    NotUtf8,
    /// The request to leave: Ctrl-D on an empty line, or Ctrl-C twice.
    Leave,
}

/// What the terminal's thread receives.
#[derive(Debug)]
enum TerminalEvent {
    Request(Request),
    Key(crossterm::event::Event),
    /// SIGTSTP was received.
    Suspend,
    /// SIGCONT was received.
    Continued,
    /// The terminal is gone.
    Gone,
}

/// A handle to the terminal's thread.
#[derive(Debug)]
pub struct Terminal {
    events: SyncSender<TerminalEvent>,
    is_closing: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Terminal {
    /// Takes over the terminal. Nothing can be typed before the first [`Request::Prompt`]. Without
    /// `has_codes`, no escape codes are written.
    ///
    /// # Errors
    /// The terminal rejects the settings, or no thread can be started.
    pub fn open(
        color: bool,
        has_codes: bool,
    ) -> io::Result<(Self, tokio::sync::mpsc::Receiver<Typed>)> {
        let mode = TerminalMode::enter(has_codes)?;
        let (events, waiting) = mpsc::sync_channel(REQUESTS);
        let (typed, lines) = tokio::sync::mpsc::channel(16);
        let is_closing = Arc::new(AtomicBool::new(false));
        let mut state = TerminalThread::new(
            mode,
            waiting,
            typed,
            Arc::clone(&is_closing),
            color && has_codes,
            has_codes,
        );
        suspend::listen(&events);
        read_keys(events.clone())?;
        let thread = std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || {
                // If the terminal is gone, the receiver learns it from the closed channel.
                let _ = state.run();
            })?;
        Ok((
            Self {
                events,
                is_closing,
                thread: Some(thread),
            },
            lines,
        ))
    }

    /// Sends a request; blocks while the queue is full.
    pub fn request(&self, request: Request) {
        // If the thread has ended, there is no terminal to carry it out on.
        let _ = self.events.send(TerminalEvent::Request(request));
    }
}

fn read_keys(events: SyncSender<TerminalEvent>) -> io::Result<()> {
    let read = move || {
        while let Ok(event) = crossterm::event::read() {
            if events.send(TerminalEvent::Key(event)).is_err() {
                return;
            }
        }
        // The receiver is gone only while the program exits.
        let _ = events.send(TerminalEvent::Gone);
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
        let _ = self.events.try_send(TerminalEvent::Request(Request::Close));
        let Some(thread) = self.thread.take() else {
            return;
        };
        // The thread of a terminal that is gone may hang for ever; the program exits without it.
        let give_up = Instant::now() + CLOSING;
        while !thread.is_finished() && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
