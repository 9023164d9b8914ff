//! The line between two editors: its text, its cursor, and what was cut from it.

use reedline::{EditCommand, Granularity, Reedline};

/// What is on the line while no editor holds it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    line: String,
    cursor: usize,
    cut: String,
}

impl Draft {
    pub(super) fn take_from(editor: &mut Reedline, line: String) -> Self {
        let cursor = editor.current_insertion_point();
        editor.run_edit_commands(&[EditCommand::Clear, EditCommand::PasteCutBufferBefore]);
        Self {
            line,
            cursor,
            cut: editor.current_buffer_contents().to_owned(),
        }
    }

    /// What stands before the cursor.
    pub(super) fn before_cursor(&self) -> &str {
        &self.line[..self.cursor]
    }

    pub(super) fn put_into(self, editor: &mut Reedline) {
        if !self.cut.is_empty() {
            let cut = EditCommand::CutSelection {
                granularity: Granularity::CharWise,
            };
            editor.run_edit_commands(&[
                EditCommand::InsertString(self.cut),
                EditCommand::SelectAll,
                cut,
            ]);
        }
        if !self.line.is_empty() {
            let back = EditCommand::MoveToPosition {
                position: self.cursor,
                select: false,
            };
            editor.run_edit_commands(&[EditCommand::InsertString(self.line), back]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editor_with(draft: Draft) -> Reedline {
        let mut editor = Reedline::create();
        draft.put_into(&mut editor);
        editor
    }

    #[test]
    fn a_fresh_editor_goes_on_with_line_and_cursor() {
        let editor = editor_with(Draft {
            line: "a héllo 日本".into(),
            cursor: 5,
            cut: String::new(),
        });

        assert_eq!(editor.current_buffer_contents(), "a héllo 日本");
        assert_eq!(editor.current_insertion_point(), 5);
    }

    #[test]
    fn what_was_cut_can_still_be_put_back() {
        let mut first = editor_with(Draft {
            line: "a one two".into(),
            cursor: 5,
            cut: String::new(),
        });
        first.run_edit_commands(&[EditCommand::CutToLineEnd]);
        let line = first.current_buffer_contents().to_owned();

        let mut second = editor_with(Draft::take_from(&mut first, line));

        assert_eq!(second.current_buffer_contents(), "a one");
        second.run_edit_commands(&[EditCommand::PasteCutBufferBefore]);
        assert_eq!(second.current_buffer_contents(), "a one two");
    }
}
