//! What every benchmark is given.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a benchmark is run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How often each figure is taken.
    pub runs: u32,
    /// Where databases lie: the disk that is measured.
    pub disk: PathBuf,
    /// How long each load lasts.
    pub load: Duration,
    /// How long idle servers are watched.
    pub idle: Duration,
    pub sizes: Sizes,
}

/// How large things are.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Messages of the large history.
    pub large: u64,
    /// Messages of a whole history that is read, and of the smaller catch-up.
    pub whole: u64,
    /// Messages of the small group.
    pub small: u64,
    /// Streams open at once.
    pub streams: usize,
    /// Groups that those streams, or posts, are spread over.
    pub groups: usize,
    /// Users online in one group.
    pub online: usize,
}

impl Sizes {
    /// What the budgets ask for.
    pub const ASKED: Self = Self {
        large: 1_000_000,
        whole: 100_000,
        small: 1_000,
        streams: 10_000,
        groups: 10_000,
        online: 1_000,
    };
    /// Small enough to see within a minute or two whether everything works.
    pub const QUICK: Self = Self {
        large: 20_000,
        whole: 5_000,
        small: 500,
        streams: 500,
        groups: 500,
        online: 50,
    };
}

/// A folder that goes with its benchmark.
pub struct Folder(PathBuf);

impl Setup {
    /// Makes an empty folder for one benchmark.
    pub fn folder(&self, name: &str) -> anyhow::Result<Folder> {
        let path = self
            .disk
            .join(format!("causeway-bench-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }
}

impl Folder {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Servers have stopped by now; what cannot be removed is named, not hidden.
        if let Err(failure) = std::fs::remove_dir_all(&self.0) {
            eprintln!("`{}` stays: {failure}", self.0.display());
        }
    }
}
