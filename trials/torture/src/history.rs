//! The append-only history of a run, in the order of observation: kept in memory for the checkers
//! and written to a file, one line per event.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::tally::Tally;

/// How a write ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A replica acknowledged it.
    Done,
    /// Every replica that was asked refused it.
    Refused,
    /// It may or may not have happened.
    Unknown,
}

/// A message as a frame carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// Its position.
    pub position: String,
    /// Its text.
    pub text: String,
    /// The names of users who like it.
    pub likers: Vec<String>,
    /// Whether it is settled.
    pub settled: bool,
}

/// An observation of a client, the nemesis or the conductor.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A phase of the run begins.
    Phase {
        /// Its name.
        name: String,
    },
    /// A fault begins.
    Fault {
        /// Its name.
        fault: &'static str,
        /// What it affects.
        what: String,
    },
    /// A fault is over.
    Over {
        /// Its name.
        fault: &'static str,
        /// The reason why it was skipped, if this machine cannot inject it.
        skipped: Option<String>,
    },
    /// A replica lost everything that it stored after a moment.
    Destroyed {
        /// Which.
        replica: u16,
        /// The moment, in this history's time.
        since_us: u64,
    },
    /// A post is sent.
    Tried {
        /// Its text, which is unique.
        text: String,
        /// The replica it was sent to.
        replica: u16,
    },
    /// A post was acknowledged.
    Posted {
        /// Its text.
        text: String,
        /// The replica that acknowledged it.
        replica: u16,
        /// Its id.
        id: String,
        /// Its position in the answer.
        position: String,
    },
    /// How a post ended for its author, after all attempts.
    PostEnded {
        /// Its text.
        text: String,
        /// Its group.
        group: String,
        /// The outcome.
        outcome: Outcome,
        /// The position above which it must sort: the highest that its author had read or written.
        after: Option<String>,
    },
    /// A page showed that a replica holds a message.
    Held {
        /// The message's id.
        id: String,
        /// The holder.
        replica: u16,
        /// The replica that served the page.
        by: u16,
    },
    /// A like, an unlike, a join or a leave.
    Standing {
        /// The user.
        user: String,
        /// In which group.
        group: String,
        /// The message; `None` for a membership.
        message: Option<String>,
        /// Whether it is a like or a join.
        sets: bool,
        /// How it ended.
        outcome: Outcome,
        /// Whether every attempt but the last is known to have had no effect.
        clean: bool,
        /// Events of one user with the same chain number are causally ordered.
        chain: u64,
        /// The replica that answered last.
        replica: u16,
    },
    /// A page began with these messages, all of them settled.
    Settled {
        /// In which group.
        group: String,
        /// The ids, in order.
        ids: Vec<String>,
    },
    /// A reader begins with this snapshot.
    ReaderBegan {
        /// Who.
        reader: String,
        /// Of which group.
        group: String,
        /// Ids of the messages.
        messages: Vec<String>,
        /// Names of the members.
        members: Vec<String>,
    },
    /// A reader receives a frame.
    Frame {
        /// Who.
        reader: String,
        /// The number of the reader's connection.
        connection: u64,
        /// The replica that sent it.
        replica: u16,
        /// Its name.
        event: String,
        /// The id of the message, or the name of the member.
        subject: String,
        /// The user of a like or unlike.
        by: Option<String>,
        /// The message in the frame; `None` in frames about members.
        object: Option<Object>,
    },
    /// A reader has caught up for the last time.
    ReaderEnded {
        /// Who.
        reader: String,
    },
    /// A violation of a guarantee was observed during the run.
    Broken {
        /// The guarantee.
        promise: &'static str,
        /// The observation.
        what: String,
    },
    /// All replicas are equal again.
    Converged {
        /// The time since the end of all faults.
        after_ms: u64,
    },
}

/// An event and its time.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Microseconds since the start of the run, by a monotonic clock.
    pub at_us: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// The history of a run.
#[derive(Debug)]
pub struct History {
    begun: Instant,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    entries: Vec<Entry>,
    tally: Tally,
    file: BufWriter<File>,
}

impl History {
    /// Begins a history in a new file.
    pub fn begin(file: &Path) -> std::io::Result<Self> {
        Ok(Self {
            begun: Instant::now(),
            inside: Mutex::new(Inside {
                entries: Vec::new(),
                tally: Tally::default(),
                file: BufWriter::new(File::create(file)?),
            }),
        })
    }

    /// The time now.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Records an event.
    pub fn record(&self, event: Event) {
        let mut guard = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = &mut *guard;
        // Taken under the lock, so that times never decrease from line to line.
        let entry = Entry {
            at_us: self.now_us(),
            event,
        };
        inside.tally.count(&entry.event);
        let written = serde_json::to_writer(&mut inside.file, &entry)
            .map_err(std::io::Error::from)
            .and_then(|()| inside.file.write_all(b"\n"));
        if let Err(failure) = written {
            eprintln!("the history cannot be written: {failure}");
        }
        inside.entries.push(entry);
    }

    /// The counts so far.
    pub fn tally(&self) -> Tally {
        self.with(|inside| inside.tally.clone())
    }

    /// Passes all entries so far to `look`.
    pub fn read<T>(&self, look: impl FnOnce(&[Entry]) -> T) -> T {
        self.with(|inside| look(&inside.entries))
    }

    /// Flushes the file.
    pub fn flush(&self) {
        if let Err(failure) = self.with(|inside| inside.file.flush()) {
            eprintln!("the history cannot be written: {failure}");
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        look(&mut inside)
    }
}
