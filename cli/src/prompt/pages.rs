//! The pager: prints a long text, a screenful at a time, and asks its reader.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::TerminalEvent;
use super::thread::TerminalThread;
use crate::pager::{KeyMeaning, Move, PagerExit, Section, last_screenful, meaning, question};
use crate::scrollback::WindowSize;
use crate::text::{excerpt, sanitised_line};

/// How often to check whether the caller still waits for the answer.
const POLL: Duration = Duration::from_millis(100);

/// Not a key: the question must be shown again.
const REPAINT: KeyEvent = KeyEvent::new(KeyCode::Null, KeyModifiers::NONE);

impl TerminalThread {
    /// Shows a section, and asks its reader whenever the screen is full.
    pub(super) fn page(
        &mut self,
        section: &Section,
        given_up: &dyn Fn() -> bool,
    ) -> io::Result<PagerExit> {
        self.unsay()?;
        let window = self.canvas.window();
        let room = usize::from(window.height).saturating_sub(1).max(1);
        let mut exit = self.begin_section(section, window, room);
        while let Some(block) = section.blocks.get(exit.next) {
            let lines = block.rows(window.format);
            let total: usize = lines.iter().map(Vec::len).sum();
            if self.rows_used > 0 && self.rows_used + total > room {
                exit.next_move = self.ask("more", given_up)?;
                if exit.next_move != Move::Next {
                    return Ok(exit);
                }
                exit.top = Some(exit.next);
            }
            exit.next += 1;
            exit.next_move = self.print_lines(&lines, room, given_up)?;
            if exit.next_move != Move::Next {
                return Ok(exit);
            }
        }
        exit.next_move = match section.end {
            Some(word) => self.ask(word, given_up)?,
            None => Move::More,
        };
        Ok(exit)
    }

    fn begin_section(&mut self, section: &Section, window: WindowSize, room: usize) -> PagerExit {
        let mut exit = PagerExit {
            top: None,
            next: 0,
            next_move: Move::More,
        };
        if section.from_end {
            exit.next = last_screenful(&section.blocks, window.format, room);
            exit.top = Some(exit.next);
            self.rows_used = 0;
        } else if self.rows_used == 0 && !section.blocks.is_empty() {
            exit.top = Some(0);
        }
        exit
    }

    /// Prints the rows of each line. Returns [`Move::Next`] once all of them are printed.
    fn print_lines(
        &mut self,
        lines: &[Vec<String>],
        room: usize,
        given_up: &dyn Fn() -> bool,
    ) -> io::Result<Move> {
        for rows in lines {
            for (at, row) in rows.iter().enumerate() {
                if self.rows_used >= room {
                    let next_move = self.ask("more", given_up)?;
                    if next_move != Move::Next {
                        return Ok(next_move);
                    }
                }
                let is_last = at + 1 == rows.len();
                let ends = is_last || !self.canvas.has_codes() || self.rows_used + 1 >= room;
                self.canvas.print(row)?;
                if ends {
                    self.canvas.print("\r\n")?;
                }
                self.rows_used += 1;
            }
        }
        Ok(Move::Next)
    }

