//! The parameters of every benchmark.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The number of runs per figure.
    pub runs: u32,
    /// The folder of the databases, on the disk to measure.
    pub disk: PathBuf,
    /// The duration of each load.
    pub load: Duration,
    /// The duration of measurements of idle servers.
    pub idle: Duration,
    pub sizes: Sizes,
}

/// The sizes of the data.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Messages of the large history.
    pub large: u64,
    /// Messages of the history that is read as a whole, and of the smaller catch-up.
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
    /// The sizes that the budgets require.
    pub const ASKED: Self = Self {
        large: 1_000_000,
        whole: 100_000,
        small: 1_000,
        streams: 10_000,
        groups: 10_000,
        online: 1_000,
    };
    /// Small sizes, for a check within a minute or two that everything works.
    pub const QUICK: Self = Self {
        large: 20_000,
        whole: 5_000,
        small: 500,
        streams: 500,
        groups: 500,
        online: 50,
    };
}

/// The folder of a benchmark; removed on drop.
pub struct Folder(PathBuf);

impl Setup {
    /// Creates an empty folder for one benchmark.
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
        // The servers have stopped by now, so a failure is unexpected and is reported.
        if let Err(failure) = std::fs::remove_dir_all(&self.0) {
            eprintln!("`{}` cannot be removed: {failure}", self.0.display());
        }
    }
}
