//! What stands above the line being typed, and how the last piece of it is written anew.
//!
//! Only what nothing was printed after can be replaced; everything above has its place for good.
//! Called with the cursor at the start of the row below, by the thread of `prompt`.

use std::io::{self, Write as _};

use crate::layout;

/// The last piece of text, if it can be replaced.
#[derive(Debug)]
struct Last {
    name: String,
    rows: u16,
    columns: u16,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Paper {
    last: Option<Last>,
}

impl Paper {
    /// Prints a text for good.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        self.last = None;
        write_line("", text)
    }

    /// Prints a text that can be replaced under this name.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn print_as(&mut self, name: &str, text: &str) -> io::Result<()> {
        write_line("", text)?;
        self.stands(name, text)
    }

    /// Takes note that a text stands directly above the cursor.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn stands(&mut self, name: &str, text: &str) -> io::Result<()> {
        let (columns, height) = crossterm::terminal::size()?;
        let plain = layout::without_codes(text);
        let rows = layout::rows(&plain, columns);
        // A text that fills its last row leaves the cursor on one row or the other, by how it was
        // written.
        let is_certain = layout::cursor_row(&plain, columns) + 1 == rows && rows < height;
        let name = name.to_owned();
        self.last = is_certain.then_some(Last {
            name,
            rows,
            columns,
        });
        Ok(())
    }

    /// Replaces what stands under a name by a text with a name of its own. Returns false where it
    /// cannot be replaced any more: then nothing was printed.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn replace(&mut self, name: &str, new_name: &str, text: &str) -> io::Result<bool> {
        let (columns, _) = crossterm::terminal::size()?;
        match &self.last {
            Some(last) if last.name == name && last.columns == columns => {
                write_line(&clear_rows(last.rows), text)?;
                self.stands(new_name, text)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Something was printed or cleared by others.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

/// The codes that clear so many rows above the cursor's and all below, and leave the cursor where
/// they began.
pub fn clear_rows(rows: u16) -> String {
    let up = if rows > 0 {
        format!("\u{1b}[{rows}A")
    } else {
        String::new()
    };
    // Clearing from the second column and then the row: tmux takes a clear from the home position
    // for a request to keep the whole screen.
    format!("{up}\r\u{1b}[C\u{1b}[J\r\u{1b}[K")
}

/// Writes codes as they are.
///
/// # Errors
/// The terminal is gone.
pub fn write_codes(codes: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(codes.as_bytes())?;
    out.flush()
}

fn write_line(codes: &str, text: &str) -> io::Result<()> {
    write_codes(&format!("{codes}{}\r\n", text.replace('\n', "\r\n")))
}