    /// Shows progress. Returns whether to go on.
    pub(super) fn progress(&mut self, text: &str) -> io::Result<bool> {
        self.mode.set_keys_only(true)?;
        self.say(text)?;
        while let Some(key) = self.key(&|| true)? {
            if matches!(meaning(key), KeyMeaning::Move(Move::Stop)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes text on the cursor's row, which is free, and leaves the cursor there.
    fn say(&mut self, text: &str) -> io::Result<()> {
        let columns = usize::from(self.canvas.window().format.columns).saturating_sub(1);
        let text = excerpt(text, columns);
        let text = if self.canvas.has_codes() {
            format!("\r\u{1b}[K\u{1b}[7m{text}\u{1b}[0m")
        } else {
            format!("{text}\r\n")
        };
        self.canvas.print(&text)?;
        self.has_said = true;
        self.canvas.flush()
    }

    /// Clears what `say` wrote.
    pub(super) fn unsay(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.has_said) && self.canvas.has_codes() {
            self.canvas.print("\r\u{1b}[K")?;
        }
        Ok(())
    }

    fn ask(&mut self, word: &str, given_up: &dyn Fn() -> bool) -> io::Result<Move> {
        self.mode.set_keys_only(true)?;
        let next_move = self.await_move(word, given_up);
        self.mode.set_keys_only(false)?;
        self.unsay()?;
        self.rows_used = 0;
        next_move
    }

    fn await_move(&mut self, word: &str, given_up: &dyn Fn() -> bool) -> io::Result<Move> {
        loop {
            self.say(&question(word, self.canvas.window().format.columns))?;
            let Some(key) = self.key(given_up)? else {
                return Ok(Move::Stop);
            };
            match meaning(key) {
                KeyMeaning::Move(next_move) => return Ok(next_move),
                KeyMeaning::Suspend => self.suspend_reading()?,
                KeyMeaning::Ask { backwards } => {
                    if let Some(words) = self.words(backwards, given_up)? {
                        return Ok(Move::Find { words, backwards });
                    }
                }
                KeyMeaning::Nothing => {}
            }
        }
    }

    fn suspend_reading(&mut self) -> io::Result<()> {
        self.unsay()?;
        self.suspend()?;
        self.mode.set_keys_only(true)
    }

    /// Reads words to find, typed or pasted; `None` if the reader cancels.
    fn words(
        &mut self,
        backwards: bool,
        given_up: &dyn Fn() -> bool,
    ) -> io::Result<Option<String>> {
        let mut words = String::new();
        let for_the_line = self.pasted.len();
        loop {
            for text in self.pasted.drain(for_the_line..) {
                words.push_str(&text.replace(['\r', '\n'], " "));
            }
            let mark = if backwards { '?' } else { '/' };
            self.say(&format!("{mark}{}", sanitised_line(&words)))?;
            let Some(key) = self.key(given_up)? else {
                return Ok(None);
            };
            match key.code {
                KeyCode::Enter => return Ok(Some(words).filter(|words| !words.is_empty())),
                KeyCode::Esc => return Ok(None),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    return Ok(None);
                }
                KeyCode::Backspace if words.pop().is_none() => return Ok(None),
                KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) => words.push(c),
                _ => {}
            }
        }
    }

    /// The next key, or [`REPAINT`]. `None` if the caller has given up or the terminal is closing.
    fn key(&mut self, given_up: &dyn Fn() -> bool) -> io::Result<Option<KeyEvent>> {
        loop {
            match self.held.pop_front() {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => return Ok(Some(key)),
                Some(Event::Resize(..)) => return Ok(Some(REPAINT)),
                Some(Event::Paste(text)) => {
                    self.pasted.push(text);
                    return Ok(Some(REPAINT));
                }
                Some(_) => continue,
                None => {}
            }
            let wait = if given_up() { Duration::ZERO } else { POLL };
            match self.events.recv_timeout(wait) {
                Ok(TerminalEvent::Key(event)) => self.held.push_back(event),
                Ok(TerminalEvent::Suspend) => {
                    self.suspend_reading()?;
                    return Ok(Some(REPAINT));
                }
                Ok(TerminalEvent::Continued) => {
                    self.go_on()?;
                    self.mode.set_keys_only(true)?;
                    return Ok(Some(REPAINT));
                }
                Ok(other @ TerminalEvent::Request(_)) => self.backlog.push_back(other),
                Ok(TerminalEvent::Gone) => {
                    self.backlog.push_back(TerminalEvent::Gone);
                    return Ok(None);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.is_closing.load(Ordering::Acquire) || (given_up() && self.held.is_empty()) {
                return Ok(None);
            }
        }
    }
}
