//! The lines that keys will make which are pressed while no line is asked for.
//!
//! The keys stay where they are, for whoever asks for them: the next line, or the reader of a long
//! text. Here they are pressed on a line beside, so that what is ended early can be kept early.

use std::collections::VecDeque;

use crossterm::event::Event;

use super::line::{Act, Line};
use crate::complete::Known;
use crate::recall::Recall;

pub(super) struct Ahead {
    line: Line,
    lines: VecDeque<String>,
    /// No key was pressed on the line yet.
    is_fresh: bool,
    /// What is pressed now comes after the end.
    has_left: bool,
    /// Whether all of the lines were told.
    is_told: bool,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self {
            line: Line::new(Recall::default()),
            lines: VecDeque::new(),
            is_fresh: true,
            has_left: false,
            is_told: true,
        }
    }

    /// Takes in a key that waits for `line`. Returns the line that it ends.
    pub(super) fn press(&mut self, event: Event, line: &Line, known: &Known) -> Option<&str> {
        if self.has_left {
            return None;
        }
        if std::mem::take(&mut self.is_fresh) {
            self.line.use_recall(line.recall().without_file());
        }
        match self.line.press(event, known) {
            Act::Submit(ended) => {
                self.lines.push_back(ended);
                self.is_told = false;
                return self.lines.back().map(String::as_str);
            }
            Act::Interrupt => drop(self.line.take()),
            Act::Leave => self.has_left = true,
            Act::Edit | Act::Suspend | Act::Clear => {}
        }
        None
    }

    /// This line was taken. Returns whether it was foreseen.
    pub(super) fn taken(&mut self, line: &str) -> bool {
        self.lines.pop_front().is_some_and(|ahead| ahead == line)
    }

    /// The keys were for somebody else, or there are none any more.
    pub(super) fn forget(&mut self) {
        self.line.take();
        self.lines.clear();
        self.is_fresh = true;
        self.has_left = false;
        self.is_told = true;
    }

    /// All lines, where that is news.
    pub(super) fn news(&self) -> Option<Vec<String>> {
        (!self.is_told).then(|| self.lines.iter().cloned().collect())
    }

    pub(super) fn told(&mut self) {
        self.is_told = true;
    }

    /// Whether nothing is foreseen.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh
    }
}
