//! Standard output: an object of the API on each line, or lines for people and simple scripts.

use std::io::{self, BufWriter, Write as _};

use causeway_client::Message;
use serde::Serialize;

use super::Failure;
use crate::text::{sanitised, sanitised_line};

/// Prints to standard output.
pub struct Printer {
    json: bool,
    out: BufWriter<io::Stdout>,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            out: BufWriter::with_capacity(64 << 10, io::stdout()),
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an object as JSON, or a line in its place.
    pub(super) fn object_or(
        &mut self,
        object: &impl Serialize,
        line: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let line = if self.json {
            serde_json::to_string(object).expect("objects of the API are JSON")
        } else {
            line()
        };
        self.line(&line)
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.out
            .write_all(line.as_bytes())
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(|error| unwritable(&error))
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out
            .write_all(bytes)
            .map_err(|error| unwritable(&error))?;
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| unwritable(&error))
    }
}

fn unwritable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::OutputClosed
    } else {
        Failure::Error(format!("the output cannot be written: {error}"))
    }
}

/// A message as a line: time, author, text. Continuation lines are indented, so that none of them
/// can imitate a message.
pub(super) fn message_line(message: &Message) -> String {
    let time = message.received_at.as_deref().unwrap_or("-");
    let author = sanitised_line(&message.author.name);
    let text = sanitised(&message.text).replace('\n', "\n    | ");
    format!("{} {author}: {text}", sanitised_line(time))
}
