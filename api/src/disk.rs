//! How much room is left on the disk of the data folder, and whether that is still enough to write.
//!
//! A Postgres that runs into a full disk ends in the middle of what it does, and does not start
//! again before somebody makes room; reading ends with it. So writing stops earlier, and everything
//! else goes on (F31). Asked by the log before each write, and for the metrics.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is kept free where nothing is set: enough for Postgres to end a checkpoint and for somebody
/// to come and look.
const USUAL_MIN_BYTES: u64 = 256 * 1024 * 1024;
/// Of a small disk only this part of the whole is kept free by default.
const USUAL_SHARE: u64 = 8;
/// When writing has stopped it begins again only with this part more than the least, so that it does
/// not stop and go with every write.
const RELIEF_SHARE: u64 = 8;
/// How long an answer of the file system counts.
const FRESH: Duration = Duration::from_millis(250);

/// Watches the disk of one folder. Cheap to ask at any rate.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    least_bytes: Option<u64>,
    seen: Mutex<Option<Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    room: Room,
    is_short: bool,
}

/// What a file system says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What a program that is not root can still write.
    pub free_bytes: u64,
    /// All there is, used or not.
    pub total_bytes: u64,
}

impl Disk {
    /// Watches the disk of a folder. `least_bytes`: how much of it stays free; 0 for never minding,
    /// nothing for the default.
    pub fn new(folder: &Path, least_bytes: Option<u64>) -> Self {
        Self {
            folder: folder.to_owned(),
            least_bytes,
            seen: Mutex::new(None),
        }
    }

    /// Tells whether there is room to write. A disk that cannot be asked is not in the way.
    pub fn has_room(&self) -> bool {
        self.look().is_none_or(|seen| !seen.is_short)
    }

    /// What is free, where the file system tells.
    pub fn room(&self) -> Option<Room> {
        self.look().map(|seen| seen.room)
    }

    fn look(&self) -> Option<Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = *seen
            && seen.at.elapsed() < FRESH
        {
            return Some(seen);
        }
        let stat = rustix::fs::statvfs(&self.folder).ok()?;
        let room = Room {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        };
        let was_short = seen.is_some_and(|seen| seen.is_short);
        let least_bytes = self.least_bytes.unwrap_or(usual_least(room.total_bytes));
        let is_short = is_short(was_short, room.free_bytes, least_bytes);
        if is_short != was_short {
            self.tell(is_short, room.free_bytes, least_bytes);
        }
        *seen = Some(Seen {
            at: Instant::now(),
            room,
            is_short,
        });
        *seen
    }

    fn tell(&self, is_short: bool, free_bytes: u64, least_bytes: u64) {
        let folder = self.folder.display();
        if is_short {
            tracing::error!(
                %folder, free_bytes, least_bytes,
                "the disk is nearly full: writes are refused until there is room; reading goes on"
            );
        } else {
            tracing::warn!(%folder, free_bytes, least_bytes, "there is room again: writes are taken");
        }
    }
}

fn usual_least(total_bytes: u64) -> u64 {
    USUAL_MIN_BYTES.min(total_bytes / USUAL_SHARE)
}

fn is_short(was_short: bool, free_bytes: u64, least_bytes: u64) -> bool {
    let relief = if was_short {
        least_bytes / RELIEF_SHARE
    } else {
        0
    };
    free_bytes < least_bytes.saturating_add(relief)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_stops_below_the_least_and_begins_again_with_some_relief() {
        assert!(!is_short(false, 800, 800));
        assert!(is_short(false, 799, 800));
        assert!(is_short(true, 899, 800));
        assert!(!is_short(true, 900, 800));
    }

    #[test]
    fn nothing_is_kept_free_where_that_is_asked_for() {
        assert!(!is_short(false, 0, 0) && !is_short(true, 0, 0));
    }

    #[test]
    fn a_small_disk_is_not_full_from_the_start() {
        const MIB: u64 = 1024 * 1024;

        assert_eq!(usual_least(64 * MIB), 8 * MIB);
        assert_eq!(usual_least(1024 * 1024 * MIB), 256 * MIB);
    }

    #[test]
    fn a_folder_that_is_not_there_stops_nobody() {
        let disk = Disk::new(Path::new("/nowhere/at/all"), Some(u64::MAX));

        assert!(disk.has_room());
        assert_eq!(disk.room(), None);
    }

    #[test]
    fn a_disk_with_less_than_the_least_has_no_room() {
        let here = std::env::temp_dir();

        assert!(!Disk::new(&here, Some(u64::MAX)).has_room());
        assert!(Disk::new(&here, Some(0)).has_room());
    }
}
