//! The folder of a private Postgres: its owner, its lock, and the paths in it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::account::{Account, account_name};
use crate::{Cancel, StartError};

const MARKER: &str = "causeway-postgres";
const MARKER_TEXT: &str =
    "This folder belongs to Causeway's private Postgres. Do not edit anything in it.\n";
const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// A folder of Causeway that this process holds exclusively while this value lives.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) account: Account,
    /// Held by the kernel until we end.
    _lock: File,
}

impl Folder {
    /// Makes the folder, or opens one that was made here, and waits for a former owner to release it.
    pub(crate) fn open(
        path: &Path,
        account: Account,
        lock_timeout: Duration,
        cancel: &Cancel,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Folder {
            path: path.to_owned(),
            source,
        };
        look(path)?;
        fs::create_dir_all(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let marker = path.join(MARKER);
        if !marker.is_file() {
            fs::write(marker, MARKER_TEXT).map_err(failed)?;
        }
        account.take_over(&path).map_err(failed)?;
        let lock = File::create(path.join("lock")).map_err(failed)?;
        lock_within(lock_timeout, &lock, &path, cancel)?;
        Ok(Self {
            path,
            account,
            _lock: lock,
        })
    }

    /// Where the database is, once it is complete.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Opens the log for appending; one that has grown large is rotated first.
    pub(crate) fn log(&self) -> io::Result<File> {
        let path = self.log_path();
        if fs::metadata(&path).is_ok_and(|found| found.len() > LOG_LIMIT_BYTES) {
            fs::rename(&path, path.with_extension("old"))?;
        }
        File::options().create(true).append(true).open(path)
    }

    /// Returns the last error in the log, to be shown with a failure.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(4096)..]).into_owned();
        let is_error = |line: &&str| {
            ["FATAL", "PANIC", "rror", "not found"]
                .iter()
                .any(|word| line.contains(word))
        };
        let line = tail.lines().rfind(is_error).or_else(|| tail.lines().last());
        line.unwrap_or("it said nothing").trim().to_owned()
    }
}

/// Whether a living process has the folder.
pub(crate) fn is_locked(path: &Path) -> bool {
    File::open(path.join("lock"))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Refuses a folder that is of another account or holds what is not ours, and changes nothing. A
/// missing folder is no error.
pub(crate) fn look(path: &Path) -> Result<(), StartError> {
    Account::of(path)?;
    if !path.exists() {
        return Ok(());
    }
    let owner = || fs::metadata(path).map(|found| found.uid());
    let own = rustix::process::geteuid();
    match is_ours(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(StartError::Foreign {
            path: path.to_owned(),
        }),
        Err(denied)
            if denied.kind() == io::ErrorKind::PermissionDenied
                && owner().is_ok_and(|owner| owner != own.as_raw()) =>
        {
            Err(StartError::Owner {
                path: path.to_owned(),
                owner: account_name(owner().unwrap_or_default()),
            })
        }
        Err(source) => Err(StartError::Folder {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Whether a private Postgres has used the folder.
pub(crate) fn is_marked(path: &Path) -> bool {
    path.join(MARKER).is_file()
}

fn is_ours(path: &Path) -> io::Result<bool> {
    let is_empty = fs::read_dir(path)?.next().is_none();
    // The marker is checked last: another process may be making the same folder right now.
    Ok(is_empty || is_marked(path))
}

fn lock_within(
    timeout: Duration,
    lock: &File,
    path: &Path,
    cancel: &Cancel,
) -> Result<(), StartError> {
    let deadline = Instant::now() + timeout;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(source)) => {
                return Err(StartError::Folder {
                    path: path.to_owned(),
                    source,
                });
            }
            Err(TryLockError::WouldBlock) if cancel.is_requested() => {
                return Err(StartError::Cancelled);
            }
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(StartError::Taken {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Result<Folder, StartError> {
        let patience = Duration::from_millis(120);
        Folder::open(path, Account::Ours, patience, &Cancel::default())
    }

    #[test]
    fn an_empty_or_own_folder_is_taken_and_a_foreign_one_refused_untouched() {
        let root = tempfile::tempdir().unwrap();
        let foreign = root.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("letter.txt"), "dear").unwrap();

        drop(open(&root.path().join("new/deep")).unwrap());
        drop(open(&root.path().join("new/deep")).unwrap());
        let refused = open(&foreign).unwrap_err();

        assert!(matches!(refused, StartError::Foreign { .. }), "{refused}");
        assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
    }

    #[test]
    fn a_second_owner_waits_and_then_says_that_another_process_has_it() {
        let root = tempfile::tempdir().unwrap();
        let first = open(root.path()).unwrap();

        let refused = open(root.path()).unwrap_err();
        drop(first);

        assert!(matches!(refused, StartError::Taken { .. }), "{refused}");
        open(root.path()).unwrap();
    }
}
