//! Type-ahead: predicts the lines that buffered keys will form.
//!
//! The keys stay buffered for whoever reads them next, the line editor or the pager. Here they are
//! applied to a second line editor, so that lines entered early can be saved early.

use std::collections::VecDeque;

use crossterm::event::Event;

use super::line::{KeyAction, LineEditor};
use crate::complete::Vocabulary;
use crate::recall::Recall;

pub(super) struct Prediction {
    line: LineEditor,
    lines: VecDeque<String>,
    /// No key has been applied yet.
    is_fresh: bool,
    /// A key asked to leave; later keys are ignored.
    has_left: bool,
    /// Whether `lines` has been reported.
    is_reported: bool,
}

impl Prediction {
    pub(super) fn new() -> Self {
        Self {
            line: LineEditor::new(Recall::default()),
            lines: VecDeque::new(),
            is_fresh: true,
            has_left: false,
            is_reported: true,
        }
    }

    /// Applies a key that is buffered for `line`. Returns the line that it enters.
    pub(super) fn press(
        &mut self,
        event: Event,
        line: &LineEditor,
        vocabulary: &Vocabulary,
    ) -> Option<&str> {
        if self.has_left {
            return None;
        }
        if std::mem::take(&mut self.is_fresh) {
            self.line.use_recall(line.recall().without_file());
        }
        match self.line.press(event, vocabulary) {
            KeyAction::Submit(ended) => {
                self.lines.push_back(ended);
                self.is_reported = false;
                return self.lines.back().map(String::as_str);
            }
            KeyAction::Interrupt => drop(self.line.take()),
            KeyAction::Leave => self.has_left = true,
            KeyAction::Edit | KeyAction::Suspend | KeyAction::Clear => {}
        }
        None
    }

    /// The line editor has entered this line. Returns whether it was predicted.
    pub(super) fn entered(&mut self, line: &str) -> bool {
        self.lines
            .pop_front()
            .is_some_and(|predicted| predicted == line)
    }

    /// The keys were for something else, or none are left.
    pub(super) fn forget(&mut self) {
        self.line.take();
        self.lines.clear();
        self.is_fresh = true;
        self.has_left = false;
        self.is_reported = true;
    }

    /// All predicted lines, if they have changed since the last report.
    pub(super) fn unreported(&self) -> Option<Vec<String>> {
        (!self.is_reported).then(|| self.lines.iter().cloned().collect())
    }

    pub(super) fn reported(&mut self) {
        self.is_reported = true;
    }

    /// Whether nothing is predicted.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh
    }
}
