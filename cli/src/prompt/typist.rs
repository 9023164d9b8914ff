//! The thread that has the terminal: carries out orders, and lets a line be typed in between.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use reedline::{Reedline, Signal};
use tokio::sync::mpsc::Sender;

use super::draft::Draft;
use super::front::{Front, INDICATOR, Unadorned};
use super::{Order, Typed};
use crate::layout;
use crate::pager::Pager;
use crate::paper::{Paper, clear_rows, write_codes};
use crate::recall::Recall;
use crate::tty::Quiet;

/// How long a message may wait before it is shown.
const POLL: Duration = Duration::from_millis(30);
/// The name under which the line that was typed last stands on the paper.
const TYPED: &str = "the line typed last";

pub(super) struct Typist {
    quiet: Quiet,
    orders: Receiver<Order>,
    typed: Sender<Typed>,
    wake: Arc<AtomicBool>,
    color: bool,
    recall: Recall,
    paper: Paper,
    pager: Pager,
    draft: Draft,
    /// The width for which the line was last painted.
    columns: Arc<AtomicU16>,
    /// What stands in front of the line; none while a command is carried out.
    prompt: Option<String>,
    interrupted: bool,
}

impl Typist {
    pub(super) fn new(
        quiet: Quiet,
        orders: Receiver<Order>,
        typed: Sender<Typed>,
        wake: Arc<AtomicBool>,
        color: bool,
    ) -> Self {
        Self {
            quiet,
            orders,
            typed,
            wake,
            color,
            recall: Recall::default(),
            paper: Paper::default(),
            pager: Pager::default(),
            draft: Draft::default(),
            columns: Arc::default(),
            prompt: None,
            interrupted: false,
        }
    }

    /// Goes on until it is told to close, or the terminal is gone.
    pub(super) fn run(&mut self) -> io::Result<()> {
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
                    self.paper
                        .stands(TYPED, &format!("{front}{INDICATOR}{line}"))?;
                    self.tell(Typed::Line(line));
                }
                Signal::CtrlC if !self.interrupted => {
                    self.interrupted = true;
                    self.paper
                        .print("· Ctrl-C once more leaves, as do q and Ctrl-D")?;
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

    /// Carries out what waits, and waits itself until a line may be typed. Nothing when it is time
    /// to close.
    fn carry_out_orders(&mut self) -> io::Result<Option<String>> {
        loop {
            self.quiet.keys_only(self.prompt.is_some())?;
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
                Order::Show(text) => self.paper.print(&text)?,
                Order::ShowTyped { name, text } => {
                    if !self.paper.replace(TYPED, &name, &text)? {
                        self.paper.print_as(&name, &text)?;
                    }
                }
                Order::Amend {
                    name,
                    text,
                    otherwise,
                } => {
                    if !self.paper.replace(&name, &name, &text)? {
                        self.paper.print(&otherwise)?;
                    }
                }
                Order::Prompt(front) => {
                    self.pager = Pager::default();
                    self.prompt = Some(front);
                }
                Order::Page(lines, answer) => {
                    self.paper.forget();
                    let wants_more = self.pager.show(&lines, &|| answer.is_closed())?;
                    // Whoever asked may have given up.
                    let _ = answer.send(wants_more);
                }
                Order::Clear => {
                    self.paper.forget();
                    write_codes("\u{1b}[2J\u{1b}[3J\u{1b}[H")?;
                }
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
        let before_cursor = format!("{front}{INDICATOR}{}", self.draft.before_cursor());
        let (columns, _) = crossterm::terminal::size()?;
        // Where the width has just changed and the line was not painted anew, rather leave a row of
        // the line behind than erase a message above it.
        let painted = self.columns.load(Ordering::Relaxed);
        let rows = layout::cursor_row(&before_cursor, columns)
            .min(layout::cursor_row(&before_cursor, painted));
        write_codes(&clear_rows(rows))
    }
}

fn keys() -> reedline::Keybindings {
    let mut keys = reedline::default_emacs_keybindings();
    // The search in the history draws a line of its own, which could not be found again under a
    // message.
    keys.remove_binding(
        reedline::KeyModifiers::CONTROL,
        reedline::KeyCode::Char('r'),
    );
    keys
}
