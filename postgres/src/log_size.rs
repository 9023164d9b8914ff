//! The size of the write-ahead log of a new cluster. After each checkpoint the first change of a page
//! writes the whole page to the log (`full_page_writes`), and because ids are random every post
//! changes pages all over the indexes: a larger log means fewer checkpoints and fewer bytes written.
//! On a small disk the usual size would crowd out the data, and a Postgres that cannot make the next
//! segment of its log ends.

use std::path::Path;

const MIB: u64 = 1024 * 1024;
/// With the 1 GiB of Postgres' default a million messages filled the log every five seconds, mostly
/// with whole pages, and halved the rate of posts.
const USUAL_MIB: u64 = 4096;
/// Segments that are kept for recycling, for a burst.
const KEPT_MIB: u64 = 256;

/// The size of a write-ahead log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogSize {
    max_mib: u64,
}

impl LogSize {
    /// Chooses by the disk of a folder; `None` where its size is unknown.
    pub(crate) fn for_disk_of(folder: &Path) -> Option<Self> {
        let stat = rustix::fs::statvfs(folder).ok()?;
        let total_bytes = stat.f_blocks.saturating_mul(stat.f_frsize);
        Some(Self::for_disk(total_bytes))
    }

    fn for_disk(total_bytes: u64) -> Self {
        Self {
            max_mib: (total_bytes / 8 / MIB).clamp(4, USUAL_MIB),
        }
    }

    /// Returns the lines for the configuration of the cluster.
    pub(crate) fn settings(&self) -> String {
        // Postgres requires two segments at least.
        let (max_mib, min_mib) = (self.max_mib, (self.max_mib / 4).clamp(2, KEPT_MIB));
        format!(
            "\nmax_wal_size = '{max_mib}MB'\nmin_wal_size = '{min_mib}MB'\n\
             checkpoint_timeout = '15min'\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_takes_an_eighth_of_a_small_disk_and_a_fixed_size_of_a_large_one() {
        for (disk_mib, most, least) in [
            (64, "8MB", "2MB"),
            (2_048, "256MB", "64MB"),
            (100_000, "4096MB", "256MB"),
        ] {
            let settings = LogSize::for_disk(disk_mib * MIB).settings();

            assert!(settings.contains(&format!("max_wal_size = '{most}'")));
            assert!(settings.contains(&format!("min_wal_size = '{least}'")));
        }
    }
}
