//! Pure: the text printed above the line editor, and how its last block is replaced.
//!
//! Only the last block can be replaced; all text above it is final. What is returned is to be
//! written with the cursor at the start of the row below, by `prompt`.

mod recent;

use self::recent::Recent;
use crate::layout::RowFormat;

/// Begins the continuation lines of a message; the second form is for narrow windows.
const CONTINUATION: &str = "    | ";
const CONTINUATION_NARROW: &str = " | ";
/// Windows with fewer columns are narrow.
pub const NARROW: u16 = 40;

/// The columns of a few words and of what precedes them.
const FEW_WORDS: u16 = 320;

/// A text to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its lines.
    pub text: String,
    /// For a message: the command that shows all of it when it is folded.
    pub whole: Option<String>,
}

impl Block {
    /// Text that is never folded.
    pub fn lines(text: String) -> Self {
        Self { text, whole: None }
    }

    /// A message. Its continuation lines begin with `    | `.
    pub fn message(text: String, whole: String) -> Self {
        Self {
            text,
            whole: Some(whole),
        }
    }

    /// The rows of each line.
    pub fn rows(&self, format: RowFormat) -> Vec<Vec<String>> {
        let continuation = continuation(format);
        let indent = " ".repeat(continuation.len());
        let lines = self.text.split('\n').enumerate().map(|(at, line)| {
            match line.strip_prefix(CONTINUATION) {
                Some(text) if at > 0 && self.whole.is_some() => {
                    format.lay_out(&format!("{continuation}{text}"), &indent)
                }
                _ => format.lay_out(line, &indent),
            }
        });
        lines.collect()
    }
}

fn continuation(format: RowFormat) -> &'static str {
    if format.columns < NARROW && format.columns > 0 {
        CONTINUATION_NARROW
    } else {
        CONTINUATION
    }
}

/// The size of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// The width, and what the terminal understands.
    pub format: RowFormat,
    /// The number of rows; 0 if unknown.
    pub height: u16,
}

/// The last block, if it can be replaced.
#[derive(Debug)]
struct Last {
    name: String,
    rows: u16,
    window: WindowSize,
}

/// Remembers what was printed last.
#[derive(Debug, Default)]
pub struct Scrollback {
    last: Option<Last>,
    recent: Recent,
    /// Rows printed since the window was cleared: the cursor is at least this far down.
    printed: u16,
}

impl Scrollback {
    /// Prints a block that cannot be replaced.
    pub fn print(&mut self, block: &Block, window: WindowSize) -> String {
        self.last = None;
        self.write(block, window).0
    }

    fn write(&mut self, block: &Block, window: WindowSize) -> (String, u16) {
        let (text, rows) = printed(block, window);
        self.recent.push(block.clone(), text.clone());
        self.printed = self.printed.saturating_add(rows);
        (text, rows)
    }

    /// Prints a block that can be replaced by its name.
    pub fn print_as(&mut self, name: &str, block: &Block, window: WindowSize) -> String {
        let (text, rows) = self.write(block, window);
        let can_be_replaced =
            window.format.has_codes && window.format.columns > 0 && rows < window.height;
        self.last = can_be_replaced.then(|| Last {
            name: name.to_owned(),
            rows,
            window,
        });
        text
    }

    /// Replaces a block by one with a name of its own. `None` if it can no longer be replaced.
    pub fn replace(
        &mut self,
        name: &str,
        new_name: &str,
        block: &Block,
        window: WindowSize,
    ) -> Option<String> {
        match &self.last {
            Some(last) if last.name == name && last.window == window => {
                let clear = clear_rows(last.rows);
                self.recent.pop();
                Some(clear + &self.print_as(new_name, block, window))
            }
            _ => None,
        }
    }

    /// The window was cleared.
    pub fn cleared(&mut self) {
        self.forget();
        self.printed = 0;
    }

    /// The number of rows printed since the window was cleared.
    pub fn printed(&self) -> u16 {
        self.printed
    }

    /// Another program has printed.
    pub fn forget(&mut self) {
        self.last = None;
        self.recent.forget();
    }

    /// Lays out anew the blocks directly above, which the terminal has wrapped to the width of this
    /// window: as many as fit into `room` rows. Returns how many rows to clear, and what to write
    /// there.
    pub fn lay_out_anew(&mut self, window: WindowSize, room: u16) -> (u16, String) {
        self.last = None;
        let (rows, blocks) = self.recent.take_last(window.format.columns, room);
        let printed = self.printed;
        let texts: String = blocks
            .iter()
            .map(|block| self.write(block, window).0)
            .collect();
        self.printed = printed;
        (rows, texts)
    }
}

