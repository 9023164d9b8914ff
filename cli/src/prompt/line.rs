//! The line editor: keys become edits, or something to do.
//!
//! The edits are reedline's; the painting is not, because reedline asks the terminal for its cursor
//! and estimates rows. `area` lays out the line.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use reedline::{EditCommand, EditMode as _, Emacs, Reedline, ReedlineEvent, ReedlineRawEvent};

use super::menu::Menu;
use crate::complete::Vocabulary;
use crate::recall::Recall;

/// What a key leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyAction {
    /// Only a change of the line.
    Edit,
    /// The line was entered.
    Submit(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D on an empty line.
    Leave,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-L.
    Clear,
}

pub(super) struct LineEditor {
    editor: Reedline,
    keys: Emacs,
    menu: Option<Menu>,
    recall: Recall,
    /// Set while earlier lines are recalled.
    browsing: Option<Browsing>,
}

/// A position among the recalled lines.
struct Browsing {
    /// The prefix that recalled lines must have.
    prefix: String,
    at: usize,
    /// The text before the first recall.
    draft: String,
}

impl LineEditor {
    pub(super) fn new(recall: Recall) -> Self {
        Self {
            editor: Reedline::create(),
            keys: Emacs::new(keys()),
            menu: None,
            recall,
            browsing: None,
        }
    }

    pub(super) fn text(&self) -> &str {
        self.editor.current_buffer_contents()
    }

    pub(super) fn cursor(&self) -> usize {
        self.editor.current_insertion_point()
    }

    pub(super) fn menu(&self) -> Option<&Menu> {
        self.menu.as_ref()
    }

    /// Switches to the recalled lines of another user.
    pub(super) fn use_recall(&mut self, mut recall: Recall) {
        recall.take_early(&self.recall);
        self.recall = recall;
        self.browsing = None;
    }

    pub(super) fn recall(&self) -> &Recall {
        &self.recall
    }

    /// Saves a line that is entered but not processed yet.
    pub(super) fn save_early(&mut self, line: &str) {
        self.recall.save_early(line);
    }

    /// Takes the text, and adds it to the recalled lines.
    pub(super) fn take(&mut self) -> String {
        let text = self.text().to_owned();
        self.edit(EditCommand::Clear);
        self.menu = None;
        self.browsing = None;
        self.recall.add(&text);
        text
    }

    /// Replaces the text.
    fn put(&mut self, text: String) {
        self.editor
            .run_edit_commands(&[EditCommand::Clear, EditCommand::InsertString(text)]);
        self.menu = None;
    }

    pub(super) fn press(&mut self, event: Event, vocabulary: &Vocabulary) -> KeyAction {
        if let Event::Key(key) = &event {
            if key.kind == KeyEventKind::Release {
                return KeyAction::Edit;
            }
            if let Some(action) = self.own_key(key, vocabulary) {
                return action;
            }
        }
        let Ok(event) = ReedlineRawEvent::try_from(event) else {
            return KeyAction::Edit;
        };
        let event = self.keys.parse_event(event);
        let before = self.text().to_owned();
        let action = self.carry_out(event).unwrap_or(KeyAction::Edit);
        if self.text() != before {
            self.browsing = None;
        }
        if action == KeyAction::Edit && self.menu.is_some() {
            self.menu = Menu::open(vocabulary, &self.text()[..self.cursor()]);
        }
        action
    }

