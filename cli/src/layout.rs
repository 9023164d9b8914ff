//! Pure: how many rows a terminal gives to a text, counted in columns as a terminal counts them.
//!
//! Knows no terminal: it is told the width. Used by `prompt` to find the first row of the line
//! being typed, and by `pager` to fill a screen.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// The row on which the cursor rests after `text` was printed from the start of a row, counted from
/// 0.
///
/// A row that is filled to its last column leaves the cursor on the next one.
pub fn cursor_row(text: &str, columns: u16) -> u16 {
    let (row, column) = walk(text, columns);
    if columns > 0 && column >= columns {
        row.saturating_add(1)
    } else {
        row
    }
}

/// The rows that `text` takes when it is printed from the start of a row; at least one.
pub fn rows(text: &str, columns: u16) -> u16 {
    walk(text, columns).0.saturating_add(1)
}

/// The text without the codes for colours, which take no column.
pub fn without_codes(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let mut kept = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(piece.len(), |end| end + 1);
        kept.push_str(&piece[code..]);
    }
    kept
}

fn walk(text: &str, columns: u16) -> (u16, u16) {
    let (mut row, mut column) = (0_u16, 0_u16);
    if columns == 0 {
        return (row, column);
    }
    for grapheme in text.graphemes(true) {
        if matches!(grapheme, "\n" | "\r\n") {
            (row, column) = (row.saturating_add(1), 0);
            continue;
        }
        let width = if grapheme == "\t" {
            8 - column % 8
        } else {
            u16::try_from(grapheme.width()).unwrap_or(0)
        };
        // A wide character with one column left is not split: the terminal wraps before it.
        if column >= columns || (column > 0 && column.saturating_add(width) > columns) {
            (row, column) = (row.saturating_add(1), 0);
        }
        column = column.saturating_add(width);
    }
    (row, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_line_stays_on_its_row() {
        assert_eq!(cursor_row("ann> hello", 80), 0);
        assert_eq!(rows("", 80), 1);
    }

    #[test]
    fn a_filled_row_leaves_the_cursor_on_the_next() {
        assert_eq!(cursor_row(&"x".repeat(79), 80), 0);
        assert_eq!(cursor_row(&"x".repeat(80), 80), 1);
        assert_eq!(rows(&"x".repeat(80), 80), 1);
        assert_eq!(rows(&"x".repeat(81), 80), 2);
    }

    #[test]
    fn accents_count_columns_not_bytes() {
        assert_eq!(cursor_row(&"é".repeat(60), 80), 0);
        assert_eq!(cursor_row(&"e\u{301}".repeat(60), 80), 0);
    }

    #[test]
    fn a_wide_character_is_not_split_at_the_margin() {
        assert_eq!(rows(&"日".repeat(40), 80), 1);
        assert_eq!(rows(&format!("x{}", "日".repeat(40)), 80), 2);
        assert_eq!(rows(&"日".repeat(20), 21), 2);
    }

    #[test]
    fn line_feeds_begin_rows() {
        assert_eq!(cursor_row("a\nb\r\nc", 80), 2);
    }

    #[test]
    fn codes_for_colours_take_no_column() {
        assert_eq!(
            without_codes("\u{1b}[2m 12\u{1b}[0m ann: hi\u{1b}[1;32m"),
            " 12 ann: hi"
        );
    }

    #[test]
    fn a_terminal_without_a_width_has_one_row() {
        assert_eq!(rows("hello", 0), 1);
        assert_eq!(cursor_row("hello", 0), 0);
    }
}
