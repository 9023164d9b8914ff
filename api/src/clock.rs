//! The one source of wall time, with a configurable error for tests. Everything else is handed a
//! clock. Called by the server when it starts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::edge::WallClock;

/// Interval at which the offset is read again.
const REREAD: Duration = Duration::from_millis(200);

/// Returns the clock of this machine, shifted by the milliseconds in `offset_file`, which is read
/// again when it changes. Must be called in a tokio runtime.
pub fn wall_clock(offset_file: Option<&Path>) -> WallClock {
    let Some(file) = offset_file else {
        return Arc::new(|| u64::try_from(now_ms()).unwrap_or(0));
    };
    let offset_ms = Arc::new(AtomicI64::new(read(file).unwrap_or(0)));
    tokio::spawn(follow(file.to_owned(), Arc::downgrade(&offset_ms)));
    Arc::new(move || {
        let ms = now_ms().saturating_add(offset_ms.load(Ordering::Relaxed));
        u64::try_from(ms).unwrap_or(0)
    })
}

#[expect(clippy::disallowed_methods, reason = "the one source of wall time")]
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// Reads the offset periodically while the clock is in use. A file that is missing or incomplete
/// changes nothing.
async fn follow(file: PathBuf, offset_ms: Weak<AtomicI64>) {
    loop {
        tokio::time::sleep(REREAD).await;
        let Some(offset_ms) = offset_ms.upgrade() else {
            return;
        };
        if let Some(read) = read(&file) {
            offset_ms.store(read, Ordering::Relaxed);
        }
    }
}

fn read(file: &Path) -> Option<i64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;

    #[tokio::test]
    async fn a_clock_is_as_wrong_as_its_file_says_and_follows_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("offset");
        std::fs::write(&file, YEAR_MS.to_string()).unwrap();

        let clock = wall_clock(Some(&file));
        assert!(offset_of(&clock) > YEAR_MS - 60_000);
        std::fs::write(&file, format!("{}\n", -YEAR_MS)).unwrap();

        comes_near(&clock, -YEAR_MS).await;
        std::fs::write(&file, "").unwrap();
        std::fs::write(&file, "0").unwrap();
        comes_near(&clock, 0).await;
    }

    #[tokio::test]
    async fn without_a_file_the_clock_is_the_machines() {
        let folder = tempfile::tempdir().unwrap();

        assert!(offset_of(&wall_clock(None)).abs() < 60_000);
        let not_there = folder.path().join("none");
        assert!(offset_of(&wall_clock(Some(&not_there))).abs() < 60_000);
    }

    fn offset_of(clock: &WallClock) -> i64 {
        i64::try_from(clock()).unwrap() - now_ms()
    }

    async fn comes_near(clock: &WallClock, offset_ms: i64) {
        let near = async {
            while (offset_of(clock) - offset_ms).abs() > 60_000 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(20), near).await;
        reached.expect("the clock follows its file");
    }
}
