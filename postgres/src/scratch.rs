//! A folder for one test.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How often the removal is tried, and the pause in between.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// A temporary folder, removed when it is dropped. Processes that the test left behind may still be
/// writing to it, so the removal is tried for up to a second.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes a folder.
    ///
    /// # Panics
    ///
    /// When the system's folder for temporary files cannot be written.
    pub fn create() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("causeway-scratch-")
            .tempdir();
        let folder = folder.expect("the system's folder for temporary files can be written");
        Self(folder.keep())
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            match fs::remove_dir_all(&self.0) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }
}
