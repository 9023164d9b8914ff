//! The thread that owns the terminal: carries out requests one by one, and paints the line between.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use crossterm::event::Event;
use tokio::sync::mpsc::Sender;

use super::area::{INDICATOR, Scene};
use super::canvas::Canvas;
use super::line::{KeyAction, LineEditor};
use super::menu::Menu;
use super::prediction::Prediction;
use super::status::Status;
use super::{Request, TerminalEvent, Typed};
use crate::complete::Vocabulary;
use crate::recall::Recall;
use crate::scrollback::{Block, Scrollback};
use crate::text::sanitised;
use crate::tty::TerminalMode;

/// A command that runs longer than this shows the busy indicator.
const LONG: Duration = Duration::from_millis(200);
/// The prompt while a command takes its time.
const BUSY: &str = "…";
/// Queue slots that type-ahead reports leave free, so that entered lines find room.
const SPARE: usize = 8;
/// The name, in the scrollback, of the line entered last.
const TYPED: &str = "the line typed last";

pub(super) struct TerminalThread {
    pub(super) mode: TerminalMode,
    pub(super) events: Receiver<TerminalEvent>,
    /// Deferred while something else was waited for.
    pub(super) backlog: VecDeque<TerminalEvent>,
    /// Keys pressed before the prompt.
    pub(super) held: VecDeque<Event>,
    /// Text pasted into the pager: it is meant for the line.
    pub(super) pasted: Vec<String>,
    pub(super) is_closing: Arc<AtomicBool>,
    pub(super) canvas: Canvas,
    pub(super) scrollback: Scrollback,
    /// Rows filled since the pager last asked.
    pub(super) rows_used: usize,
    /// The cursor's row holds text that is not to stay.
    pub(super) has_said: bool,
    typed: Sender<Typed>,
    has_color: bool,
    line: LineEditor,
    vocabulary: Vocabulary,
    status: Status,
    /// The prompt; `None` while a command runs.
    pub(super) prompt: Option<String>,
    interrupted: bool,
    /// Predicts the lines that the held keys will form.
    prediction: Prediction,
}

impl TerminalThread {
    pub(super) fn new(
        mode: TerminalMode,
        events: Receiver<TerminalEvent>,
        typed: Sender<Typed>,
        is_closing: Arc<AtomicBool>,
        has_color: bool,
        has_codes: bool,
    ) -> Self {
        Self {
            mode,
            events,
            backlog: VecDeque::new(),
            held: VecDeque::new(),
            pasted: Vec::new(),
            is_closing,
            canvas: Canvas::new(has_codes),
            scrollback: Scrollback::default(),
            rows_used: 0,
            has_said: false,
            typed,
            has_color,
            line: LineEditor::new(Recall::default()),
            vocabulary: Vocabulary::default(),
            status: Status::default(),
            prompt: None,
            interrupted: false,
            prediction: Prediction::new(),
        }
    }

    /// Runs until it is asked to close or the terminal is gone.
    pub(super) fn run(&mut self) -> io::Result<()> {
        while !self.is_closing.load(Ordering::Acquire) {
            let Some(event) = self.next()? else { break };
            if !self.take(event)? {
                break;
            }
        }
        // Saves the unfinished line, and what buffered keys add to it, for recall in the next run.
        self.take_pasted();
        self.hold_what_came();
        while let Some(event) = self.held.pop_front() {
            self.line.press(event, &self.vocabulary);
        }
        self.line.take();
        self.canvas.erase();
        self.canvas.flush()
    }

    /// Takes in the keys that were pressed before closing.
    fn hold_what_came(&mut self) {
        let came = self.backlog.drain(..).chain(self.events.try_iter());
        self.held.extend(came.filter_map(|event| match event {
            TerminalEvent::Key(event) => Some(event),
            _ => None,
        }));
    }

    /// The next event. Whatever came before it has been painted.
    fn next(&mut self) -> io::Result<Option<TerminalEvent>> {
        if let Some(event) = self.backlog.pop_front() {
            return Ok(Some(event));
        }
        match self.events.try_recv() {
            Ok(event) => Ok(Some(event)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.paint();
                self.canvas.flush()?;
                self.wait()
            }
        }
    }

