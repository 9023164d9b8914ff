//! Output: above the line editor, or into a pipe.
//!
//! Does not decide what is shown. `chat` writes, `main` opens.

use std::io::{self, Write as _};

use crate::complete::Vocabulary;
use crate::pager::{PagerExit, Section};
use crate::prompt::{Request, Status, Terminal};
use crate::scrollback::Block;

/// Where the chat prints.
#[derive(Debug)]
pub enum Output {
    /// A terminal.
    Terminal {
        /// The handle to its thread.
        terminal: Terminal,
        /// Whether a prompt is shown.
        is_prompting: bool,
        /// The status sent last.
        status: Status,
    },
    /// A program or a file.
    Pipe {
        /// The reader has gone.
        closed: bool,
    },
}

impl Output {
    /// Shows text of one or more lines.
    pub fn show(&mut self, text: String) {
        self.show_block(Block::lines(text));
    }

    /// Shows a block.
    pub fn show_block(&mut self, block: Block) {
        match self {
            Self::Terminal { terminal, .. } => terminal.request(Request::Show(block)),
            Self::Pipe { closed } => {
                let text = block.text;
                let mut out = io::stdout().lock();
                *closed |= writeln!(out, "{text}").and_then(|()| out.flush()).is_err();
            }
        }
    }

    /// Shows an own message; in a terminal it replaces the line that was typed.
    pub fn show_typed(&mut self, name: &str, block: Block) {
        match self {
            Self::Terminal { terminal, .. } => {
                let name = name.to_owned();
                terminal.request(Request::ShowTyped { name, block });
            }
            Self::Pipe { .. } => self.show_block(block),
        }
    }

    /// Replaces a block if it is still the last one; otherwise shows `otherwise`.
    pub fn amend(&mut self, name: &str, block: Block, otherwise: String) {
        match self {
            Self::Terminal { terminal, .. } => {
                let name = name.to_owned();
                terminal.request(Request::Amend {
                    name,
                    block,
                    otherwise: Block::lines(otherwise),
                });
            }
            Self::Pipe { .. } => self.show(otherwise),
        }
    }

    /// Pages through part of a long text. `None` unless the output is a terminal.
    pub async fn page(&self, section: Section) -> Option<PagerExit> {
        let Self::Terminal { terminal, .. } = self else {
            return None;
        };
        let (answer, exit) = tokio::sync::oneshot::channel();
        terminal.request(Request::Page(section, answer));
        exit.await.ok()
    }

    /// The rows of the terminal; 0 if unknown.
    pub fn height() -> u16 {
        crossterm::terminal::size().map_or(0, |(_, rows)| rows)
    }

    /// Shows progress while a page is loaded. Returns whether to go on.
    pub async fn progress(&self, text: String) -> bool {
        let Self::Terminal { terminal, .. } = self else {
            return true;
        };
        let (answer, goes_on) = tokio::sync::oneshot::channel();
        terminal.request(Request::Progress(text, answer));
        goes_on.await.unwrap_or(false)
    }

    /// Updates the status row if it has changed.
    pub fn set_status(&mut self, now: Status) {
        if let Self::Terminal {
            terminal, status, ..
        } = self
            && *status != now
        {
            *status = now.clone();
            terminal.request(Request::Status(now));
        }
    }

    /// Adds words to complete.
    pub fn add_words(&self, news: Vocabulary) {
        if let Self::Terminal { terminal, .. } = self {
            terminal.request(Request::AddWords(news));
        }
    }

    /// Sets the file of recalled lines.
    pub fn recall_from(&self, path: std::path::PathBuf) {
        if let Self::Terminal { terminal, .. } = self {
            terminal.request(Request::Recall(path));
        }
    }

    /// Prompts for the next line.
    pub fn prompt(&mut self, prompt: String) {
        if let Self::Terminal {
            terminal,
            is_prompting,
            ..
        } = self
        {
            *is_prompting = true;
            terminal.request(Request::Prompt(prompt));
        }
    }

    /// A line has been received; the next can be typed after the next prompt.
    pub fn line_received(&mut self) {
        if let Self::Terminal { is_prompting, .. } = self {
            *is_prompting = false;
        }
    }

    /// Whether a prompt is shown.
    pub fn is_prompting(&self) -> bool {
        matches!(
            self,
            Self::Terminal {
                is_prompting: true,
                ..
            }
        )
    }

    /// Clears the screen of a terminal.
    pub fn clear(&self) {
        if let Self::Terminal { terminal, .. } = self {
            terminal.request(Request::Clear);
        }
    }

    /// Whether the output is a terminal.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// Whether the reader of the pipe has gone.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Pipe { closed: true })
    }
}
