//! Type-ahead: predicts the lines that buffered keys will form.
//!
//! The keys stay buffered for whoever reads them next, the line editor or the pager. Here they are
//! applied to a second line editor, so that lines entered early can be saved early.

use std::collections::VecDeque;

use crossterm::event::Event;

use super::line::{Act, Line};
use crate::complete::Known;
use crate::recall::Recall;

pub(super) struct Ahead {
    line: Line,
    lines: VecDeque<String>,
    /// No key has been applied yet.
    is_fresh: bool,
    /// A key asked to leave; later keys are ignored.
    has_left: bool,
    /// Whether `lines` has been reported.
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

    /// Applies a key that is buffered for `line`. Returns the line that it enters.
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

    /// The line editor has entered this line. Returns whether it was predicted.
    pub(super) fn taken(&mut self, line: &str) -> bool {
        self.lines.pop_front().is_some_and(|ahead| ahead == line)
    }

    /// The keys were for something else, or none are left.
    pub(super) fn forget(&mut self) {
        self.line.take();
        self.lines.clear();
        self.is_fresh = true;
        self.has_left = false;
        self.is_told = true;
    }

    /// All predicted lines, if they have changed since the last report.
    pub(super) fn news(&self) -> Option<Vec<String>> {
        (!self.is_told).then(|| self.lines.iter().cloned().collect())
    }

    pub(super) fn told(&mut self) {
        self.is_told = true;
    }

    /// Whether nothing is predicted.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh
    }
}