    /// Waits for the next event. While a command takes its time, the status stays in view.
    fn wait(&mut self) -> io::Result<Option<TerminalEvent>> {
        if self.prompt.is_none() && !self.has_said && self.canvas.has_codes() {
            match self.events.recv_timeout(LONG) {
                Ok(event) => return Ok(Some(event)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.canvas.is_busy = true;
            self.canvas.paint(Scene {
                status: &self.status,
                prompt: BUSY,
                text: "",
                cursor: 0,
                menu: None,
                has_color: self.has_color,
            });
            self.canvas.flush()?;
        }
        Ok(self.events.recv().ok())
    }

    /// Handles an event. Returns false when the thread is to end.
    fn take(&mut self, event: TerminalEvent) -> io::Result<bool> {
        match event {
            TerminalEvent::Request(Request::Close) | TerminalEvent::Gone => return Ok(false),
            TerminalEvent::Request(request) => self.carry_out(request)?,
            TerminalEvent::Key(event) if self.prompt.is_some() => self.press(event)?,
            TerminalEvent::Key(event) => {
                self.predict(event.clone());
                self.held.push_back(event);
            }
            TerminalEvent::Suspend => self.suspend()?,
            TerminalEvent::Continued => self.go_on()?,
        }
        self.report_prediction();
        Ok(true)
    }

    /// Saves an entered line early: the program may have ended when its turn comes.
    fn predict(&mut self, event: Event) {
        if let Some(ended) = self.prediction.press(event, &self.line, &self.vocabulary) {
            self.line.save_early(ended);
        }
    }

    /// Predicts anew what the held keys will form.
    fn predict_anew(&mut self) {
        self.prediction.forget();
        for event in self.held.clone() {
            self.prediction.press(event, &self.line, &self.vocabulary);
        }
    }

    fn report_prediction(&mut self) {
        if self.typed.capacity() > SPARE
            && let Some(lines) = self.prediction.unreported()
            && self.typed.try_send(Typed::Early(lines)).is_ok()
        {
            self.prediction.reported();
        }
    }

    /// If the terminal has wrapped all rows again, lays out the visible ones anew.
    fn lay_out_anew(&mut self) {
        let Some((above, room)) = self.canvas.reflowed(self.scrollback.printed()) else {
            return;
        };
        let (rows, text) = self.scrollback.lay_out_anew(self.canvas.window(), room);
        self.canvas.replace(above + rows, &text);
    }

    fn carry_out(&mut self, request: Request) -> io::Result<()> {
        self.lay_out_anew();
        let window = self.canvas.window();
        if !matches!(request, Request::Progress(..)) {
            self.unsay()?;
        }
        match request {
            Request::Show(block) => self.print(&block)?,
            Request::ShowTyped { name, block } => {
                let text = self.scrollback.replace(TYPED, &name, &block, window);
                let text = text.unwrap_or_else(|| self.scrollback.print_as(&name, &block, window));
                self.canvas.print(&text)?;
            }
            Request::Amend {
                name,
                block,
                otherwise,
            } => match self.scrollback.replace(&name, &name, &block, window) {
                Some(text) => self.canvas.print(&text)?,
                None => self.print(&otherwise)?,
            },
            Request::Prompt(prompt) => self.begin_line(prompt)?,
            Request::Status(status) => self.status = status,
            Request::AddWords(news) => self.vocabulary.add(news),
            Request::Recall(path) => self.line.use_recall(Recall::open(&path)),
            Request::Page(section, answer) => {
                self.scrollback.forget();
                let exit = self.page(&section, &|| answer.is_closed())?;
                self.prediction.forget();
                // Whoever asked may have given up.
                let _ = answer.send(exit);
            }
            Request::Progress(text, answer) => {
                let goes_on = self.progress(&text)?;
                self.prediction.forget();
                let _ = answer.send(goes_on);
            }
            Request::Clear => self.clear()?,
            Request::Close => {}
        }
        Ok(())
    }

    /// Shows the prompt, and applies the keys that were pressed before it.
    fn begin_line(&mut self, prompt: String) -> io::Result<()> {
        self.rows_used = 0;
        self.prompt = Some(prompt);
        self.mode.set_keys_only(true)?;
        self.take_pasted();
        while self.prompt.is_some()
            && let Some(event) = self.held.pop_front()
        {
            self.press(event)?;
        }
        if self.prompt.is_some() {
            self.prediction.forget();
        } else if self.prediction.is_fresh() {
            self.predict_anew();
        }
        Ok(())
    }

    /// Prints a block that cannot be replaced.
    fn print(&mut self, block: &Block) -> io::Result<()> {
        let text = self.scrollback.print(block, self.canvas.window());
        self.canvas.print(&text)
    }

    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        self.print(&Block::lines(format!("· {text}")))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.scrollback.cleared();
        if self.canvas.has_codes() {
            self.canvas.print("\u{1b}[2J\u{1b}[3J\u{1b}[H")?;
        }
        Ok(())
    }

    fn press(&mut self, event: Event) -> io::Result<()> {
        match self.line.press(event, &self.vocabulary) {
            KeyAction::Edit => self.interrupted = false,
            KeyAction::Submit(line) => self.submit(line)?,
            KeyAction::Interrupt if !self.interrupted => {
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
            KeyAction::Interrupt | KeyAction::Leave => {
                self.prompt = None;
                self.tell(Typed::Leave);
            }
            KeyAction::Suspend => self.suspend()?,
            KeyAction::Clear => self.clear()?,
        }
        Ok(())
    }

    /// Inserts what was pasted into the pager.
    fn take_pasted(&mut self) {
        for text in std::mem::take(&mut self.pasted) {
            self.line.press(Event::Paste(text), &self.vocabulary);
        }
    }

    fn submit(&mut self, line: String) -> io::Result<()> {
        self.interrupted = false;
        let prompt = self.prompt.take().unwrap_or_default();
        if self.canvas.has_codes() {
            let shown = sanitised(&line).replace('\n', "\n    | ");
            let block = Block::message(format!("{prompt}{INDICATOR}{shown}"), "arrow up".into());
            let text = self
                .scrollback
                .print_as(TYPED, &block, self.canvas.window());
            self.canvas.print(&text)?;
        }
        self.mode.set_keys_only(false)?;
        self.paint();
        self.canvas.flush()?;
        if !self.prediction.entered(&line) {
            self.prediction.forget();
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
        let Some(prompt) = &self.prompt else {
            if !self.canvas.is_busy {
                self.canvas.erase();
            }
            return;
        };
        self.canvas.is_busy = false;
        self.canvas.paint(Scene {
            status: &self.status,
            prompt,
            text: self.line.text(),
            cursor: self.line.cursor(),
            menu: self.line.menu().map(Menu::shown),
            has_color: self.has_color,
        });
    }
}
