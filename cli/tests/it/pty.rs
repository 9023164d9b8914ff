//! The program in a pseudo-terminal, with an emulator that shows what a person sees.

use std::io::{Read as _, Write};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};

use crate::home::Home;

const DEADLINE: Duration = Duration::from_secs(20);
const SCROLLBACK: usize = 100_000;

/// A terminal that runs the program; both end when this is dropped.
pub struct Screen {
    parser: Arc<Mutex<vt100::Parser>>,
    keys: Arc<Mutex<Box<dyn Write + Send>>>,
    master: Box<dyn MasterPty + Send>,
    /// `None` once the terminal is gone.
    child: Option<Box<dyn Child + Send + Sync>>,
    is_gone: Arc<AtomicBool>,
    raw: Arc<Mutex<Vec<u8>>>,
    settings_before: String,
    _home: Home,
    /// Kept open, so that the settings can be read after the program has ended.
    _terminal: Box<dyn SlavePty + Send>,
}

/// When the terminal reports its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reports {
    AtOnce,
    Never,
}

/// The properties of a terminal.
#[derive(Clone)]
pub struct Setup {
    pub rows: u16,
    pub cols: u16,
    pub term: &'static str,
    pub variables: Vec<(String, String)>,
    pub reports: Reports,
    /// Starts the program from a shell with job control.
    pub in_shell: bool,
    /// The size of the window can be queried.
    pub tells_size: bool,
    pub home: Home,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            rows: 24,
            cols: 80,
            term: "xterm-256color",
            variables: vec![],
            reports: Reports::AtOnce,
            in_shell: false,
            tells_size: true,
            home: Home::new(),
        }
    }
}

impl Screen {
    pub fn open(arguments: &[&str]) -> Self {
        Self::open_as(&Setup::default(), arguments)
    }

    pub fn open_at(home: &Home, arguments: &[&str]) -> Self {
        let home = home.clone();
        let setup = Setup {
            home,
            ..Setup::default()
        };
        Self::open_as(&setup, arguments)
    }

