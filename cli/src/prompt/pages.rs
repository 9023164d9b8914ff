//! The pager: prints a long text, a screenful at a time, and asks its reader.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::Happening;
use super::typist::Typist;
use crate::pager::{Meaning, Sheet, Turn, Wish, last_screenful, meaning, question};
use crate::text::{excerpt, harmless_line};

/// How often to check whether the caller still waits for the answer.
const LOOK: Duration = Duration::from_millis(100);

/// Not a key: the question must be shown again.
const SAY_ANEW: KeyEvent = KeyEvent::new(KeyCode::Null, KeyModifiers::NONE);

impl Typist {
    /// Shows a part of a text, and asks its reader where the screen is full.
    pub(super) fn page(&mut self, sheet: &Sheet, given_up: &dyn Fn() -> bool) -> io::Result<Turn> {
        self.unsay()?;
        let window = self.canvas.window();
        let room = usize::from(window.height).saturating_sub(1).max(1);
        let mut top = None;
        let mut at = 0;
        if sheet.from_end {
            at = last_screenful(&sheet.blocks, window.page, room);
            top = Some(at);
            self.rows_used = 0;
        } else if self.rows_used == 0 && !sheet.blocks.is_empty() {
            top = Some(0);
        }
        while let Some(block) = sheet.blocks.get(at) {
            let lines = block.rows(window.page);
            let total: usize = lines.iter().map(Vec::len).sum();
            if self.rows_used > 0 && self.rows_used + total > room {
                let wish = self.ask("more", given_up)?;
                if wish != Wish::Next {
                    return Ok(Turn {
                        top,
                        next: at,
                        wish,
                    });
                }
                top = Some(at);
            }
            for rows in lines {
                for (place, row) in rows.iter().enumerate() {
                    if self.rows_used >= room {
                        let wish = self.ask("more", given_up)?;
                        if wish != Wish::Next {
                            return Ok(Turn {
                                top,
                                next: at + 1,
                                wish,
                            });
                        }
                    }
                    let is_last = place + 1 == rows.len();
                    let ends = is_last || !self.canvas.has_codes() || self.rows_used + 1 >= room;
                    self.canvas.print(row)?;
                    if ends {
                        self.canvas.print("\r\n")?;
                    }
                    self.rows_used += 1;
                }
            }
            at += 1;
        }
        let wish = match sheet.end {
            Some(word) => self.ask(word, given_up)?,
            None => Wish::More,
        };
        Ok(Turn {
            top,
            next: at,
            wish,
        })
    }

    /// Shows progress. Returns whether to go on.
    pub(super) fn working(&mut self, text: &str) -> io::Result<bool> {
        self.quiet.keys_only(true)?;
        self.say(text)?;
        while let Some(key) = self.key(&|| true)? {
            if matches!(meaning(key), Meaning::Wish(Wish::Stop)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes text on the cursor's row, which is free, and leaves the cursor there.
    fn say(&mut self, text: &str) -> io::Result<()> {
        let columns = usize::from(self.canvas.window().page.columns).saturating_sub(1);
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

    fn ask(&mut self, word: &str, given_up: &dyn Fn() -> bool) -> io::Result<Wish> {
        self.quiet.keys_only(true)?;
        let wish = self.await_wish(word, given_up);
        self.quiet.keys_only(false)?;
        self.unsay()?;
        self.rows_used = 0;
        wish
    }

    fn await_wish(&mut self, word: &str, given_up: &dyn Fn() -> bool) -> io::Result<Wish> {
        loop {
            self.say(&question(word, self.canvas.window().page.columns))?;
            let Some(key) = self.key(given_up)? else {
                return Ok(Wish::Stop);
            };
            match meaning(key) {
                Meaning::Wish(wish) => return Ok(wish),
                Meaning::Suspend => self.suspend_reading()?,
                Meaning::Ask { backwards } => {
                    if let Some(words) = self.words(backwards, given_up)? {
                        return Ok(Wish::Find { words, backwards });
                    }
                }
                Meaning::Nothing => {}
            }
        }
    }

    fn suspend_reading(&mut self) -> io::Result<()> {
        self.unsay()?;
        self.suspend()?;
        self.quiet.keys_only(true)
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
            self.say(&format!("{mark}{}", harmless_line(&words)))?;
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
                Some(Event::Resize(..)) => return Ok(Some(SAY_ANEW)),
                Some(Event::Paste(text)) => {
                    self.pasted.push(text);
                    return Ok(Some(SAY_ANEW));
                }
                Some(_) => continue,
                None => {}
            }
            let wait = if given_up() { Duration::ZERO } else { LOOK };
            match self.happenings.recv_timeout(wait) {
                Ok(Happening::Key(event)) => self.held.push_back(event),
                Ok(Happening::Suspend) => {
                    self.suspend_reading()?;
                    return Ok(Some(SAY_ANEW));
                }
                Ok(Happening::Continued) => {
                    self.go_on()?;
                    self.quiet.keys_only(true)?;
                    return Ok(Some(SAY_ANEW));
                }
                Ok(other @ Happening::Order(_)) => self.backlog.push_back(other),
                Ok(Happening::Gone) => {
                    self.backlog.push_back(Happening::Gone);
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
