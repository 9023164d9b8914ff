//! Pure: the choices below the line, and which of them is chosen.

use crate::complete::{Choice, Vocabulary, choices};

/// The completions of a word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Menu {
    /// The offset of the word to replace.
    pub(super) begin: usize,
    choices: Vec<Choice>,
    shown: Vec<String>,
    chosen: usize,
}

impl Menu {
    /// The menu for the word before the cursor; `None` without choices.
    pub(super) fn open(vocabulary: &Vocabulary, before_cursor: &str) -> Option<Self> {
        let (begin, choices) = choices(vocabulary, before_cursor);
        if choices.is_empty() {
            return None;
        }
        let shown = choices.iter().map(|choice| choice.shown.clone()).collect();
        Some(Self {
            begin,
            choices,
            shown,
            chosen: 0,
        })
    }

    /// The replacement of the word.
    pub(super) fn word(&self) -> &str {
        &self.choices[self.chosen].word
    }

    pub(super) fn is_single(&self) -> bool {
        self.choices.len() == 1
    }

    pub(super) fn next(&mut self) {
        self.chosen = (self.chosen + 1) % self.choices.len();
    }

    pub(super) fn previous(&mut self) {
        self.chosen = (self.chosen + self.choices.len() - 1) % self.choices.len();
    }

    pub(super) fn shown(&self) -> (&[String], usize) {
        (&self.shown, self.chosen)
    }
}
