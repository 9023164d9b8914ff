//! Free space on the disk of the data folder, and whether it suffices for writes.
//!
//! A Postgres that fills its disk ends at once and does not start again before somebody makes room,
//! which ends reading, too. So writes are refused earlier, and everything else goes on. The log asks
//! before each write.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Kept free by default: enough for Postgres to complete a checkpoint, and for an operator to react.
const DEFAULT_MIN_BYTES: u64 = 256 * 1024 * 1024;
/// At most this fraction of a small disk is kept free by default.
const DEFAULT_SHARE: u64 = 8;
/// Hysteresis: once refused, writes are accepted again only with this fraction of the minimum on top.
const HYSTERESIS_SHARE: u64 = 8;
/// How long a measurement is valid.
const FRESH: Duration = Duration::from_millis(250);

/// Watches the disk of one folder. Cheap to ask at any frequency.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    min_bytes: Option<u64>,
    last: Mutex<Option<Measurement>>,
}

#[derive(Clone, Copy, Debug)]
struct Measurement {
    at: Instant,
    room: Room,
    is_short: bool,
}

/// The size of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What an unprivileged program can still write.
    pub free_bytes: u64,
    /// Used and free.
    pub total_bytes: u64,
}

impl Disk {
    /// Watches the disk of a folder, of which `min_bytes` stay free; 0 disables this, `None` chooses
    /// the default.
    pub fn new(folder: &Path, min_bytes: Option<u64>) -> Self {
        Self {
            folder: folder.to_owned(),
            min_bytes,
            last: Mutex::new(None),
        }
    }

    /// Whether there is room to write. A disk that cannot be measured is assumed to have room.
    pub fn has_room(&self) -> bool {
        self.measure().is_none_or(|last| !last.is_short)
    }

    /// Returns the size of the file system, where it can be measured.
    pub fn room(&self) -> Option<Room> {
        self.measure().map(|last| last.room)
    }

    fn measure(&self) -> Option<Measurement> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = *last
            && last.at.elapsed() < FRESH
        {
            return Some(last);
        }
        let stat = rustix::fs::statvfs(&self.folder).ok()?;
        let room = Room {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        };
        let was_short = last.is_some_and(|last| last.is_short);
        let min_bytes = self.min_bytes.unwrap_or(default_min(room.total_bytes));
        let is_short = is_short(was_short, room.free_bytes, min_bytes);
        if is_short != was_short {
            self.report(is_short, room.free_bytes, min_bytes);
        }
        *last = Some(Measurement {
            at: Instant::now(),
            room,
            is_short,
        });
        *last
    }

    fn report(&self, is_short: bool, free_bytes: u64, min_bytes: u64) {
        let folder = self.folder.display();
        if is_short {
            tracing::error!(
                %folder, free_bytes, min_bytes,
                "the disk is nearly full: writes are refused until there is room; reading goes on"
            );
        } else {
            tracing::warn!(%folder, free_bytes, min_bytes, "there is room again: writes are taken");
        }
    }
}

fn default_min(total_bytes: u64) -> u64 {
    DEFAULT_MIN_BYTES.min(total_bytes / DEFAULT_SHARE)
}

fn is_short(was_short: bool, free_bytes: u64, min_bytes: u64) -> bool {
    let hysteresis = if was_short {
        min_bytes / HYSTERESIS_SHARE
    } else {
        0
    };
    free_bytes < min_bytes.saturating_add(hysteresis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_stops_below_the_minimum_and_resumes_with_some_hysteresis() {
        assert!(!is_short(false, 800, 800));
        assert!(is_short(false, 799, 800));
        assert!(is_short(true, 899, 800));
        assert!(!is_short(true, 900, 800));
    }

    #[test]
    fn nothing_is_kept_free_where_that_is_disabled() {
        assert!(!is_short(false, 0, 0) && !is_short(true, 0, 0));
    }

    #[test]
    fn a_small_disk_is_not_full_from_the_start() {
        const MIB: u64 = 1024 * 1024;

        assert_eq!(default_min(64 * MIB), 8 * MIB);
        assert_eq!(default_min(1024 * 1024 * MIB), 256 * MIB);
    }

    #[test]
    fn a_missing_folder_does_not_stop_writes() {
        let disk = Disk::new(Path::new("/nowhere/at/all"), Some(u64::MAX));

        assert!(disk.has_room());
        assert_eq!(disk.room(), None);
    }

    #[test]
    fn a_disk_with_less_than_the_minimum_has_no_room() {
        let here = std::env::temp_dir();

        assert!(!Disk::new(&here, Some(u64::MAX)).has_room());
        assert!(Disk::new(&here, Some(0)).has_room());
    }
}
