//! The line being typed, and whatever is printed above it: reedline on a thread of its own.
//!
//! Knows nothing of chats: it takes [`Order`]s and gives out what was typed. reedline's own printer
//! for such messages guesses the rows of the line from its bytes, and erases or repeats rows when
//! the line has wide characters, accents or is wrapped. So the editor is left instead, with its
//! line and cursor; the rows that the line really takes are cleared, the messages printed, and a
//! fresh editor goes on where the former was.

mod draft;
mod front;
mod typist;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::time::{Duration, Instant};

use self::typist::Typist;
use crate::tty;

/// How many orders may wait; whoever sends more waits for the terminal.
const ORDERS: usize = 1024;

/// How long the terminal may take to be given back.
const CLOSING: Duration = Duration::from_secs(2);

/// What the terminal is to do.
pub enum Order {
    /// Print this above the line being typed.
    Show(String),
    /// Print this, in place of the line that was typed last where nothing was printed after it.
    ShowTyped {
        /// Under which it can be amended.
        name: String,
        /// What is printed.
        text: String,
    },
    /// Print `text` in place of what stands under `name`, or `otherwise` where something was
    /// printed after it.
    Amend {
        /// The name it was shown under.
        name: String,
        /// What takes its place.
        text: String,
        /// What is said instead.
        otherwise: String,
    },
    /// Ask for the next line, with this in front of it. Until then nothing can be typed.
    Prompt(String),
    /// Print this a screenful at a time; the answer is whether the reader wants more.
    Page(Vec<String>, tokio::sync::oneshot::Sender<bool>),
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
    /// Ended a line that is no text: only where it comes out of a pipe.
    Unreadable,
    /// Wants to leave: Ctrl-D on an empty line, or Ctrl-C twice.
    Leave,
}

/// The other end of the terminal's thread.
#[derive(Debug)]
pub struct Terminal {
    orders: SyncSender<Order>,
    wake: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Terminal {
    /// Takes over the terminal. Nothing can be typed before the first [`Order::Prompt`].
    ///
    /// # Errors
    /// The terminal does not take the settings, or there can be no further thread.
    pub fn open(color: bool) -> io::Result<(Self, tokio::sync::mpsc::Receiver<Typed>)> {
        let quiet = tty::Quiet::begin()?;
        let (orders, waiting) = mpsc::sync_channel(ORDERS);
        let (typed, lines) = tokio::sync::mpsc::channel(16);
        let wake = Arc::new(AtomicBool::new(false));
        let mut typist = Typist::new(quiet, waiting, typed, Arc::clone(&wake), color);
        let thread = std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || {
                // The terminal is gone: whoever waits for a line learns it by the closed channel.
                let _ = typist.run();
            })?;
        Ok((
            Self {
                orders,
                wake,
                thread: Some(thread),
            },
            lines,
        ))
    }

    /// Hands over an order; waits while too many are not yet carried out.
    pub fn order(&self, order: Order) {
        self.wake.store(true, Ordering::Release);
        // An order that nobody takes any more has no terminal to be carried out on.
        let _ = self.orders.send(order);
        self.wake.store(true, Ordering::Release);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.wake.store(true, Ordering::Release);
        let _ = self.orders.try_send(Order::Close);
        self.wake.store(true, Ordering::Release);
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
