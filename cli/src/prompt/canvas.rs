//! What is painted at the bottom of the screen, and how it changes.
//!
//! The terminal is never asked for its cursor: everything painted is known, and new output takes
//! its place. Output is collected and written at once, so that no partial screen is ever seen.

use std::io::{self, Write as _};

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::area::{Area, Scene, area, plain_line};
use crate::layout::RowFormat;
use crate::scrollback::{WindowSize, clear_rows};

/// The size assumed for a window that reports none.
const USUAL_SIZE: (u16, u16) = (80, 24);
/// Output beyond this many bytes is written at once.
const FLUSH_AT: usize = 64 * 1024;
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";

/// Collects output and remembers what is painted.
#[derive(Debug)]
pub(super) struct Canvas {
    out: String,
    painted: Option<Painted>,
    /// The line as written, on a terminal whose cursor cannot be moved.
    plain: Option<String>,
    has_codes: bool,
    /// Only the busy indicator is painted.
    pub(super) is_busy: bool,
    /// The terminal wraps rows again when its width changes.
    reflows: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Painted {
    area: Area,
    window: WindowSize,
}

/// Of the terminals that wrap rows again, only tmux can be recognised. Its variable may be
/// inherited, so TERM is checked as well.
fn is_tmux() -> bool {
    let term = std::env::var("TERM").unwrap_or_default();
    let is_its_own = term.starts_with("tmux") || term.starts_with("screen");
    is_its_own && std::env::var_os("TMUX").is_some()
}

impl Canvas {
    pub(super) fn new(has_codes: bool) -> Self {
        Self {
            out: String::new(),
            painted: None,
            plain: None,
            has_codes,
            is_busy: false,
            reflows: is_tmux(),
        }
    }

    /// The current size of the window.
    pub(super) fn window(&self) -> WindowSize {
        let size = crossterm::terminal::size().ok();
        let (columns, height) = size
            .filter(|(columns, height)| *columns > 0 && *height > 0)
            .unwrap_or(USUAL_SIZE);
        WindowSize {
            format: RowFormat {
                columns,
                has_codes: self.has_codes,
            },
            height,
        }
    }

    /// Writes text above the painted rows, which must be painted again afterwards.
    pub(super) fn print(&mut self, text: &str) -> io::Result<()> {
        self.erase();
        self.out.push_str(text);
        if self.out.len() > FLUSH_AT {
            self.flush()?;
        }
        Ok(())
    }

    /// Clears the painted rows and leaves the cursor where they began.
    pub(super) fn erase(&mut self) {
        if self.plain.take().is_some() {
            self.out.push_str("\r\n");
        }
        if let Some(painted) = self.painted.take() {
            let above = self.rows_above(&painted);
            self.out.push_str(&clear_rows(above));
        }
    }

    /// The rows between the first painted row and the cursor. If the window has become narrower,
    /// the terminal may have cut or wrapped them: a stale row left behind is better than a cleared
    /// message.
    fn rows_above(&self, painted: &Painted) -> u16 {
        let (row, column) = painted.area.cursor;
        let columns = self.window().format.columns;
        if !self.reflows || columns == 0 || columns >= painted.window.format.columns {
            return row;
        }
        let rows = painted.area.rows.iter().take(usize::from(row));
        let wrapped: u16 = rows.map(|(_, wide)| wide.div_ceil(columns).max(1)).sum();
        wrapped + column / columns
    }

    /// If the terminal has wrapped all rows again: the painted rows above the cursor, and how many
    /// more may be above those if `printed` rows had been printed. Free rows below the line stay
    /// free; rows at the top have left the window.
    pub(super) fn reflowed(&self, printed: u16) -> Option<(u16, u16)> {
        let painted = self.painted.as_ref().filter(|_| self.reflows)?;
        let columns = self.window().format.columns;
        if columns == 0 || columns == painted.window.format.columns {
            return None;
        }
        let rows = painted.area.rows.iter();
        let all: u16 = rows.map(|(_, wide)| wide.div_ceil(columns).max(1)).sum();
        let above = self.rows_above(painted);
        let below = all.saturating_sub(above + 1);
        let row = painted.area.cursor.0;
        let former_below = u16::try_from(painted.area.rows.len()).unwrap_or(u16::MAX) - 1 - row;
        let lowest = painted.window.height.saturating_sub(1 + former_below);
        let free = lowest.saturating_sub(printed.saturating_add(row));
        let height = self.window().height;
        Some((above, height.saturating_sub(1 + above + below + free)))
    }

    /// Clears this many rows above the cursor, whatever they contain, and writes `text`.
    pub(super) fn replace(&mut self, rows: u16, text: &str) {
        self.painted = None;
        self.out.push_str(&clear_rows(rows));
        self.out.push_str(text);
    }

    /// Paints the line editor, if it has changed.
    pub(super) fn paint(&mut self, scene: Scene<'_>) {
        if !self.has_codes {
            return self.paint_plainly(scene);
        }
        let window = self.window();
        let painted = Painted {
            area: area(scene, window),
            window,
        };
        if self.painted.as_ref() == Some(&painted) {
            return;
        }
        self.erase();
        let rows: Vec<_> = painted
            .area
            .rows
            .iter()
            .map(|(row, _)| row.as_str())
            .collect();
        self.out.push_str(&rows.join("\r\n"));
        let (row, column) = painted.area.cursor;
        let below = painted.area.rows.len() - 1 - usize::from(row);
        if below > 0 {
            self.code(below, 'A');
        }
        self.code(usize::from(column) + 1, 'G');
        self.painted = Some(painted);
    }

    fn code(&mut self, count: usize, what: char) {
        self.out.push_str("\u{1b}[");
        self.out.push_str(&count.to_string());
        self.out.push(what);
    }

    /// Only appends to the row or erases from its end; any other change takes a new row.
    fn paint_plainly(&mut self, scene: Scene<'_>) {
        let line = plain_line(scene);
        match self.plain.take() {
            Some(before) if line.starts_with(&before) => {
                self.out.push_str(&line[before.len()..]);
            }
            Some(before) if before.starts_with(&line) => {
                for grapheme in before[line.len()..].graphemes(true).rev() {
                    let wide = grapheme.width();
                    self.out.push_str(&"\u{8}".repeat(wide));
                    self.out.push_str(&" ".repeat(wide));
                    self.out.push_str(&"\u{8}".repeat(wide));
                }
            }
            Some(_) => {
                self.out.push_str("\r\n");
                self.out.push_str(&line);
            }
            None => self.out.push_str(&line),
        }
        self.plain = Some(line);
    }

    /// Writes the collected output.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        let mut terminal = io::stdout().lock();
        if self.has_codes {
            write!(terminal, "{BEGIN}{out}{END}")?;
        } else {
            terminal.write_all(out.as_bytes())?;
        }
        terminal.flush()
    }

    /// Another program has written to the screen: all that is known is that the cursor is at the
    /// start of a row.
    pub(super) fn forget(&mut self) {
        self.painted = None;
        self.plain = None;
    }

    pub(super) fn has_codes(&self) -> bool {
        self.has_codes
    }
}
