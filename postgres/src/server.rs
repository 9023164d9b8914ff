//! The private Postgres: started, reached, stopped.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use crate::access::{OWNER, SUPERUSER};
use crate::account::Account;
use crate::folder::Folder;
use crate::launch::Launcher;
use crate::programs::{Missing, Programs};
use crate::socket::Socket;
use crate::supervisor::{self, Leash};
use crate::{Cancel, Options, folder, initdb, orphan, roles};

/// Why a private Postgres could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There are no Postgres programs on this machine.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The folder holds files that are not ours.
    #[error("`{}` is not empty and not a folder of Causeway: name another data folder", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// A running process holds the folder.
    #[error("another process has the database in `{}`: stop it, or name another data folder", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// We are root, and there is no account that Postgres accepts.
    #[error(
        "Postgres refuses to run as root, and there is no account `postgres` or `nobody`: start as another user"
    )]
    NoAccount,
    /// The database was made by a major version that is not installed.
    #[error("the database in `{}` is of Postgres {needed}, which is not installed", path.display())]
    Version {
        /// The folder.
        path: PathBuf,
        /// The version that made the database.
        needed: String,
    },
    /// The folder is of another account.
    #[error(
        "`{}` belongs to the account `{owner}`, and stays with it: run this command as `{owner}` (as root: `runuser -u {owner} -- …`)", path.display()
    )]
    Owner {
        /// The folder.
        path: PathBuf,
        /// The name of the account, or its number.
        owner: String,
    },
    /// The start was cancelled, and nothing of it is left running.
    #[error("the start of Postgres was cancelled")]
    Cancelled,
    /// The folder cannot be used.
    #[error("cannot use the folder `{}`: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb failed: {said} (see `{}`)", log.display())]
    Initdb {
        /// Its last error.
        said: String,
        /// The whole log.
        log: PathBuf,
    },
    /// The roles could not be made.
    #[error("the roles of the database could not be made: {said} (see `{}`)", log.display())]
    Roles {
        /// The last error of Postgres.
        said: String,
        /// The whole log.
        log: PathBuf,
    },
    /// The server ended before it was ready.
    #[error("Postgres ended while starting ({status}): {said} (see `{}`)", log.display())]
    Ended {
        /// Its last error.
        said: String,
        /// How it ended.
        status: ExitStatus,
        /// The whole log.
        log: PathBuf,
    },
    /// The server took too long.
    #[error("Postgres was not ready in time (see `{}`)", log.display())]
    NotReady {
        /// The log, which says what it is doing.
        log: PathBuf,
    },
}

/// A running Postgres in a folder of its own, reachable through a unix socket only.
///
/// It is started again when it ends by itself, and ends with this value or with this process,
/// whichever goes first and however it goes.
#[derive(Debug)]
pub struct PrivatePostgres {
    socket: Socket,
    leash: Leash,
    /// Dropped to stop the supervisor.
    stop: Option<Sender<()>>,
    supervisor: Option<JoinHandle<()>>,
}

impl PrivatePostgres {
    /// Starts a Postgres in `dir`, making folder and database where there are none.
    ///
    /// A server that a killed former owner left running in the folder is ended first. Returns when the
    /// server accepts connections.
    pub fn start(dir: &Path, options: &Options) -> Result<Self, StartError> {
        Self::start_unless(dir, options, &Cancel::default())
    }

    /// Starts a Postgres, unless that is cancelled meanwhile.
    pub fn start_unless(
        dir: &Path,
        options: &Options,
        cancel: &Cancel,
    ) -> Result<Self, StartError> {
        Self::start_removing(dir, options, None, cancel)
    }

    /// Refuses a folder that [`start`](Self::start) would refuse, and changes nothing.
    pub fn look(dir: &Path) -> Result<(), StartError> {
        folder::look(dir)
    }

