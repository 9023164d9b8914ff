//! One launch of the server in a prepared folder: what every start and restart does.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::folder::Folder;
use crate::guard::{Guard, Guarded, Reach};
use crate::orphan;
use crate::programs::Programs;
use crate::socket::Socket;
use crate::{StartError, access};

/// Everything needed to launch the server, any number of times.
#[derive(Debug)]
pub(crate) struct Launcher {
    pub(crate) folder: Folder,
    pub(crate) socket: Socket,
    pub(crate) programs: Programs,
    pub(crate) assignments: Vec<String>,
    /// Whether to write who may log in, and whether as superuser.
    pub(crate) access: Option<bool>,
    /// The folder that the guard removes when the owner is gone.
    pub(crate) remove: Option<PathBuf>,
}

impl Launcher {
    /// Starts the server without waiting until it is ready.
    pub(crate) fn launch(&self) -> io::Result<Guarded> {
        let cluster = self.folder.cluster();
        orphan::end(&cluster)?;
        if let Some(superuser) = self.access {
            access::write(&cluster, self.folder.account, superuser)?;
        }
        self.socket.prepare()?;
        let reach = Reach::to(&cluster, self.folder.account)?;
        let sockets = self.socket.folder.display();
        let mut arguments = vec!["-D".to_owned(), reach.name().to_string_lossy().into_owned()];
        arguments.extend([
            "-c".to_owned(),
            format!("unix_socket_directories={sockets}"),
        ]);
        arguments.extend(
            self.assignments
                .iter()
                .flat_map(|setting| ["-c".to_owned(), setting.clone()]),
        );
        let guard = Guard {
            account: self.folder.account,
            log: self.folder.log()?,
            remove: self.remove.as_deref(),
            prune: self
                .socket
                .is_outside
                .then_some(self.socket.folder.as_path()),
        };
        guard.run(&self.programs.postgres, &reach, &arguments)
    }

    /// Launches until the server is ready, as often as needed: the last backends of a killed server
    /// may hold its shared memory for a moment.
    pub(crate) fn launch_until_ready(
        &self,
        timeout: Duration,
        cancel: &Cancel,
    ) -> Result<Guarded, StartError> {
        let deadline = Instant::now() + timeout;
        let give_up = Instant::now() + timeout.min(Duration::from_secs(20));
        let mut is_logged = false;
        loop {
            let failed = |source| StartError::Folder {
                path: self.folder.path.clone(),
                source,
            };
            let mut guarded = self.launch().map_err(failed)?;
            match self
                .wait_until_ready(&mut guarded, deadline, cancel)
                .map_err(failed)?
            {
                Outcome::Ready => return Ok(guarded),
                Outcome::Cancelled => {
                    guarded.stop().map_err(failed)?;
                    return Err(StartError::Cancelled);
                }
                Outcome::Late => {
                    return Err(StartError::NotReady {
                        log: self.folder.log_path(),
                    });
                }
                Outcome::Ended(status) => {
                    let said = self.folder.last_words();
                    if Instant::now() >= give_up || !is_temporary(&said) {
                        return Err(StartError::Ended {
                            said,
                            status,
                            log: self.folder.log_path(),
                        });
                    }
                    if !std::mem::replace(&mut is_logged, true) {
                        tracing::info!(said, "Postgres cannot start yet, trying again");
                    }
                    thread::sleep(Duration::from_millis(250));
                }
            }
        }
    }

    fn wait_until_ready(
        &self,
        guarded: &mut Guarded,
        deadline: Instant,
        cancel: &Cancel,
    ) -> io::Result<Outcome> {
        loop {
            if cancel.is_requested() {
                return Ok(Outcome::Cancelled);
            }
            if self.is_ready() {
                return Ok(Outcome::Ready);
            }
            if let Some(status) = guarded.child.try_wait()? {
                return Ok(Outcome::Ended(status));
            }
            if Instant::now() >= deadline {
                return Ok(Outcome::Late);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether the server of this launch accepts connections. The socket is removed before each launch
    /// and made after the status file: once it exists, the status file is of this launch.
    fn is_ready(&self) -> bool {
        let status =
            || fs::read_to_string(self.folder.cluster().join("postmaster.pid")).unwrap_or_default();
        self.socket.exists()
            && status()
                .lines()
                .nth(7)
                .is_some_and(|line| line.trim() == "ready")
    }
}

enum Outcome {
    Ready,
    Late,
    Cancelled,
    Ended(ExitStatus),
}

/// Whether the cause disappears by itself: remains of a killed server, or a socket folder that the
/// guard of that server removed at the last moment.
fn is_temporary(said: &str) -> bool {
    [
        "shared memory block",
        "lock file",
        "could not create any Unix-domain sockets",
        "could not create lock file",
    ]
    .iter()
    .any(|reason| said.contains(reason))
}
