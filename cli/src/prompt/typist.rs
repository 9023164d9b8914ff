//! The thread that owns the terminal: carries out requests one by one, and paints the line between.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use crossterm::event::Event;
use tokio::sync::mpsc::Sender;

use super::ahead::Ahead;
use super::area::{INDICATOR, Scene};
use super::canvas::Canvas;
use super::line::{Act, Line};
use super::menu::Menu;
use super::status::Status;
use super::{Happening, Order, Typed, suspend};
use crate::complete::Known;
use crate::paper::{Block, Paper};
use crate::recall::Recall;
use crate::text::harmless;
use crate::tty::Quiet;

/// A command that runs longer than this shows the busy indicator.
const LONG: Duration = Duration::from_millis(200);
/// The prompt while a command takes its time.
const BUSY: &str = "…";
/// Queue slots that type-ahead reports leave free, so that entered lines find room.
const SPARE: usize = 8;
/// The name, in the scrollback, of the line entered last.
const TYPED: &str = "the line typed last";

pub(super) struct Typist {
    pub(super) quiet: Quiet,
    pub(super) happenings: Receiver<Happening>,
    /// Deferred while something else was waited for.
    pub(super) backlog: VecDeque<Happening>,
    /// Keys pressed before the prompt.
    pub(super) held: VecDeque<Event>,
    /// Text pasted into the pager: it is meant for the line.
    pub(super) pasted: Vec<String>,
    pub(super) is_closing: Arc<AtomicBool>,
    pub(super) canvas: Canvas,
    pub(super) paper: Paper,
    /// Rows filled since the pager last asked.
    pub(super) rows_used: usize,
    /// The cursor's row holds text that is not to stay.
    pub(super) has_said: bool,
    typed: Sender<Typed>,
    has_color: bool,
    line: Line,
    known: Known,
    status: Status,
    /// The prompt; `None` while a command runs.
    prompt: Option<String>,
    interrupted: bool,
    /// Predicts the lines that the held keys will form.
    ahead: Ahead,
}

impl Typist {
    pub(super) fn new(
        quiet: Quiet,
        happenings: Receiver<Happening>,
        typed: Sender<Typed>,
        is_closing: Arc<AtomicBool>,
        has_color: bool,
        has_codes: bool,
    ) -> Self {
        Self {
            quiet,
            happenings,
            backlog: VecDeque::new(),
            held: VecDeque::new(),
            pasted: Vec::new(),
            is_closing,
            canvas: Canvas::new(has_codes),
            paper: Paper::default(),
            rows_used: 0,
            has_said: false,
            typed,
            has_color,
            line: Line::new(Recall::default()),
            known: Known::default(),
            status: Status::default(),
            prompt: None,
            interrupted: false,
            ahead: Ahead::new(),
        }
    }

    /// Runs until it is asked to close or the terminal is gone.
    pub(super) fn run(&mut self) -> io::Result<()> {
        while !self.is_closing.load(Ordering::Acquire) {
            let Some(happening) = self.next()? else { break };
            if !self.take(happening)? {
                break;
            }
        }
        // Saves the unfinished line, and what buffered keys add to it, for recall in the next run.
        self.take_pasted();
        self.hold_what_came();
        while let Some(event) = self.held.pop_front() {
            self.line.press(event, &self.known);
        }
        self.line.take();
        self.canvas.erase();
        self.canvas.flush()
    }

    /// Takes in the keys that were pressed before closing.
    fn hold_what_came(&mut self) {
        let came = self.backlog.drain(..).chain(self.happenings.try_iter());
        self.held
            .extend(came.filter_map(|happening| match happening {
                Happening::Key(event) => Some(event),
                _ => None,
            }));
    }

    /// The next event. Whatever came before it has been painted.
    fn next(&mut self) -> io::Result<Option<Happening>> {
        if let Some(happening) = self.backlog.pop_front() {
            return Ok(Some(happening));
        }
        match self.happenings.try_recv() {
            Ok(happening) => Ok(Some(happening)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.paint();
                self.canvas.flush()?;
                self.wait()
            }
        }
    }

