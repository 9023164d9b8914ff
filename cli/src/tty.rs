//! The terminal's settings while this program has it.
//!
//! Input that nothing reads yet would be echoed twice, or in the middle of a message; so echo and
//! line mode are off as long as the program runs. Used by `prompt`.

use std::io::{self, Write as _};

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

const PASTE_IN_ONE_PIECE: &str = "\u{1b}[?2004h";
const PASTE_AS_TYPED: &str = "\u{1b}[?2004l";

/// The terminal without echo and line mode; its former settings return when this is dropped.
#[derive(Debug)]
pub struct TerminalMode {
    before: Termios,
    present: Termios,
    has_codes: bool,
}

impl TerminalMode {
    /// Turns off echo and line mode. Signals stay on, so that Ctrl-C works while a command runs.
    ///
    /// # Errors
    /// Standard input is not a terminal.
    pub fn enter(has_codes: bool) -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut mode = before.clone();
        mode.local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN);
        // Keys pressed early must read like keys pressed in time: Enter is a carriage return, and
        // no key stops the output.
        mode.input_modes
            .remove(InputModes::ICRNL | InputModes::IXON);
        mode.special_codes[SpecialCodeIndex::VMIN] = 1;
        mode.special_codes[SpecialCodeIndex::VTIME] = 0;
        let mut mode = Self {
            before,
            present: mode,
            has_codes,
        };
        mode.resume(false)?;
        Ok(mode)
    }

    /// Applies the settings again after `restore`; `keys_only` as in `set_keys_only`.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn resume(&mut self, keys_only: bool) -> io::Result<()> {
        self.present.local_modes.set(LocalModes::ISIG, !keys_only);
        tcsetattr(io::stdin(), OptionalActions::Now, &self.present)?;
        self.write(PASTE_IN_ONE_PIECE)
    }

    /// Restores the former settings.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn restore(&self) -> io::Result<()> {
        tcsetattr(io::stdin(), OptionalActions::Now, &self.before)?;
        self.write(&format!("{PASTE_AS_TYPED}\u{1b}[?25h"))
    }

    fn write(&self, codes: &str) -> io::Result<()> {
        if self.has_codes {
            write!(io::stdout(), "{codes}")?;
        }
        io::stdout().flush()
    }

    /// Makes Ctrl-C an ordinary key, or a signal again. While a line is edited it must be a key:
    /// the signal would end the program and lose the text.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn set_keys_only(&mut self, keys_only: bool) -> io::Result<()> {
        let mut wanted = self.present.clone();
        wanted.local_modes.set(LocalModes::ISIG, !keys_only);
        if wanted.local_modes != self.present.local_modes {
            tcsetattr(io::stdin(), OptionalActions::Now, &wanted)?;
            self.present = wanted;
        }
        Ok(())
    }
}

impl Drop for TerminalMode {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        let _ = self.restore();
    }
}