    pub fn open_as(setup: &Setup, arguments: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_causeway");
        let mut command = CommandBuilder::new(if setup.in_shell { "/bin/sh" } else { program });
        command.args(if setup.in_shell { &["-i"] } else { arguments });
        command.env("TERM", setup.term);
        command.env("PS1", "shell$ ");
        command.env_remove("ENV");
        command.env_remove("TMUX");
        for (name, value) in setup.home.variables() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            }
        }
        for (name, value) in &setup.variables {
            command.env(name, value);
        }
        let (rows, cols) = (setup.rows, setup.cols);
        let told = if setup.tells_size {
            size(rows, cols)
        } else {
            size(0, 0)
        };
        let pair = native_pty_system().openpty(told).unwrap();
        let settings_before = format!("{:?}", pair.master.get_termios());
        let child = pair.slave.spawn_command(command).unwrap();
        let parser = vt100::Parser::new(at_least_1(rows), at_least_1(cols), SCROLLBACK);
        let parser = Arc::new(Mutex::new(parser));
        let keys = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let mut output = pair.master.try_clone_reader().unwrap();
        let is_gone = Arc::new(AtomicBool::new(false));
        let (shown, answers, gone) = (Arc::clone(&parser), Arc::clone(&keys), Arc::clone(&is_gone));
        let reports = setup.reports;
        let raw = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&raw);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            let mut begun = Vec::new();
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if gone.load(Ordering::Relaxed) {
                    return;
                }
                written.lock().unwrap().extend_from_slice(&bytes[..count]);
                begun.extend_from_slice(&bytes[..count]);
                begun = show(&shown, &answers, &begun, reports);
            }
        });
        let screen = Self {
            parser,
            keys,
            master: pair.master,
            child: Some(child),
            is_gone,
            raw,
            settings_before,
            _terminal: pair.slave,
            _home: setup.home.clone(),
        };
        if setup.in_shell {
            screen.wait_for("shell$");
            screen.type_in(&format!("{program} {}\n", arguments.join(" ")));
        }
        screen
    }

    /// The lines as a person copies them: rows that the terminal wrapped are one line.
    pub fn copied_lines(&self) -> Vec<String> {
        let parser = self.parser.lock().unwrap();
        let (rows, cols) = parser.screen().size();
        let text = parser
            .screen()
            .contents_between(0, 0, rows.get() - 1, cols.get());
        text.lines().map(str::to_owned).collect()
    }

    pub fn type_in(&self, text: &str) {
        let mut keys = self.keys.lock().unwrap();
        keys.write_all(text.as_bytes()).unwrap();
        keys.flush().unwrap();
    }

    pub fn resize(&self, rows: u16, cols: u16) {
        self.parser
            .lock()
            .unwrap()
            .set_size(at_least_1(rows), at_least_1(cols));
        self.master.resize(size(rows, cols)).unwrap();
    }

    /// The visible rows, without trailing blanks.
    pub fn rows(&self) -> Vec<String> {
        let parser = self.parser.lock().unwrap();
        let (_, cols) = parser.screen().size();
        parser
            .screen()
            .rows(0, cols.get())
            .map(|row| row.trim_end().to_owned())
            .collect()
    }

    pub fn last_row(&self) -> String {
        let rows = self.rows();
        let last = rows.iter().rfind(|row| !row.is_empty());
        last.cloned().unwrap_or_default()
    }

    /// Rows and columns.
    pub fn size(&self) -> (u16, u16) {
        let (rows, cols) = self.parser.lock().unwrap().screen().size();
        (rows.get(), cols.get())
    }

    /// Everything shown so far, including what has scrolled away.
    pub fn all_rows(&self) -> Vec<String> {
        self.all_rows_from_end(usize::MAX)
    }

    /// The visible rows, and up to `count` of those that have scrolled away.
    pub fn all_rows_from_end(&self, count: usize) -> Vec<String> {
        let mut parser = self.parser.lock().unwrap();
        let (height, cols) = parser.screen().size();
        let (height, cols) = (usize::from(height.get()), cols.get());
        parser.screen_mut().set_scrollback(count);
        let mut above = parser.screen().scrollback();
        let mut rows = Vec::new();
        while above > 0 {
            parser.screen_mut().set_scrollback(above);
            let page: Vec<_> = parser
                .screen()
                .rows(0, cols)
                .take(above.min(height))
                .collect();
            above -= page.len();
            rows.extend(page);
        }
        parser.screen_mut().set_scrollback(0);
        rows.extend(parser.screen().rows(0, cols));
        rows.into_iter()
            .map(|row| row.trim_end().to_owned())
            .collect()
    }

    /// All bytes written to the terminal.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw.lock().unwrap()).into_owned()
    }

    /// The id of the process in the terminal.
    pub fn process(&self) -> u32 {
        let child = self.child.as_ref().unwrap();
        child.process_id().unwrap()
    }

    /// Row and column of the cursor, from 0.
    pub fn cursor(&self) -> (u16, u16) {
        self.parser.lock().unwrap().screen().cursor_position()
    }

    /// Waits until the screen is as wanted.
    pub fn wait(&self, wanted: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so(self) {
            assert!(
                Instant::now() < deadline,
                "not seen: {wanted}\ncursor {:?}\n{}",
                self.cursor(),
                self.all_rows().join("\n")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn wait_for(&self, text: &str) {
        self.wait(text, |screen| {
            screen.all_rows().iter().any(|row| row.contains(text))
        });
    }

    /// Waits for an empty prompt.
    pub fn wait_for_prompt(&self, front: &str) {
        let prompt = format!("{front}>");
        self.wait(&prompt, |screen| {
            screen.rows().iter().rfind(|row| !row.is_empty()) == Some(&prompt)
        });
    }

    /// The settings of the terminal as text.
    pub fn settings(&self) -> String {
        format!("{:?}", self.master.get_termios())
    }

    /// Asserts that the settings are those from before the program.
    pub fn assert_as_before(&self) {
        let settings = self.settings();
        assert_eq!(settings, self.settings_before);
        assert!(settings.contains("ICANON"), "{settings}");
        self.wait("the usual cursor and way of pasting", |screen| {
            let parser = screen.parser.lock().unwrap();
            !parser.screen().bracketed_paste() && !parser.screen().hide_cursor()
        });
    }

    /// Sends SIGTERM, as a system that shuts down.
    pub fn terminate(&self) {
        let process = self.process();
        let kill = Command::new("sh")
            .args(["-c", &format!("kill -TERM {process}")])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Kills the program, as a power cut would.
    pub fn kill(mut self) {
        let child = self.child.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Takes the terminal away, as closing its window does. Returns whether the program ends.
    pub fn hang_up(mut self) -> bool {
        self.is_gone.store(true, Ordering::Relaxed);
        self.type_in("x");
        let mut child = self.child.take().unwrap();
        drop(self);
        let deadline = Instant::now() + DEADLINE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    pub fn wait_for_end(&mut self) -> u32 {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(
                Instant::now() < deadline,
                "still running:\n{}",
                self.rows().join("\n")
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Shows the program's output and answers its queries for the cursor, as a terminal does. Returns
/// the beginning of an incomplete query.
fn show(
    parser: &Mutex<vt100::Parser>,
    answers: &Mutex<Box<dyn Write + Send>>,
    bytes: &[u8],
    reports: Reports,
) -> Vec<u8> {
    const WHERE: &[u8] = b"\x1b[6n";
    let mut rest = bytes;
    while let Some(at) = rest.windows(WHERE.len()).position(|window| window == WHERE) {
        let (before, after) = rest.split_at(at + WHERE.len());
        parser.lock().unwrap().process(before);
        let (row, column) = parser.lock().unwrap().screen().cursor_position();
        if reports == Reports::AtOnce {
            let _ = write!(answers.lock().unwrap(), "\x1b[{};{}R", row + 1, column + 1);
        }
        rest = after;
    }
    let begun = (1..WHERE.len())
        .rev()
        .find(|count| rest.ends_with(&WHERE[..*count]));
    // The emulator drops a letter after a character that arrives in two parts.
    let cut = match std::str::from_utf8(rest) {
        Err(error) if error.error_len().is_none() => rest.len() - error.valid_up_to(),
        _ => 0,
    };
    let (whole, begun) = rest.split_at(rest.len() - begun.unwrap_or(0).max(cut));
    parser.lock().unwrap().process(whole);
    begun.to_vec()
}

fn size(rows: u16, cols: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn at_least_1(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}
