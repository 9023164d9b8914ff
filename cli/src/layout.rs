//! Pure: lays out text in rows, in columns as a terminal counts them.
//!
//! Knows no terminal: the width is given. Used by `scrollback` for output, and by `prompt` for the
//! line editor.

use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr as _};

/// The widest word that is moved to the next row as a whole.
const WORD: u16 = 24;

/// A grapheme, or a colour code, which takes no column.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    /// What is written.
    pub text: &'a str,
    /// The most columns that any terminal gives it.
    pub columns: u16,
    /// Whether all terminals agree on that; they differ for joined emoji.
    pub is_certain: bool,
}

/// The cells of a text without line feeds and tabs.
pub fn cells(text: &str) -> impl Iterator<Item = Cell<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let length = match rest.strip_prefix('\u{1b}') {
            Some(code) => code
                .find(|c: char| c.is_ascii_alphabetic())
                .map_or(rest.len(), |end| end + 2),
            None => rest.graphemes(true).next()?.len(),
        };
        let (text, after) = rest.split_at(length);
        rest = after;
        Some(if text.starts_with('\u{1b}') {
            Cell {
                text,
                columns: 0,
                is_certain: true,
            }
        } else {
            measured(text)
        })
    })
}

/// Measures a grapheme.
pub fn measured(grapheme: &str) -> Cell<'_> {
    let joined = grapheme.width();
    let apart: usize = grapheme.chars().filter_map(UnicodeWidthChar::width).sum();
    Cell {
        text: grapheme,
        columns: u16::try_from(joined.max(apart)).unwrap_or(u16::MAX),
        // U+FFFD is of ambiguous width, and some terminals leave it out.
        is_certain: joined == apart && grapheme != "\u{fffd}",
    }
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowFormat {
    /// The columns of a row; 0 if unknown, in which case rows are never wrapped.
    pub columns: u16,
    /// Whether the terminal understands escape codes, so that a column can be addressed.
    pub has_codes: bool,
}

impl RowFormat {
    /// The rows of one line. A row that continues on the next is filled to its last column, so that
    /// the terminal wraps by itself and copies both as one line. Each continuation row begins with
    /// `indent`, so that no text can imitate a line of its own.
    pub fn lay_out(self, line: &str, indent: &str) -> Vec<String> {
        let mut rows = Rows {
            format: self,
            indent,
            done: Vec::new(),
            row: Vec::new(),
            column: 0,
            word: None,
        };
        for piece in line.split_inclusive('\t') {
            let (text, is_tabbed) = match piece.strip_suffix('\t') {
                Some(text) => (text, true),
                None => (piece, false),
            };
            for cell in cells(text) {
                rows.push(cell);
            }
            if is_tabbed {
                for _ in 0..8 - rows.column % 8 {
                    rows.push(measured(" "));
                }
            }
        }
        rows.end()
    }

