//! Pure: the rows at the bottom of the screen: status, line and menu.
//!
//! There are at most as many rows as the window has, so that all of them can be cleared; of a
//! longer line the rows around the cursor are shown. `canvas` paints them.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;

use super::status::Status;
use crate::layout::{self, Cell};
use crate::scrollback::{NARROW, WindowSize};
use crate::text::{excerpt, sanitised, sanitised_line};

/// Separates the prompt from the text.
pub(super) const INDICATOR: &str = "> ";
/// Maximum number of menu rows.
const MENU: usize = 6;

/// What is to be laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) status: &'a Status,
    pub(super) prompt: &'a str,
    pub(super) text: &'a str,
    /// A byte offset in the text.
    pub(super) cursor: usize,
    /// The choices, and the index of the chosen one.
    pub(super) menu: Option<(&'a [String], usize)>,
    pub(super) has_color: bool,
}

/// The rows to paint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Area {
    /// Each row as written, with its width in columns.
    pub(super) rows: Vec<(String, u16)>,
    /// Row and column, from 0.
    pub(super) cursor: (u16, u16),
}

/// Lays out a scene for a window.
pub(super) fn area(scene: Scene<'_>, window: WindowSize) -> Area {
    let columns = window.format.columns.max(1);
    let height = usize::from(window.height.max(1));
    // The rest of the window stays free, so that new messages are seen.
    let room = height.saturating_sub((height / 2).min(4)).max(1);
    let status_rows = usize::from(room >= 2);
    let typed = typed_rows(scene, columns);
    let menu_room = (room - status_rows).saturating_sub(2).min(MENU);
    let menu = scene
        .menu
        .map(|(choices, chosen)| menu_rows(choices, chosen, menu_room, columns))
        .unwrap_or_default();
    let line_room = (room - status_rows - menu.len()).max(1);
    let first = first_row(typed.rows.len(), usize::from(typed.cursor.0), line_room);
    let shown = first..(first + line_room).min(typed.rows.len());

    let mut rows = Vec::new();
    if status_rows > 0 {
        rows.push(status_row(scene, columns, &shown, typed.rows.len()));
    }
    let cursor_row = rows.len() + usize::from(typed.cursor.0) - first;
    for row in &typed.rows[shown] {
        let cells: Vec<_> = row.iter().map(Glyph::cell).collect();
        let width = cells.iter().map(|cell| cell.columns).sum();
        rows.push((window.format.write(&cells, 0), width));
    }
    rows.extend(menu.into_iter().map(|(text, is_chosen)| {
        let width = columns_of(&text);
        if is_chosen && scene.has_color {
            (format!("\u{1b}[7m{text}\u{1b}[0m"), width)
        } else {
            (text, width)
        }
    }));
    Area {
        rows,
        cursor: (
            u16::try_from(cursor_row).unwrap_or(u16::MAX),
            typed.cursor.1,
        ),
    }
}

fn status_row(
    scene: Scene<'_>,
    columns: u16,
    shown: &std::ops::Range<usize>,
    all: usize,
) -> (String, u16) {
    let place = if shown.len() < all {
        format!(" · rows {}–{} of {all}", shown.start + 1, shown.end)
    } else {
        String::new()
    };
    let columns = usize::from(columns);
    let mut text = scene.status.text(columns);
    if text.chars().count() + place.chars().count() <= columns {
        text.push_str(&place);
    }
    let width = columns_of(&text);
    if scene.has_color {
        let code = if scene.status.is_worrying() {
            "33"
        } else {
            "2"
        };
        text = format!("\u{1b}[{code}m{text}\u{1b}[0m");
    }
    (text, width)
}

/// The first row shown if only `room` rows fit.
fn first_row(rows: usize, cursor: usize, room: usize) -> usize {
    if rows <= room {
        return 0;
    }
    // Keeps one row below the cursor in view if there is one.
    (cursor + room.min(2)).saturating_sub(room).min(rows - room)
}

