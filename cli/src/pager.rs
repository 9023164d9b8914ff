//! A long text, one screenful at a time.
//!
//! Knows how full the screen is and waits for a key; what is shown is up to who calls it: the
//! thread of `prompt`.

use std::io::{self, Write as _};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::layout;

const MORE: &str = "\u{1b}[7m--more--\u{1b}[0m space or enter: next, q: stop";

/// How much of the screen is filled since the reader last asked for more.
#[derive(Debug, Default)]
pub struct Pager {
    used: u16,
}

impl Pager {
    /// Shows the lines, stopping at each full screen. Returns whether the reader wants more of it;
    /// no longer waits for a key once `given_up` says that nobody waits for the answer.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn show(&mut self, lines: &[String], given_up: &dyn Fn() -> bool) -> io::Result<bool> {
        for line in lines {
            let (columns, height) = crossterm::terminal::size()?;
            let rows = layout::rows(&layout::without_codes(line), columns);
            if self.used > 0 && self.used.saturating_add(rows) >= height {
                if !wants_more(given_up)? {
                    return Ok(false);
                }
                self.used = 0;
            }
            self.used = self.used.saturating_add(rows);
            let mut out = io::stdout().lock();
            out.write_all((line.replace('\n', "\r\n") + "\r\n").as_bytes())?;
            out.flush()?;
        }
        Ok(true)
    }
}

fn wants_more(given_up: &dyn Fn() -> bool) -> io::Result<bool> {
    write!(io::stdout(), "{MORE}")?;
    io::stdout().flush()?;
    crossterm::terminal::enable_raw_mode()?;
    let answer = wait_for_key(given_up);
    crossterm::terminal::disable_raw_mode()?;
    write!(io::stdout(), "\r\u{1b}[K")?;
    answer
}

fn wait_for_key(given_up: &dyn Fn() -> bool) -> io::Result<bool> {
    while !given_up() {
        if !crossterm::event::poll(Duration::from_millis(100))? {
            continue;
        }
        let Event::Key(KeyEvent {
            code,
            modifiers,
            kind,
            ..
        }) = crossterm::event::read()?
        else {
            continue;
        };
        if kind == KeyEventKind::Release {
            continue;
        }
        match code {
            KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => {
                return Ok(false);
            }
            KeyCode::Char('q') | KeyCode::Esc => return Ok(false),
            KeyCode::Char(' ' | 'f') | KeyCode::Enter | KeyCode::PageDown | KeyCode::Down => {
                return Ok(true);
            }
            _ => {}
        }
    }
    Ok(false)
}
