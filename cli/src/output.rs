//! Where lines go: above the line being typed, or into a pipe.
//!
//! Decides nothing about what is shown. `chat` writes, `main` opens.

use std::io::{self, Write as _};

use crate::prompt::{Order, Terminal};

/// See the module.
#[derive(Debug)]
pub enum Output {
    /// A person reads along.
    Terminal {
        /// Where the person sits.
        terminal: Terminal,
        /// A line may be typed now.
        asking: bool,
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
        match self {
            Self::Terminal { terminal, .. } => terminal.order(Order::Show(text)),
            Self::Pipe { closed } => {
                let mut out = io::stdout().lock();
                *closed |= writeln!(out, "{text}").and_then(|()| out.flush()).is_err();
            }
        }
    }

    /// Shows an own message; in a terminal in place of the line that was typed.
    pub fn show_typed(&mut self, name: &str, text: String) {
        match self {
            Self::Terminal { terminal, .. } => {
                let name = name.to_owned();
                terminal.order(Order::ShowTyped { name, text });
            }
            Self::Pipe { .. } => self.show(text),
        }
    }

    /// Writes anew what was shown under a name, where it is still the last; else says something.
    pub fn amend(&mut self, name: &str, text: String, otherwise: String) {
        match self {
            Self::Terminal { terminal, .. } => {
                let name = name.to_owned();
                terminal.order(Order::Amend {
                    name,
                    text,
                    otherwise,
                });
            }
            Self::Pipe { .. } => self.show(otherwise),
        }
    }

    /// Shows a long text; in a terminal one screenful at a time. Returns whether more of it is
    /// wanted.
    pub async fn page(&mut self, lines: Vec<String>) -> bool {
        if let Self::Terminal { terminal, .. } = self {
            let (answer, wants_more) = tokio::sync::oneshot::channel();
            terminal.order(Order::Page(lines, answer));
            return wants_more.await.unwrap_or(false);
        }
        for line in lines {
            self.show(line);
        }
        !self.is_closed()
    }

    /// Asks for the next line, with this in front of it.
    pub fn prompt(&mut self, front: String) {
        if let Self::Terminal { terminal, asking } = self {
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