/// A grapheme as shown.
struct Glyph<'a> {
    text: Cow<'a, str>,
    columns: u16,
    is_certain: bool,
}

impl Glyph<'_> {
    fn cell(&self) -> Cell<'_> {
        Cell {
            text: &self.text,
            columns: self.columns,
            is_certain: self.is_certain,
        }
    }
}

struct TypedRows<'a> {
    rows: Vec<Vec<Glyph<'a>>>,
    cursor: (u16, u16),
}

fn typed_rows(scene: Scene<'_>, columns: u16) -> TypedRows<'_> {
    let mut rows = TypedRows {
        rows: vec![Vec::new()],
        cursor: (0, 0),
    };
    let mut column = 0;
    let prompt = prompt(scene.prompt, columns);
    for grapheme in prompt.graphemes(true).chain(INDICATOR.graphemes(true)) {
        column = rows.push(Cow::Owned(grapheme.to_owned()), column, columns);
    }
    let is_sanitised = sanitised(scene.text) == scene.text;
    for (at, grapheme) in scene.text.grapheme_indices(true) {
        if at == scene.cursor {
            rows.set_cursor(column, columns);
        }
        column = match grapheme {
            "\n" | "\r\n" => {
                rows.rows.push(Vec::new());
                0
            }
            "\t" => (0..8 - column % 8).fold(column, |column, _| {
                rows.push(Cow::Borrowed(" "), column, columns)
            }),
            _ if is_sanitised => rows.push(Cow::Borrowed(grapheme), column, columns),
            _ => rows.push(Cow::Owned(sanitised_line(grapheme)), column, columns),
        };
    }
    if scene.cursor >= scene.text.len() {
        rows.set_cursor(column, columns);
    }
    rows
}

/// In a narrow window the prompt leaves half of the width to the text.
fn prompt(prompt: &str, columns: u16) -> Cow<'_, str> {
    if columns >= NARROW {
        return Cow::Borrowed(prompt);
    }
    let most = usize::from(columns / 2).saturating_sub(INDICATOR.len());
    Cow::Owned(excerpt(prompt, most.max(1)))
}

impl<'a> TypedRows<'a> {
    fn push(&mut self, text: Cow<'a, str>, column: u16, columns: u16) -> u16 {
        let Cell {
            columns: width,
            is_certain,
            ..
        } = layout::measured(&text);
        let (text, width, is_certain) = if width > columns {
            (Cow::Borrowed("\u{fffd}"), 1, true)
        } else {
            (text, width, is_certain)
        };
        let column = if column.saturating_add(width) > columns {
            self.rows.push(Vec::new());
            0
        } else {
            column
        };
        if let Some(row) = self.rows.last_mut() {
            row.push(Glyph {
                text,
                columns: width,
                is_certain,
            });
        }
        column + width
    }

    /// Places the cursor here; after a full row it stands on the next.
    fn set_cursor(&mut self, column: u16, columns: u16) {
        let row = self.rows.len() - 1;
        let (row, column) = if column >= columns {
            (row + 1, 0)
        } else {
            (row, column)
        };
        self.cursor = (u16::try_from(row).unwrap_or(u16::MAX), column);
        if row == self.rows.len() {
            self.rows.push(Vec::new());
        }
    }
}

/// The choices around the chosen one.
fn menu_rows(choices: &[String], chosen: usize, room: usize, columns: u16) -> Vec<(String, bool)> {
    let first = (chosen + 1)
        .saturating_sub(room)
        .min(choices.len().saturating_sub(room));
    let rows = choices.iter().enumerate().skip(first).take(room);
    rows.map(|(at, choice)| {
        let mark = if at == chosen { "▸ " } else { "  " };
        let text = excerpt(
            &format!("{mark}{choice}"),
            usize::from(columns).saturating_sub(1),
        );
        (text, at == chosen)
    })
    .collect()
}