    /// Writes cells as a row, padded to the column `until`.
    pub fn write(self, cells: &[Cell<'_>], until: u16) -> String {
        let mut row = String::new();
        let mut column = 0_u16;
        for cell in cells {
            row.push_str(cell.text);
            column = column.saturating_add(cell.columns);
            if !cell.is_certain && self.has_codes {
                let _ = write!(row, "\u{1b}[{}G", column.saturating_add(1));
            }
        }
        row.extend(std::iter::repeat_n(
            ' ',
            usize::from(until.saturating_sub(column)),
        ));
        row
    }
}

struct Rows<'a> {
    format: RowFormat,
    indent: &'a str,
    done: Vec<String>,
    row: Vec<Cell<'a>>,
    column: u16,
    /// Where the last word of the row begins: its cell and its column.
    word: Option<(usize, u16)>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, cell: Cell<'a>) {
        let columns = self.format.columns;
        let begin = u16::try_from(self.indent.len()).unwrap_or(0);
        // After a cell of uncertain width the next column is addressed explicitly, and the last
        // column of a row must be written for the terminal to wrap by itself.
        let end = columns.saturating_sub(u16::from(!cell.is_certain));
        let cell = if columns > 0 && begin.saturating_add(cell.columns) > end {
            measured("\u{fffd}")
        } else {
            cell
        };
        let end = columns.saturating_sub(u16::from(!cell.is_certain));
        let is_space = cell.text == " ";
        if columns > 0 && self.column.saturating_add(cell.columns) > end && cell.columns > 0 {
            if is_space {
                self.word = None;
            }
            self.wrap(begin, end.saturating_sub(cell.columns));
            if is_space {
                return;
            }
        }
        self.column = self.column.saturating_add(cell.columns);
        self.row.push(cell);
        if is_space {
            self.word = Some((self.row.len(), self.column));
        }
    }

    /// Begins a row, and moves the last word there if it is short and ends before `end`.
    fn wrap(&mut self, begin: u16, end: u16) {
        let longest = WORD
            .min(self.format.columns / 2)
            .min(end.saturating_sub(begin));
        let moved = match self.word {
            Some((at, column)) if self.column - column <= longest && column > begin => {
                self.row.split_off(at)
            }
            _ => Vec::new(),
        };
        self.done
            .push(self.format.write(&self.row, self.format.columns));
        self.row.clear();
        self.row.extend(self.indent.graphemes(true).map(measured));
        self.column = begin;
        self.word = None;
        for cell in moved {
            self.column = self.column.saturating_add(cell.columns);
            self.row.push(cell);
        }
    }

    fn end(mut self) -> Vec<String> {
        self.done.push(self.format.write(&self.row, 0));
        self.done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn format(columns: u16) -> RowFormat {
        RowFormat {
            columns,
            has_codes: true,
        }
    }

    fn rows(text: &str, columns: u16) -> Vec<String> {
        format(columns).lay_out(text, "   ")
    }

    #[test]
    fn a_short_line_stays_on_its_row() {
        assert_eq!(rows("ann> hello", 80), ["ann> hello"]);
        assert_eq!(rows("", 80), [""]);
        assert_eq!(rows(&"x".repeat(80), 80).len(), 1);
        assert_eq!(rows(&"x".repeat(81), 80).len(), 2);
    }

    #[test]
    fn a_further_row_begins_behind_its_indent_and_the_one_before_is_full() {
        assert_eq!(rows("abcdefghijkl", 10), ["abcdefghij", "   kl"]);
        assert_eq!(
            rows("one two three four", 10),
            ["one two   ", "   three  ", "   four"]
        );
        assert_eq!(rows(&format!("ok{}78 x", " ".repeat(9)), 10)[1], "   78 x");
    }

    #[test]
    fn accents_count_columns_not_bytes() {
        assert_eq!(rows(&"é".repeat(60), 80).len(), 1);
        assert_eq!(rows(&"e\u{301}".repeat(60), 80).len(), 1);
    }

    #[test]
    fn a_wide_character_is_not_split_at_the_margin() {
        assert_eq!(rows(&"日".repeat(5), 10).len(), 1);
        assert_eq!(
            rows(&format!("x{}", "日".repeat(5)), 10),
            ["x日日日日 ", "   日"]
        );
    }

    #[test]
    fn a_cell_of_uncertain_width_is_followed_by_the_name_of_the_next_place() {
        assert_eq!(rows("👨‍👩‍👧x", 80), ["👨‍👩‍👧\u{1b}[7Gx"]);
        assert_eq!(rows("x👨‍👩‍👧", 8), ["x\u{fffd}\u{1b}[3G"]);
        assert_eq!(rows("1234👨‍👩‍👧", 10), ["1234      ", "   👨‍👩‍👧\u{1b}[10G"]);
    }

    #[test]
    fn codes_for_colours_take_no_column() {
        let line = format!("\u{1b}[2m{}\u{1b}[0m", "x".repeat(10));
        assert_eq!(rows(&line, 10), [line]);
    }

    #[test]
    fn a_tab_becomes_spaces() {
        assert_eq!(rows("a\tb", 80), ["a       b"]);
    }

    #[test]
    fn a_terminal_without_a_width_has_one_row() {
        assert_eq!(rows("hello", 0), ["hello"]);
    }

    proptest! {
        #[test]
        fn no_row_is_wider_than_the_page_and_no_text_is_lost(
            text in "[ a-dé日👨‍👩\u{301}ำ]{0,80}", columns in 4_u16..40
        ) {
            let rows = rows(&text, columns);

            for (at, row) in rows.iter().enumerate() {
                let plain: Vec<_> = cells(row).filter(|cell| !cell.text.starts_with('\u{1b}')).collect();
                let wide: u16 = plain.iter().map(|cell| cell.columns).sum();
                prop_assert!(wide <= columns);
                prop_assert!(at + 1 == rows.len() || wide == columns, "{rows:?}");
                prop_assert!(at == 0 || row.starts_with("   "), "{rows:?}");
            }
            let visible = |text: &str| -> String {
                text.chars().filter(|c| !c.is_whitespace()).collect()
            };
            let shown: String = rows
                .iter()
                .flat_map(|row| cells(row))
                .filter(|cell| !cell.text.starts_with('\u{1b}'))
                .map(|cell| cell.text)
                .collect();
            if !shown.contains('\u{fffd}') {
                prop_assert_eq!(visible(&shown), visible(&text));
            }
        }
    }
}