    /// Waits for the next event. While a command takes its time, the status stays in view.
    fn wait(&mut self) -> io::Result<Option<Happening>> {
        if self.prompt.is_none() && !self.has_said && self.canvas.has_codes() {
            match self.happenings.recv_timeout(LONG) {
                Ok(happening) => return Ok(Some(happening)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.canvas.is_busy = true;
            self.canvas.paint(Scene {
                status: &self.status,
                front: BUSY,
                text: "",
                cursor: 0,
                menu: None,
                has_color: self.has_color,
            });
            self.canvas.flush()?;
        }
        Ok(self.happenings.recv().ok())
    }

    /// Handles an event. Returns false when the thread is to end.
    fn take(&mut self, happening: Happening) -> io::Result<bool> {
        match happening {
            Happening::Order(Order::Close) | Happening::Gone => return Ok(false),
            Happening::Order(order) => self.carry_out(order)?,
            Happening::Key(event) if self.prompt.is_some() => self.press(event)?,
            Happening::Key(event) => {
                self.foresee(event.clone());
                self.held.push_back(event);
            }
            Happening::Suspend => self.suspend()?,
            Happening::Continued => self.go_on()?,
        }
        self.tell_ahead();
        Ok(true)
    }

    /// Saves an entered line early: the program may have ended when its turn comes.
    fn foresee(&mut self, event: Event) {
        if let Some(ended) = self.ahead.press(event, &self.line, &self.known) {
            self.line.save_early(ended);
        }
    }

    /// Predicts anew what the held keys will form.
    fn foresee_anew(&mut self) {
        self.ahead.forget();
        for event in self.held.clone() {
            self.ahead.press(event, &self.line, &self.known);
        }
    }

    fn tell_ahead(&mut self) {
        if self.typed.capacity() > SPARE
            && let Some(lines) = self.ahead.news()
            && self.typed.try_send(Typed::Ahead(lines)).is_ok()
        {
            self.ahead.told();
        }
    }

    /// If the terminal has wrapped all rows again, lays out the visible ones anew.
    fn lay_out_anew(&mut self) {
        let Some((above, room)) = self.canvas.reflowed(self.paper.printed()) else {
            return;
        };
        let (rows, text) = self.paper.lay_out_anew(self.canvas.window(), room);
        self.canvas.replace(above + rows, &text);
    }

    fn carry_out(&mut self, order: Order) -> io::Result<()> {
        self.lay_out_anew();
        let window = self.canvas.window();
        if !matches!(order, Order::Working(..)) {
            self.unsay()?;
        }
        match order {
            Order::Show(block) => self.print(&block)?,
            Order::ShowTyped { name, block } => {
                let text = self.paper.replace(TYPED, &name, &block, window);
                let text = text.unwrap_or_else(|| self.paper.print_as(&name, &block, window));
                self.canvas.print(&text)?;
            }
            Order::Amend {
                name,
                block,
                otherwise,
            } => match self.paper.replace(&name, &name, &block, window) {
                Some(text) => self.canvas.print(&text)?,
                None => self.print(&otherwise)?,
            },
            Order::Prompt(front) => {
                self.rows_used = 0;
                self.prompt = Some(front);
                self.quiet.keys_only(true)?;
                self.take_pasted();
                while self.prompt.is_some()
                    && let Some(event) = self.held.pop_front()
                {
                    self.press(event)?;
                }
                if self.prompt.is_some() {
                    self.ahead.forget();
                } else if self.ahead.is_fresh() {
                    self.foresee_anew();
                }
            }
            Order::Status(status) => self.status = status,
            Order::Know(news) => self.known.add(news),
            Order::Recall(path) => self.line.use_recall(Recall::open(&path)),
            Order::Page(sheet, answer) => {
                self.paper.forget();
                let turn = self.page(&sheet, &|| answer.is_closed())?;
                self.ahead.forget();
                // Whoever asked may have given up.
                let _ = answer.send(turn);
            }
            Order::Working(text, answer) => {
                let goes_on = self.working(&text)?;
                self.ahead.forget();
                let _ = answer.send(goes_on);
            }
            Order::Clear => self.clear()?,
            Order::Close => {}
        }
        Ok(())
    }

    /// Prints a block that cannot be replaced.
    fn print(&mut self, block: &Block) -> io::Result<()> {
        let text = self.paper.print(block, self.canvas.window());
        self.canvas.print(&text)
    }

    fn note(&mut self, text: &str) -> io::Result<()> {
        self.print(&Block::lines(format!("· {text}")))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.paper.cleared();
        if self.canvas.has_codes() {
            self.canvas.print("\u{1b}[2J\u{1b}[3J\u{1b}[H")?;
        }
        Ok(())
    }

    fn press(&mut self, event: Event) -> io::Result<()> {
        match self.line.press(event, &self.known) {
            Act::Edit => self.interrupted = false,
            Act::Submit(line) => self.submit(line)?,
            Act::Interrupt if !self.interrupted => {
                self.interrupted = true;
                let dropped = self.line.take();
                let back = if dropped.is_empty() {
                    ""
                } else {
                    "; arrow up brings the line back"
                };
                self.note(&format!(
                    "Ctrl-C once more leaves, as do q and Ctrl-D{back}"
                ))?;
            }
            Act::Interrupt | Act::Leave => {
                self.prompt = None;
                self.tell(Typed::Leave);
            }
            Act::Suspend => self.suspend()?,
            Act::Clear => self.clear()?,
        }
        Ok(())
    }

    /// Inserts what was pasted into the pager.
    fn take_pasted(&mut self) {
        for text in std::mem::take(&mut self.pasted) {
            self.line.press(Event::Paste(text), &self.known);
        }
    }

    fn submit(&mut self, line: String) -> io::Result<()> {
        self.interrupted = false;
        let front = self.prompt.take().unwrap_or_default();
        if self.canvas.has_codes() {
            let shown = harmless(&line).replace('\n', "\n    | ");
            let block = Block::message(format!("{front}{INDICATOR}{shown}"), "arrow up".into());
            let text = self.paper.print_as(TYPED, &block, self.canvas.window());
            self.canvas.print(&text)?;
        }
        self.quiet.keys_only(false)?;
        self.paint();
        self.canvas.flush()?;
        if !self.ahead.taken(&line) {
            self.ahead.forget();
        }
        self.tell(Typed::Line(line));
        Ok(())
    }

    fn tell(&self, typed: Typed) {
        // The receiver is gone only while the program exits.
        let _ = self.typed.blocking_send(typed);
    }

    fn paint(&mut self) {
        self.lay_out_anew();
        let Some(front) = &self.prompt else {
            if !self.canvas.is_busy {
                self.canvas.erase();
            }
            return;
        };
        self.canvas.is_busy = false;
        self.canvas.paint(Scene {
            status: &self.status,
            front,
            text: self.line.text(),
            cursor: self.line.cursor(),
            menu: self.line.menu().map(Menu::shown),
            has_color: self.has_color,
        });
    }

    /// Restores the terminal and stops, until the program is resumed.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        if !suspend::can_stop() {
            return self.note("there is no shell to come back from; q leaves");
        }
        self.canvas.erase();
        self.canvas.flush()?;
        self.quiet.give_back()?;
        suspend::stop();
        // Events that arrive until then can wait.
        while let Ok(happening) = self.happenings.recv() {
            match happening {
                Happening::Continued => break,
                other => self.backlog.push_back(other),
            }
            if self.is_closing.load(Ordering::Acquire) {
                return Ok(());
            }
        }
        self.go_on()
    }

    /// Takes the terminal back after other programs have used it.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        self.quiet.take_again(self.prompt.is_some())?;
        self.paper.forget();
        self.canvas.forget();
        if self.canvas.has_codes() {
            self.canvas.print("\r\u{1b}[J")?;
        }
        Ok(())
    }
}
