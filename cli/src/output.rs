//! Where lines go: above the line being typed, or into a pipe.
//!
//! Decides nothing about what is shown. `chat` writes, `main` opens.

use std::io::{self, Write as _};

use crate::complete::Known;
use crate::pager::{Sheet, Turn};
use crate::paper::Block;
use crate::prompt::{Order, Status, Terminal};

/// See the module.
#[derive(Debug)]
pub enum Output {
    /// A person reads along.
    Terminal {
        /// Where the person sits.
        terminal: Terminal,
        /// A line may be typed now.
        asking: bool,
        /// What was last told of where one is.
        status: Status,
    },
    /// A program or a file; true once nobody reads any more.
    Pipe {
        /// The reader has gone.
        closed: bool,
    },
}

impl Output {
    /// Shows a text of one or more lines.
    pub fn show(&mut self, text: String) {
        self.show_block(Block::lines(text));
    }

    /// Shows lines or a message.
    pub fn show_block(&mut self, block: Block) {
        match self {
            Self::Terminal { terminal, .. } => terminal.order(Order::Show(block)),
            Self::Pipe { closed } => {
                let text = block.text;
                let mut out = io::stdout().lock();
                *closed |= writeln!(out, "{text}").and_then(|()| out.flush()).is_err();
            }
        }
    }

    /// Shows an own message; in a terminal in place of the line that was typed.
    pub fn show_typed(&mut self, name: &str, block: Block) {
        match self {
            Self::Terminal { terminal, .. } => {
                let name = name.to_owned();
                terminal.order(Order::ShowTyped { name, block });
            }
            Self::Pipe { .. } => self.show_block(block),
        }
    }

    /// Writes anew what was shown under a name, where it is still the last; else says something.
    pub fn amend(&mut self, name: &str, block: Block, otherwise: String) {
        match self {
            Self::Terminal { terminal, .. } => {
                let name = name.to_owned();
                terminal.order(Order::Amend {
                    name,
                    block,
                    otherwise: Block::lines(otherwise),
                });
            }
            Self::Pipe { .. } => self.show(otherwise),
        }
    }

    /// Shows a part of a long text in a terminal, a screenful at a time. Nothing where there is none.
    pub async fn page(&self, sheet: Sheet) -> Option<Turn> {
        let Self::Terminal { terminal, .. } = self else {
            return None;
        };
        let (answer, turn) = tokio::sync::oneshot::channel();
        terminal.order(Order::Page(sheet, answer));
        turn.await.ok()
    }

    /// The rows of the terminal.
    pub fn height() -> u16 {
        crossterm::terminal::size().map_or(0, |(_, rows)| rows)
    }

    /// Says what goes on while a page is looked for. Returns whether to go on.
    pub async fn working(&self, text: String) -> bool {
        let Self::Terminal { terminal, .. } = self else {
            return true;
        };
        let (answer, goes_on) = tokio::sync::oneshot::channel();
        terminal.order(Order::Working(text, answer));
        goes_on.await.unwrap_or(false)
    }

    /// Tells a person where they are, where that has changed.
    pub fn tell_status(&mut self, now: Status) {
        if let Self::Terminal {
            terminal, status, ..
        } = self
            && *status != now
        {
            *status = now.clone();
            terminal.order(Order::Status(now));
        }
    }

    /// What else words can become while they are typed.
    pub fn tell_known(&self, news: Known) {
        if let Self::Terminal { terminal, .. } = self {
            terminal.order(Order::Know(news));
        }
    }

    /// Where the lines typed from now on are kept.
    pub fn keep_lines_in(&self, path: std::path::PathBuf) {
        if let Self::Terminal { terminal, .. } = self {
            terminal.order(Order::Recall(path));
        }
    }

    /// Asks for the next line, with this in front of it.
    pub fn prompt(&mut self, front: String) {
        if let Self::Terminal {
            terminal, asking, ..
        } = self
        {
            *asking = true;
            terminal.order(Order::Prompt(front));
        }
    }

    /// A line has come; the next can be typed once it is asked for.
    pub fn line_taken(&mut self) {
        if let Self::Terminal { asking, .. } = self {
            *asking = false;
        }
    }

    /// Whether somebody may be typing a line.
    pub fn is_asking(&self) -> bool {
        matches!(self, Self::Terminal { asking: true, .. })
    }

    /// Empties the screen; what is in a pipe stays.
    pub fn clear(&self) {
        if let Self::Terminal { terminal, .. } = self {
            terminal.order(Order::Clear);
        }
    }

    /// Whether a person reads along.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Pipe { closed: true })
    }
}
