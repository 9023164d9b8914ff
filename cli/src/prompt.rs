//! The line being typed, and whatever is printed above it: reedline on a thread of its own.
//!
//! Knows nothing of chats: it takes [`Order`]s and gives out what was typed. reedline's own printer for such messages
//! guesses the rows of the line from its bytes, and erases or repeats rows when the line has wide characters, accents
//! or is wrapped. So the editor is left instead, with its line and cursor; the rows that the line really takes are
//! cleared, the messages printed, and a fresh editor goes on where the former was.

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use reedline::{
    EditCommand, Granularity, Highlighter, Prompt, PromptEditMode, PromptHistorySearch, Reedline,
    Signal, SimpleMatchHighlighter, StyledText,
};

use crate::layout;
use crate::pager::Pager;
use crate::recall::Recall;
use crate::tty;

/// How long a message may wait before it is shown.
const POLL: Duration = Duration::from_millis(30);
/// How many orders may wait; whoever sends more waits for the terminal.
const ORDERS: usize = 1024;

/// What the terminal is to do.
pub enum Order {
    /// Print this above the line being typed.
    Show(String),
    /// Ask for the next line, with this in front of it. Until then nothing can be typed.
    Prompt(String),
    /// Print this a screenful at a time; the answer is whether the reader wants more.
    Page(Vec<String>, tokio::sync::oneshot::Sender<bool>),
    /// Empty the screen.
    Clear,
    /// Give the terminal back.
    Close,
}

/// What the person did.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Ended a line.
    Line(String),
    /// Wants to leave: Ctrl-D on an empty line, or Ctrl-C twice.
    Leave,
}

/// The other end of the terminal's thread.
#[derive(Debug)]
pub struct Terminal {
    orders: SyncSender<Order>,
    wake: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Terminal {
    /// Takes over the terminal. Nothing can be typed before the first [`Order::Prompt`].
    ///
    /// # Errors
    /// The terminal does not take the settings, or there can be no further thread.
    pub fn open(color: bool) -> io::Result<(Self, tokio::sync::mpsc::Receiver<Typed>)> {
        let quiet = tty::Quiet::begin()?;
        let (orders, waiting) = mpsc::sync_channel(ORDERS);
        let (typed, lines) = tokio::sync::mpsc::channel(16);
        let wake = Arc::new(AtomicBool::new(false));
        let mut typist = Typist {
            orders: waiting,
            typed,
            wake: Arc::clone(&wake),
            recall: Recall::default(),
            columns: Arc::new(AtomicU16::new(0)),
            color,
            prompt: None,
            draft: Draft::default(),
            pager: Pager::default(),
            interrupted: false,
        };
        let thread = std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || {
                let _quiet = quiet;
                // The terminal is gone: whoever waits for a line learns it by the closed channel.
                let _ = typist.run();
            })?;
        Ok((
            Self {
                orders,
                wake,
                thread: Some(thread),
            },
            lines,
        ))
    }

