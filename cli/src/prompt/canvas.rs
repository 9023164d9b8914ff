//! What is on the screen now at the bottom, and how it gets there.
//!
//! The terminal is never asked where its cursor is: all that is painted is known, and what is
//! printed above goes in its place. Everything is collected and written in one piece, so that no
//! half of it is ever seen.

use std::io::{self, Write as _};

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::area::{Area, Scene, area, plain_line};
use crate::layout::Page;
use crate::paper::{Window, clear_rows};

/// The columns and rows of a window that does not tell them.
const USUAL_SIZE: (u16, u16) = (80, 24);
/// So much may be collected before it is written.
const PIECE: usize = 64 * 1024;
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";

/// See the module.
#[derive(Debug)]
pub(super) struct Canvas {
    out: String,
    painted: Option<Painted>,
    /// What stands on the row of the line, on a terminal that cannot name a place.
    plain: Option<String>,
    has_codes: bool,
    /// What is painted says only that a command takes its time.
    pub(super) is_busy: bool,
    /// The terminal wraps rows anew when it gets narrower.
    reflows: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Painted {
    area: Area,
    window: Window,
}

/// Of the terminals that wrap rows anew, tmux is known for sure: its variable may be inherited, its
/// kind of terminal comes from it.
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

    /// The window as it is now.
    pub(super) fn window(&self) -> Window {
        let size = crossterm::terminal::size().ok();
        let (columns, height) = size
            .filter(|(columns, height)| *columns > 0 && *height > 0)
            .unwrap_or(USUAL_SIZE);
        Window {
            page: Page {
                columns,
                has_codes: self.has_codes,
            },
            height,
        }
    }

    /// Writes something at the start of a row, above what is painted; that has to be painted again.
    pub(super) fn print(&mut self, text: &str) -> io::Result<()> {
        self.erase();
        self.out.push_str(text);
        if self.out.len() > PIECE {
            self.flush()?;
        }
        Ok(())
    }

    /// Clears what is painted, and leaves the cursor where it began.
    pub(super) fn erase(&mut self) {
        if self.plain.take().is_some() {
            self.out.push_str("\r\n");
        }
        if let Some(painted) = self.painted.take() {
            let above = self.rows_above(&painted);
            self.out.push_str(&clear_rows(above));
        }
    }

    /// The rows between the first one painted and the cursor. Where the window got narrower since,
    /// a terminal may have cut the rows or wrapped them; rather leave a row of the line behind than
    /// clear a message above it.
    fn rows_above(&self, painted: &Painted) -> u16 {
        let (row, column) = painted.area.cursor;
        let columns = self.window().page.columns;
        if !self.reflows || columns == 0 || columns >= painted.window.page.columns {
            return row;
        }
        let rows = painted.area.rows.iter().take(usize::from(row));
        let wrapped: u16 = rows.map(|(_, wide)| wide.div_ceil(columns).max(1)).sum();
        wrapped + column / columns
    }

    /// The rows painted above the cursor, and how many more there may be above those, where the
    /// terminal has wrapped all rows anew and `printed` rows had been printed. Rows that were free
    /// below the line stay free, and those at the top are no longer in the window then.
    pub(super) fn reflowed(&self, printed: u16) -> Option<(u16, u16)> {
        let painted = self.painted.as_ref().filter(|_| self.reflows)?;
        let columns = self.window().page.columns;
        if columns == 0 || columns == painted.window.page.columns {
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

    /// Clears so many rows above the cursor, whatever stands there, and writes something else.
    pub(super) fn replace(&mut self, rows: u16, text: &str) {
        self.painted = None;
        self.out.push_str(&clear_rows(rows));
        self.out.push_str(text);
    }

    /// Paints the line being typed. Does nothing where it stands already.
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

    /// Only ever adds to the row or takes from its end; everything else takes a new row.
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

    /// Writes what was collected.
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

    /// Others have written on the screen: nothing is known of it but that the cursor stands at the
    /// start of a row.
    pub(super) fn forget(&mut self) {
        self.painted = None;
        self.plain = None;
    }

    pub(super) fn has_codes(&self) -> bool {
        self.has_codes
    }
}