    /// As `start`; the guard removes `remove` when the owner is gone.
    pub(crate) fn start_removing(
        dir: &Path,
        options: &Options,
        remove: Option<&Path>,
        cancel: &Cancel,
    ) -> Result<Self, StartError> {
        let programs = Programs::find()?;
        let account = Account::of(dir)?;
        let folder = Folder::open(dir, account, options.lock_timeout, cancel)?;
        initdb::ensure(&folder, &programs, options, remove, cancel)?;
        let programs = matching(&folder, programs)?;
        if options.stock.is_none() {
            roles::ensure(&folder, &programs, remove, &folder.cluster(), cancel)?;
        }
        let launcher = Launcher {
            programs,
            socket: Socket::of(&folder),
            folder,
            assignments: options.assignments(),
            access: options.stock.is_none().then_some(options.superuser),
            remove: remove.map(Path::to_owned),
        };
        let guarded = launcher.launch_until_ready(options.ready_timeout, cancel)?;

        let socket = launcher.socket.clone();
        let leash = Leash::default();
        let (stop, stopped) = mpsc::channel();
        let held = leash.clone();
        leash.hold(guarded.leash);
        let child = guarded.child;
        let supervisor = thread::Builder::new()
            .name("postgres-supervisor".to_owned())
            .spawn(move || supervisor::watch(&launcher, child, &held, &stopped))
            .map_err(|source| StartError::Folder {
                path: dir.to_owned(),
                source,
            })?;
        Ok(Self {
            socket,
            leash,
            stop: Some(stop),
            supervisor: Some(supervisor),
        })
    }

    /// Returns the URL of the database `postgres`, for the role that owns it.
    pub fn url(&self) -> String {
        url(&self.socket, OWNER, "postgres")
    }

    /// Returns the URL of the same database, for the superuser, where the options let it in.
    pub fn superuser_url(&self) -> String {
        self.superuser_url_of("postgres")
    }

    /// Returns the URL of another database for the superuser, who has made it.
    pub(crate) fn superuser_url_of(&self, database: &str) -> String {
        url(&self.socket, SUPERUSER, database)
    }

    /// The address of the server that another process runs in `dir`, where one does.
    pub fn url_of_another(dir: &Path) -> Option<String> {
        let path = dir.canonicalize().ok()?;
        if !folder::is_locked(&path) {
            return None;
        }
        let socket = Socket::at(&path, Account::of(&path).ok()?);
        Some(url(&socket, OWNER, "postgres"))
    }

    /// Deletes a folder that [`start`](Self::start) has made, with the database in it. Refuses any other
    /// folder; a missing one is no error.
    pub fn delete(dir: &Path, options: &Options) -> Result<(), StartError> {
        if !dir.exists() {
            return Ok(());
        }
        let account = Account::of(dir)?;
        let folder = Folder::open(dir, account, options.lock_timeout, &Cancel::default())?;
        let failed = |source| StartError::Folder {
            path: dir.to_owned(),
            source,
        };
        orphan::end(&folder.cluster()).map_err(failed)?;
        std::fs::remove_dir_all(&folder.path).map_err(failed)
    }

    /// Stops the server in order and waits for its end, at most some 20 s.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.take();
        self.leash.release();
        if let Some(supervisor) = self.supervisor.take() {
            // A supervisor that panicked has dropped the leash: the guard has ended the server.
            let _ = supervisor.join();
            self.socket.remove();
        }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.end();
    }
}

fn url(socket: &Socket, role: &str, database: &str) -> String {
    let folder = encoded(&socket.folder);
    // Everything is spelled out; otherwise PGPORT and PGSSLMODE would apply.
    format!("postgres://{role}@localhost:5432/{database}?host={folder}&sslmode=disable")
}

/// Returns the programs of the version that made the database.
fn matching(folder: &Folder, programs: Programs) -> Result<Programs, StartError> {
    let version = folder.cluster().join("PG_VERSION");
    let needed = std::fs::read_to_string(&version);
    let needed = needed
        .map_err(|source| StartError::Folder {
            path: version,
            source,
        })?
        .trim()
        .to_owned();
    if programs.major().as_ref() == Some(&needed) {
        return Ok(programs);
    }
    Programs::find_version(&needed).ok_or_else(|| StartError::Version {
        path: folder.path.clone(),
        needed,
    })
}

/// Percent-encodes a path for the query part of a URL.
fn encoded(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                text.push(char::from(*byte));
            }
            other => write!(text, "%{other:02X}").expect("writing to a String cannot fail"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_encoded_for_the_url() {
        assert_eq!(encoded(Path::new("/a b/ü+&")), "/a%20b/%C3%BC%2B%26");
    }
}