/// The output for a block, and the number of its rows.
fn printed(block: &Block, window: WindowSize) -> (String, u16) {
    let lines = block.rows(window.format);
    let total: usize = lines.iter().map(Vec::len).sum();
    let between = if window.format.has_codes { "" } else { "\r\n" };
    let most = usize::from(most_rows(window));
    let whole = block.whole.as_ref().filter(|_| total > most && most > 0);
    let Some(whole) = whole else {
        let lines: Vec<_> = lines.iter().map(|rows| rows.join(between)).collect();
        return (
            lines.join("\r\n") + "\r\n",
            u16::try_from(total).unwrap_or(u16::MAX),
        );
    };
    let mut left = most - 1;
    let mut text = String::new();
    for rows in &lines {
        let shown = &rows[..rows.len().min(left)];
        if !shown.is_empty() {
            text += &shown.join(between);
            text += if window.format.has_codes {
                "\u{1b}[0m\r\n"
            } else {
                "\r\n"
            };
        }
        left -= shown.len();
    }
    let indent = " ".repeat(continuation(window.format).len());
    let hint = format!("{indent}… {} more rows: {whole}", total - most + 1);
    let hint = window.format.lay_out(&hint, &indent);
    text += &hint.join(between);
    text += "\r\n";
    let rows = most - 1 + hint.len();
    (text, u16::try_from(rows).unwrap_or(u16::MAX))
}

/// The number of rows from which a message is folded: half of the window, but in a narrow one
/// enough for a few words.
fn most_rows(window: WindowSize) -> u16 {
    if window.height == 0 || window.format.columns == 0 {
        return 0;
    }
    (window.height / 2)
        .clamp(8, 16)
        .max(FEW_WORDS / window.format.columns)
}

/// The codes that clear `rows` rows above the cursor and everything below them, and leave the
/// cursor at the first.
pub fn clear_rows(rows: u16) -> String {
    let up = if rows > 0 {
        format!("\u{1b}[{rows}A")
    } else {
        String::new()
    };
    // Clears from the second column, then the row: tmux takes a clear from the home position for a
    // request to keep the whole screen.
    format!("{up}\r\u{1b}[C\u{1b}[J\r\u{1b}[K")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn window(columns: u16, height: u16) -> WindowSize {
        WindowSize {
            format: RowFormat {
                columns,
                has_codes: true,
            },
            height,
        }
    }

    fn message(text: &str) -> Block {
        Block::message(text.into(), "/show 5".into())
    }

    #[test]
    fn a_message_that_fits_is_shown_whole() {
        let text = Scrollback::default().print(&message("  5 ann: a\n    | b"), window(80, 24));

        assert_eq!(text, "  5 ann: a\r\n    | b\r\n");
    }

    #[test]
    fn a_long_message_is_folded_and_says_how_to_see_the_whole() {
        let lines: Vec<_> = (1..=30).map(|n| format!("    | {n}")).collect();
        let text = format!("  5 ann: begin\n{}", lines.join("\n"));

        let (shown, rows) = printed(&message(&text), window(80, 24));

        assert_eq!(rows, 12);
        assert_eq!(shown.matches("\r\n").count(), 12);
        assert!(
            shown.ends_with("      … 20 more rows: /show 5\r\n"),
            "{shown}"
        );
        let (shown, rows) = printed(&Block::lines(text.clone()), window(80, 24));
        assert_eq!((rows, shown.matches("\r\n").count()), (31, 31));
        let (_, rows) = printed(&message(&text), window(80, 0));
        assert_eq!(rows, 31, "nobody knows the height");
    }

    #[test]
    fn the_further_lines_of_a_message_are_marked_in_a_narrow_window_too() {
        let text =
            Scrollback::default().print(&message("  5 ann: a\n    | 78 bob: b"), window(10, 8));

        assert_eq!(text, "  5 ann: a\r\n | 78 bob:   b\r\n");
    }

    #[test]
    fn only_the_last_text_can_be_replaced() {
        let mut scrollback = Scrollback::default();
        let window = window(80, 24);
        scrollback.print_as("m", &message("one"), window);
        let new = scrollback.replace("m", "m", &message("two"), window);
        assert_eq!(
            new.as_deref(),
            Some("\u{1b}[1A\r\u{1b}[C\u{1b}[J\r\u{1b}[Ktwo\r\n")
        );

        scrollback.print(&message("three"), window);

        assert_eq!(scrollback.replace("m", "m", &message("four"), window), None);
    }
}
