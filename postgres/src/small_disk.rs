//! How large the write-ahead log of a new cluster may get: its usual gigabyte, in pieces of 16 MiB,
//! would crowd the data out on a small disk, and a Postgres that cannot make its next piece ends.

use std::path::Path;

const MIB: u64 = 1024 * 1024;
/// What Postgres keeps by default.
const USUAL_MIB: u64 = 1024;

/// The write-ahead log of a cluster on a small disk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SmallLog {
    /// The size of a piece, where it is not to be the usual one.
    pub(crate) piece_mib: Option<u64>,
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
            piece_mib: (most_mib < 128).then_some(1),
            most_mib: most_mib.max(4),
        })
    }

    /// What the configuration of the cluster has to say.
    pub(crate) fn settings(&self) -> String {
        let (most_mib, least_mib) = (self.most_mib, (self.most_mib / 4).max(2));
        let least_mib = if self.piece_mib.is_some() {
            least_mib
        } else {
            least_mib.max(32)
        };
        format!("\nmax_wal_size = '{most_mib}MB'\nmin_wal_size = '{least_mib}MB'\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_gets_a_small_log_in_small_pieces() {
        let log = SmallLog::for_disk(64 * MIB).unwrap();

        assert_eq!(log.piece_mib, Some(1));
        assert_eq!(
            log.settings(),
            "\nmax_wal_size = '8MB'\nmin_wal_size = '2MB'\n"
        );
    }

    #[test]
    fn a_larger_one_gets_a_share_and_the_usual_pieces() {
        let log = SmallLog::for_disk(2_048 * MIB).unwrap();

        assert_eq!(log.piece_mib, None);
        assert!(log.settings().contains("max_wal_size = '256MB'"));
        assert_eq!(SmallLog::for_disk(100_000 * MIB), None);
    }
}
