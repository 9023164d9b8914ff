//! How large the write-ahead log of a new cluster may get: its usual gigabyte would crowd the data out
//! on a small disk, and a Postgres that cannot make its next piece ends.

use std::path::Path;

const MIB: u64 = 1024 * 1024;
/// What Postgres keeps by default.
const USUAL_MIB: u64 = 1024;

/// The write-ahead log of a cluster on a small disk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SmallLog {
    most_mib: u64,
}

impl SmallLog {
    /// Looks at the disk of a folder; nothing where the usual log does no harm.
    pub(crate) fn for_disk_of(folder: &Path) -> Option<Self> {
        let stat = rustix::fs::statvfs(folder).ok()?;
        Self::for_disk(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    fn for_disk(total_bytes: u64) -> Option<Self> {
        let most_mib = total_bytes / 8 / MIB;
        if most_mib >= USUAL_MIB {
            return None;
        }
        Some(Self {
            most_mib: most_mib.max(4),
        })
    }

    /// What the configuration of the cluster has to say.
    pub(crate) fn settings(&self) -> String {
        // Postgres asks for two pieces at least.
        let (most_mib, least_mib) = (self.most_mib, (self.most_mib / 4).max(2));
        format!("\nmax_wal_size = '{most_mib}MB'\nmin_wal_size = '{least_mib}MB'\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_gets_a_small_log() {
        let log = SmallLog::for_disk(64 * MIB).unwrap();

        assert_eq!(
            log.settings(),
            "\nmax_wal_size = '8MB'\nmin_wal_size = '2MB'\n"
        );
    }

    #[test]
    fn a_larger_one_gets_a_share_and_a_large_one_the_usual_log() {
        let log = SmallLog::for_disk(2_048 * MIB).unwrap();

        assert!(log.settings().contains("max_wal_size = '256MB'"));
        assert_eq!(SmallLog::for_disk(100_000 * MIB), None);
    }
}