    /// Hands over an order; waits while too many are not yet carried out.
    pub fn order(&self, order: Order) {
        self.wake.store(true, Ordering::Release);
        // An order that nobody takes any more has no terminal to be carried out on.
        let _ = self.orders.send(order);
        self.wake.store(true, Ordering::Release);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.order(Order::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is on the line while no editor holds it.
#[derive(Debug, Default)]
struct Draft {
    line: String,
    cursor: usize,
    cut: String,
}

impl Draft {
    fn take_from(editor: &mut Reedline, line: String) -> Self {
        let cursor = editor.current_insertion_point();
        editor.run_edit_commands(&[EditCommand::Clear, EditCommand::PasteCutBufferBefore]);
        Self {
            line,
            cursor,
            cut: editor.current_buffer_contents().to_owned(),
        }
    }

    fn put_into(self, editor: &mut Reedline) {
        if !self.cut.is_empty() {
            let cut = EditCommand::CutSelection {
                granularity: Granularity::CharWise,
            };
            editor.run_edit_commands(&[
                EditCommand::InsertString(self.cut),
                EditCommand::SelectAll,
                cut,
            ]);
        }
        if !self.line.is_empty() {
            let back = EditCommand::MoveToPosition {
                position: self.cursor,
                select: false,
            };
            editor.run_edit_commands(&[EditCommand::InsertString(self.line), back]);
        }
    }
}

struct Typist {
    orders: Receiver<Order>,
    typed: tokio::sync::mpsc::Sender<Typed>,
    wake: Arc<AtomicBool>,
    recall: Recall,
    /// The width for which the line was last painted.
    columns: Arc<AtomicU16>,
    color: bool,
    /// What stands in front of the line; none while a command is carried out.
    prompt: Option<String>,
    draft: Draft,
    pager: Pager,
    interrupted: bool,
}

impl Typist {
    fn run(&mut self) -> io::Result<()> {
        loop {
            self.wake.store(false, Ordering::Release);
            let Some(front) = self.carry_out_orders()? else {
                return Ok(());
            };
            let mut editor = self.editor();
            std::mem::take(&mut self.draft).put_into(&mut editor);
            match editor.read_line(&Front(front.clone()))? {
                Signal::ExternalBreak(line) => {
                    self.draft = Draft::take_from(&mut editor, line);
                    self.erase_line(&front)?;
                }
                Signal::Success(line) => {
                    self.interrupted = false;
                    self.prompt = None;
                    self.tell(Typed::Line(line));
                }
                Signal::CtrlC if !self.interrupted => {
                    self.interrupted = true;
                    print("· Ctrl-C once more leaves, as do q and Ctrl-D")?;
                }
                _ => {
                    self.prompt = None;
                    self.tell(Typed::Leave);
                }
            }
        }
    }

    fn tell(&self, typed: Typed) {
        // Nobody listens any more only when the program ends.
        let _ = self.typed.blocking_send(typed);
    }

    /// Carries out what waits, and waits itself until a line may be typed. Nothing when it is time to close.
    fn carry_out_orders(&mut self) -> io::Result<Option<String>> {
        loop {
            let order = match (&self.prompt, self.orders.try_recv()) {
                (_, Ok(order)) => order,
                (Some(front), Err(TryRecvError::Empty)) => return Ok(Some(front.clone())),
                (None, Err(TryRecvError::Empty)) => match self.orders.recv() {
                    Ok(order) => order,
                    Err(_) => return Ok(None),
                },
                (_, Err(TryRecvError::Disconnected)) => return Ok(None),
            };
            match order {
                Order::Show(text) => print(&text)?,
                Order::Prompt(front) => {
                    self.pager = Pager::default();
                    self.prompt = Some(front);
                }
                Order::Page(lines, answer) => {
                    let wants_more = self.pager.show(&lines, &|| answer.is_closed())?;
                    // Whoever asked may have given up.
                    let _ = answer.send(wants_more);
                }
                Order::Clear => write("\u{1b}[2J\u{1b}[3J\u{1b}[H")?,
                Order::Close => return Ok(None),
            }
        }
    }

    fn editor(&self) -> Reedline {
        Reedline::create()
            .with_history(Box::new(self.recall.clone()))
            .with_highlighter(Box::new(Unadorned(Arc::clone(&self.columns))))
            .with_ansi_colors(self.color)
            .with_edit_mode(Box::new(reedline::Emacs::new(keys())))
            .with_break_signal(Arc::clone(&self.wake))
            .with_poll_interval(POLL)
    }

    /// Clears the rows of the line being typed and leaves the cursor where they began.
    fn erase_line(&self, front: &str) -> io::Result<()> {
        let before_cursor = format!(
            "{front}{INDICATOR}{}",
            &self.draft.line[..self.draft.cursor]
        );
        let (columns, _) = crossterm::terminal::size()?;
        // Where the width has just changed and the line was not painted anew, rather leave a row of the line behind
        // than erase a message above it.
        let painted = self.columns.load(Ordering::Relaxed);
        let rows = layout::cursor_row(&before_cursor, columns)
            .min(layout::cursor_row(&before_cursor, painted));
        let up = if rows > 0 {
            format!("\u{1b}[{rows}A")
        } else {
            String::new()
        };
        // Clearing from the second column and then the row: tmux takes a clear from the home position for a request
        // to keep the whole screen.
        write(&format!("{up}\r\u{1b}[C\u{1b}[J\r\u{1b}[K"))
    }
}

fn keys() -> reedline::Keybindings {
    let mut keys = reedline::default_emacs_keybindings();
    // The search in the history draws a line of its own, which could not be found again under a message.
    keys.remove_binding(
        reedline::KeyModifiers::CONTROL,
        reedline::KeyCode::Char('r'),
    );
    keys
}

fn print(text: &str) -> io::Result<()> {
    write(&(text.replace('\n', "\r\n") + "\r\n"))
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

const INDICATOR: &str = "> ";

/// What stands in front of the line.
struct Front(String);

impl Prompt for Front {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed(INDICATOR)
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_history_search_indicator(&self, _search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Borrowed(INDICATOR)
    }
}

/// Shows the line as it is, and keeps for which width: it is asked at every painting.
struct Unadorned(Arc<AtomicU16>);

impl Highlighter for Unadorned {
    fn highlight(&self, line: &str, cursor: usize) -> StyledText {
        let columns = crossterm::terminal::size().map_or(0, |(columns, _)| columns);
        self.0.store(columns, Ordering::Relaxed);
        SimpleMatchHighlighter::default().highlight(line, cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editor_with(draft: Draft) -> Reedline {
        let mut editor = Reedline::create();
        draft.put_into(&mut editor);
        editor
    }

    #[test]
    fn a_fresh_editor_goes_on_with_line_and_cursor() {
        let editor = editor_with(Draft {
            line: "a héllo 日本".into(),
            cursor: 5,
            cut: String::new(),
        });

        assert_eq!(editor.current_buffer_contents(), "a héllo 日本");
        assert_eq!(editor.current_insertion_point(), 5);
    }

    #[test]
    fn what_was_cut_can_still_be_put_back() {
        let mut first = editor_with(Draft {
            line: "a one two".into(),
            cursor: 5,
            cut: String::new(),
        });
        first.run_edit_commands(&[EditCommand::CutToLineEnd]);
        let line = first.current_buffer_contents().to_owned();

        let mut second = editor_with(Draft::take_from(&mut first, line));

        assert_eq!(second.current_buffer_contents(), "a one");
        second.run_edit_commands(&[EditCommand::PasteCutBufferBefore]);
        assert_eq!(second.current_buffer_contents(), "a one two");
    }
}
