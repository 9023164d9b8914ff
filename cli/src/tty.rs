//! How the terminal is set while this program has it.
//!
//! reedline sets the terminal only while a line is typed. In between, what is typed would be shown
//! twice, or in the middle of a message; so echo and line mode are switched off for as long as the
//! program runs. Used by `prompt`.

use std::io::{self, Write as _};

use rustix::termios::{InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

const PASTE_IN_ONE_PIECE: &str = "\u{1b}[?2004h";
const PASTE_AS_TYPED: &str = "\u{1b}[?2004l";

/// The terminal is quiet until this is dropped; then it is as it was.
#[derive(Debug)]
pub struct Quiet {
    before: Termios,
    quiet: Termios,
}

impl Quiet {
    /// Switches echo and line mode off; signals stay on, so that Ctrl-C works while a command runs.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON);
        // What is typed early must read the same as what is typed on time: Enter is a carriage
        // return then, and nothing stops the output.
        quiet
            .input_modes
            .remove(InputModes::ICRNL | InputModes::IXON);
        tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
        write!(io::stdout(), "{PASTE_IN_ONE_PIECE}")?;
        io::stdout().flush()?;
        Ok(Self { before, quiet })
    }

    /// Lets Ctrl-C be a key like any other, from now on, or a signal again. Where a line is being
    /// typed it is a key also in the moments in which reedline does not read: the signal would end
    /// the program, and throw away what was typed.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn keys_only(&mut self, keys_only: bool) -> io::Result<()> {
        let mut wanted = self.quiet.clone();
        wanted.local_modes.set(LocalModes::ISIG, !keys_only);
        if wanted.local_modes != self.quiet.local_modes {
            tcsetattr(io::stdin(), OptionalActions::Now, &wanted)?;
            self.quiet = wanted;
        }
        Ok(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to set back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        let _ = write!(io::stdout(), "{PASTE_AS_TYPED}\u{1b}[?25h");
        let _ = io::stdout().flush();
    }
}