    /// Handles keys that reedline treats differently, or not at all.
    fn own_key(&mut self, key: &KeyEvent, vocabulary: &Vocabulary) -> Option<KeyAction> {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, &mut self.menu) {
            (KeyCode::Char('z'), _) if is_control => return Some(KeyAction::Suspend),
            // What terminals send for Ctrl-_ and Ctrl-/.
            (KeyCode::Char('_' | '/' | '7'), _) if is_control => {
                self.edit(EditCommand::Undo);
                self.menu = None;
            }
            (KeyCode::Tab | KeyCode::Down, Some(menu)) => menu.next(),
            (KeyCode::BackTab | KeyCode::Up, Some(menu)) => menu.previous(),
            (KeyCode::Enter, Some(_)) if key.modifiers.is_empty() => self.choose(),
            (KeyCode::Esc, Some(_)) => self.menu = None,
            (KeyCode::Tab, None) => {
                self.menu = Menu::open(vocabulary, &self.text()[..self.cursor()]);
                if self.menu.as_ref().is_some_and(Menu::is_single) {
                    self.choose();
                }
            }
            (KeyCode::Up, None) if key.modifiers.is_empty() => self.up(),
            (KeyCode::Down, None) if key.modifiers.is_empty() => self.down(),
            _ => return None,
        }
        Some(KeyAction::Edit)
    }

    fn choose(&mut self) {
        let Some(menu) = self.menu.take() else { return };
        let begin = EditCommand::MoveToPosition {
            position: menu.begin,
            select: true,
        };
        let word = EditCommand::InsertString(menu.word().to_owned());
        let word_length = self.cursor() - menu.begin;
        if word_length > 0 {
            self.editor
                .run_edit_commands(&[begin, EditCommand::Delete, word]);
        } else {
            self.editor.run_edit_commands(&[word]);
        }
        self.browsing = None;
    }

    fn carry_out(&mut self, event: ReedlineEvent) -> Option<KeyAction> {
        match event {
            ReedlineEvent::Edit(commands) => self.editor.run_edit_commands(&commands),
            ReedlineEvent::Multiple(events) => {
                return events
                    .into_iter()
                    .filter_map(|event| self.carry_out(event))
                    .last();
            }
            ReedlineEvent::UntilFound(events) => {
                return events.into_iter().find_map(|event| self.carry_out(event));
            }
            ReedlineEvent::Enter | ReedlineEvent::Submit | ReedlineEvent::SubmitOrNewline => {
                self.menu = None;
                return Some(KeyAction::Submit(self.take()));
            }
            ReedlineEvent::CtrlC => return Some(KeyAction::Interrupt),
            ReedlineEvent::CtrlD if self.text().is_empty() => return Some(KeyAction::Leave),
            ReedlineEvent::CtrlD => self.edit(EditCommand::Delete),
            ReedlineEvent::ClearScreen => return Some(KeyAction::Clear),
            ReedlineEvent::Up | ReedlineEvent::SearchHistory => self.up(),
            ReedlineEvent::Down => self.down(),
            ReedlineEvent::Left => self.edit(EditCommand::MoveLeft { select: false }),
            ReedlineEvent::Right => self.edit(EditCommand::MoveRight { select: false }),
            ReedlineEvent::ToStart => self.edit(EditCommand::MoveToStart { select: false }),
            ReedlineEvent::ToEnd => self.edit(EditCommand::MoveToEnd { select: false }),
            _ => return None,
        }
        Some(KeyAction::Edit)
    }

    fn edit(&mut self, command: EditCommand) {
        self.editor.run_edit_commands(&[command]);
    }

    /// Moves up a row within the text, or recalls the previous line with the same text before the
    /// cursor.
    fn up(&mut self) {
        if self.browsing.is_none() && self.text()[..self.cursor()].contains('\n') {
            return self.edit(EditCommand::MoveLineUp { select: false });
        }
        let mut browsing = self.browsing.take().unwrap_or_else(|| Browsing {
            prefix: self.text()[..self.cursor()].to_owned(),
            at: self.recall.lines().len(),
            draft: self.text().to_owned(),
        });
        let present = self.text().to_owned();
        let older = self.recall.lines()[..browsing.at]
            .iter()
            .rposition(|line| line.starts_with(&browsing.prefix) && *line != present);
        if let Some(at) = older {
            browsing.at = at;
            let line = self.recall.lines()[at].clone();
            self.put(line);
        }
        self.browsing = Some(browsing);
    }

    fn down(&mut self) {
        let Some(mut browsing) = self.browsing.take() else {
            if self.text()[self.cursor()..].contains('\n') {
                self.edit(EditCommand::MoveLineDown { select: false });
            }
            return;
        };
        let present = self.text().to_owned();
        let newer = self.recall.lines()[(browsing.at + 1).min(self.recall.lines().len())..]
            .iter()
            .position(|line| line.starts_with(&browsing.prefix) && *line != present);
        if let Some(further) = newer {
            browsing.at += 1 + further;
            let line = self.recall.lines()[browsing.at].clone();
            self.put(line);
            self.browsing = Some(browsing);
        } else {
            self.put(browsing.draft);
        }
    }
}

fn keys() -> reedline::Keybindings {
    let mut keys = reedline::default_emacs_keybindings();
    // Suspends, as in other programs.
    keys.remove_binding(KeyModifiers::CONTROL, KeyCode::Char('z'));
    keys
}

#[cfg(test)]
mod tests;
