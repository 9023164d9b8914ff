//! How large the write-ahead log of a new cluster may get. After each checkpoint a page goes into it
//! whole when it is first changed (`full_page_writes`), and ids are random, so that every post changes
//! pages all over the indexes: the larger the log, the fewer checkpoints, and the less is written.
//! But what is usual would crowd the data out on a small disk, and a Postgres that cannot make the next
//! piece of its log ends.

use std::path::Path;

const MIB: u64 = 1024 * 1024;
/// With Postgres' own 1 GiB a million messages filled the log in five seconds, most of it with whole
/// pages, and posts came at half the rate.
const USUAL_MIB: u64 = 4096;
/// Pieces that are kept to be used again, for a burst.
const KEPT_MIB: u64 = 256;

/// The size of a write-ahead log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogSize {
    most_mib: u64,
}

impl LogSize {
    /// Chooses by the disk of a folder; nothing where that cannot be looked at.
    pub(crate) fn for_disk_of(folder: &Path) -> Option<Self> {
        let stat = rustix::fs::statvfs(folder).ok()?;
        let total_bytes = stat.f_blocks.saturating_mul(stat.f_frsize);
        Some(Self::for_disk(total_bytes))
    }

    fn for_disk(total_bytes: u64) -> Self {
        Self {
            most_mib: (total_bytes / 8 / MIB).clamp(4, USUAL_MIB),
        }
    }

    /// What the configuration of the cluster has to say.
    pub(crate) fn settings(&self) -> String {
        // Postgres asks for two pieces at least.
        let (most_mib, least_mib) = (self.most_mib, (self.most_mib / 4).clamp(2, KEPT_MIB));
        format!(
            "\nmax_wal_size = '{most_mib}MB'\nmin_wal_size = '{least_mib}MB'\n\
             checkpoint_timeout = '15min'\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_takes_an_eighth_of_a_small_disk_and_no_more_than_is_of_use_on_a_large_one() {
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
