//! One program under a guard: a small shell script that ends the program when its owner is gone.
//!
//! The owner is whoever holds [`Guarded::leash`]: the write end of a pipe that the kernel closes when
//! the process ends, however it ends. Dropping the leash is also how a program is stopped.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::account::Account;
use crate::{Cancel, environment};

const SCRIPT: &str = include_str!("guard.sh");

/// How a program reaches its data folder.
#[derive(Debug)]
pub(crate) enum Reach {
    /// By its path.
    Path(PathBuf),
    /// As an open file: its account may not traverse a parent of the folder (root's home, a private
    /// temporary folder), so it inherits the folder itself.
    Open(File),
}

impl Reach {
    pub(crate) fn to(folder: &Path, account: Account) -> io::Result<Self> {
        // Only Linux names open folders; elsewhere the program reports what it cannot reach.
        if account.reaches(folder) || !cfg!(target_os = "linux") {
            return Ok(Self::Path(folder.to_owned()));
        }
        File::open(folder).map(Self::Open)
    }

    /// Returns the path of the folder as the guarded program sees it.
    pub(crate) fn name(&self) -> PathBuf {
        match self {
            Self::Path(path) => path.clone(),
            Self::Open(_) => PathBuf::from("/proc/self/fd/4"),
        }
    }
}

/// What the guard needs besides the program.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    pub(crate) account: Account,
    /// Receives the output of the program.
    pub(crate) log: File,
    /// Removed with everything in it when the owner is gone.
    pub(crate) remove: Option<&'a Path>,
    /// Removed when the owner is gone and it is empty.
    pub(crate) prune: Option<&'a Path>,
}

/// A running program and the leash that keeps it running.
#[derive(Debug)]
pub(crate) struct Guarded {
    pub(crate) child: Child,
    pub(crate) leash: ChildStdin,
}

impl Guarded {
    /// Waits for the end of a program that may be killed at any moment. Returns `None` once the
    /// start was cancelled and nothing of the program is left.
    pub(crate) fn wait_unless(mut self, cancel: &Cancel) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if cancel.is_requested() {
                self.kill()?;
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the program in order, and waits for its end.
    pub(crate) fn stop(self) -> io::Result<()> {
        let Self { mut child, leash } = self;
        drop(leash);
        child.wait().map(drop)
    }

    /// Kills the guard, the program and the processes that it has started, and waits for their end.
    fn kill(mut self) -> io::Result<()> {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let group = group.expect("a running process has a number");
        // Fails when all have just ended.
        let _ = kill_process_group(group, Signal::KILL);
        self.child.wait()?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while test_kill_process_group(group).is_ok() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Guard<'_> {
    pub(crate) fn run(
        self,
        program: &Path,
        reach: &Reach,
        arguments: &[String],
    ) -> io::Result<Guarded> {
        let mut command = Command::new("/bin/sh");
        // In a variable, so that the process list stays readable.
        command.args(["-c", "eval \"$GUARD\"", "causeway-postgres-guard"]);
        for folder in [self.remove, self.prune] {
            command.arg(folder.map_or(Path::new(""), |folder| folder));
        }
        command.arg(program).args(arguments);
        // Its own group: Ctrl-C in a terminal is for the owner alone, who then stops us in order.
        command.process_group(0).current_dir("/");
        environment::clean(&mut command).env("GUARD", SCRIPT);
        self.account.run_as(&mut command);
        command.stdin(Stdio::piped()).stderr(self.log);
        command.stdout(match reach {
            Reach::Path(_) => Stdio::null(),
            Reach::Open(folder) => Stdio::from(folder.try_clone()?),
        });
        let mut child = command.spawn()?;
        let leash = child
            .stdin
            .take()
            .expect("standard input was asked to be a pipe");
        Ok(Guarded { child, leash })
    }
}
