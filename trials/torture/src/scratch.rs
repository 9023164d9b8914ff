//! The folder of a run: removed at the end, unless a guarantee was violated.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The number of attempts to remove it, since a database may still be ending.
const TRIES: u32 = 200;

/// The folder.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    is_kept: bool,
}

impl Scratch {
    /// Creates a folder in the system's temporary folder.
    pub fn create() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("causeway-torture-{}", std::process::id()));
        fs::create_dir(&path)?;
        // For root, Postgres runs under another account, which needs access.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            path,
            is_kept: false,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the history and the logs, and removes the data.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_kept {
            remove(&self.path);
            return;
        }
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.path().is_dir()) {
            for name in ["data", "copy", "clone"] {
                remove(&entry.path().join(name));
            }
        }
    }
}

/// Removes a folder that ending processes may still write to.
pub fn remove(path: &Path) {
    for _ in 0..TRIES {
        match fs::remove_dir_all(path) {
            Err(failure) if failure.kind() != std::io::ErrorKind::NotFound => {
                thread::sleep(Duration::from_millis(20));
            }
            _ => return,
        }
    }
    eprintln!("could not remove {}", path.display());
}
