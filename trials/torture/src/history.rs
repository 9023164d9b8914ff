//! What happened, in the order in which it was seen: kept in memory for the checkers and written, line
//! by line, to a file. Nothing in it is ever changed.

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
    /// A replica answered that it is done.
    Done,
    /// Every replica asked has answered that it is not.
    Refused,
    /// Nobody knows: it may have happened or not.
    Unknown,
}

/// A message as a frame carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// Its place.
    pub position: String,
    /// What it says.
    pub text: String,
    /// Who likes it.
    pub likers: Vec<String>,
    /// Whether nothing can come before it any more.
    pub settled: bool,
}

/// Something that a client, a nemesis or the conductor saw.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A part of the run begins.
    Phase {
        /// Which.
        name: String,
    },
    /// A fault begins.
    Fault {
        /// Its name.
        fault: &'static str,
        /// What is done to whom.
        what: String,
    },
    /// A fault is over.
    Over {
        /// Its name.
        fault: &'static str,
        /// Whether it was skipped because this machine cannot do it.
        skipped: Option<String>,
    },
    /// A replica lost all that came to it after a moment.
    Destroyed {
        /// Which.
        replica: u16,
        /// The moment, in this history's time.
        since_us: u64,
    },
    /// A post is sent.
    Tried {
        /// What names it: texts are unique.
        text: String,
        /// To whom.
        replica: u16,
    },
    /// A post was answered as done.
    Posted {
        /// Its text.
        text: String,
        /// By whom.
        replica: u16,
        /// Its id.
        id: String,
        /// Its place then.
        position: String,
    },
    /// How a post ended for its author, after all attempts.
    PostEnded {
        /// Its text.
        text: String,
        /// Its group.
        group: String,
        /// How.
        outcome: Outcome,
        /// The place above which it has to sort: what its author had read and written.
        after: Option<String>,
    },
    /// Somebody showed that a replica holds a message.
    Held {
        /// The message's id.
        id: String,
        /// Who holds it.
        replica: u16,
        /// Who said so.
        by: u16,
    },
    /// A like, or the taking back of one, a join or a leave.
    Standing {
        /// Whose.
        user: String,
        /// In which group.
        group: String,
        /// Of which message; none: the membership itself.
        message: Option<String>,
        /// Whether it is a like or a join.
        sets: bool,
        /// How it ended.
        outcome: Outcome,
        /// Whether every attempt but the last is known not to have happened.
        clean: bool,
        /// Events of one user and one chain follow each other by causality.
        chain: u64,
        /// Who answered last.
        replica: u16,
    },
    /// A page began with these messages, all of them settled.
    Settled {
        /// In which group.
        group: String,
        /// Which, in their order.
        ids: Vec<String>,
    },
    /// A reader begins, having been shown this.
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
    /// A reader is given a frame.
    Frame {
        /// Who.
        reader: String,
        /// Counts the reader's connections.
        connection: u64,
        /// From whom.
        replica: u16,
        /// Its name.
        event: String,
        /// The id of the message, or the name of the member.
        subject: String,
        /// Who likes or likes no more.
        by: Option<String>,
        /// The message as the frame carried it: nothing in those about members.
        object: Option<Object>,
    },
    /// A reader is at the end of all there is.
    ReaderEnded {
        /// Who.
        reader: String,
    },
    /// A promise was seen broken while it happened.
    Broken {
        /// Which promise.
        promise: &'static str,
        /// What was seen.
        what: String,
    },
    /// All replicas are equal again.
    Converged {
        /// How long after the last thing was healed.
        after_ms: u64,
    },
}

/// An event and its time.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Microseconds since the run began, by a clock that never jumps.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Where all that happens is written down.
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

    /// Writes an event down.
    pub fn record(&self, event: Event) {
        let mut guard = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = &mut *guard;
        // Taken inside, so that times never decrease from line to line.
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

    /// What was counted so far.
    pub fn tally(&self) -> Tally {
        self.with(|inside| inside.tally.clone())
    }

    /// Looks at all that happened so far.
    pub fn read<T>(&self, look: impl FnOnce(&[Entry]) -> T) -> T {
        self.with(|inside| look(&inside.entries))
    }

    /// Writes out what still waits in memory.
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