fn columns_of(text: &str) -> u16 {
    layout::cells(text).map(|cell| cell.columns).sum()
}

/// The whole text on one row, for a terminal whose cursor cannot be moved.
pub(super) fn plain_line(scene: Scene<'_>) -> String {
    let text = sanitised(scene.text).replace('\n', " / ");
    format!(
        "[{}] {}{INDICATOR}{}",
        scene.status.text(80).trim_start_matches("─ "),
        scene.prompt,
        text.replace('\t', " ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::RowFormat;

    fn window(columns: u16, height: u16) -> WindowSize {
        WindowSize {
            format: RowFormat {
                columns,
                has_codes: true,
            },
            height,
        }
    }

    fn of(text: &str, cursor: usize, columns: u16, height: u16) -> (Vec<String>, (u16, u16)) {
        let status = Status {
            replica: Some(1),
            ..Status::default()
        };
        let scene = Scene {
            status: &status,
            prompt: "a",
            text,
            cursor,
            menu: None,
            has_color: false,
        };
        let area = area(scene, window(columns, height));
        (
            area.rows.into_iter().map(|(row, _)| row).collect(),
            area.cursor,
        )
    }

    #[test]
    fn a_line_stands_below_its_status() {
        let (rows, cursor) = of("hello", 5, 80, 24);

        assert_eq!(rows, ["─ replica 1 · 0 unsent", "a> hello"]);
        assert_eq!(cursor, (1, 8));
    }

    #[test]
    fn a_full_row_leaves_the_cursor_on_the_next() {
        let (rows, cursor) = of("1234567", 7, 10, 24);

        assert_eq!(rows[1..], ["a> 1234567", ""]);
        assert_eq!(cursor, (2, 0));
        assert_eq!(of("1234567", 6, 10, 24).1, (1, 9));
    }

    #[test]
    fn wide_characters_and_lines_take_their_rows() {
        let (rows, cursor) = of("日本語x\ny", 9, 10, 24);

        assert_eq!(rows[1..], ["a> 日本語x", "y"]);
        assert_eq!(cursor, (1, 9));
        assert_eq!(of("12345日", 5, 9, 24).0[1..], ["a> 12345", "日"]);
        assert_eq!(of("12345日", 5, 9, 24).1, (1, 8));
    }

    #[test]
    fn what_is_pasted_does_not_steer_the_terminal() {
        let (rows, _) = of("x\u{1b}[2J\u{202e}y", 0, 80, 24);

        assert_eq!(rows[1], "a> x\u{fffd}\u{1b}[6G[2J\u{fffd}\u{1b}[10Gy");
    }

    #[test]
    fn a_line_longer_than_the_window_shows_the_rows_around_the_cursor() {
        let lines: Vec<_> = (1..=200).map(|line| line.to_string()).collect();
        let text = lines.join("\n");

        let (rows, cursor) = of(&text, text.len(), 80, 24);

        assert_eq!(rows.len(), 20);
        assert_eq!(rows[0], "─ replica 1 · 0 unsent · rows 182–200 of 200");
        assert_eq!(rows[19], "200");
        assert_eq!(cursor, (19, 3));
        let (rows, cursor) = of(&text, 0, 80, 24);
        assert_eq!((rows[1].as_str(), cursor), ("a> 1", (1, 3)));
    }

    #[test]
    fn there_are_never_more_rows_than_the_window_has() {
        for height in 1..12 {
            for columns in 1..12 {
                let text = "日👨‍👩‍👧\nx".repeat(20);
                for cursor in [0, text.len() / 2, text.len()] {
                    let (rows, cursor) = of(&text, cursor, columns, height);
                    assert!(rows.len() <= usize::from(height));
                    assert!(usize::from(cursor.0) < rows.len(), "{cursor:?}");
                    assert!(cursor.1 < columns);
                }
            }
        }
    }
}
