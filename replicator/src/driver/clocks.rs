//! The clocks of one process: the wall, the one that never goes back, and the one its events
//! follow, which is the wall as far as the clocks of peers let it lead (F15).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use causeway_replicator_core::now::Now;
use causeway_store::log::WallClock;
use tokio::time::Instant;

/// No peer has shown its clock yet.
const UNBOUNDED: i64 = i64::MAX;

/// The clocks of this process.
pub struct Clocks {
    wall: WallClock,
    started: Instant,
    ceiling_ms: Arc<AtomicI64>,
}

impl Clocks {
    /// Starts the one that never goes back.
    pub fn new(wall: WallClock) -> Arc<Self> {
        Arc::new(Self {
            wall,
            started: Instant::now(),
            ceiling_ms: Arc::new(AtomicI64::new(UNBOUNDED)),
        })
    }

    /// This moment.
    pub fn now(&self) -> Now {
        Now {
            ms: elapsed_ms(self.started),
            wall_ms: i64::try_from((self.wall)()).unwrap_or(i64::MAX),
        }
    }

    /// The wall clock, for what people are shown.
    pub fn wall(&self) -> WallClock {
        self.wall.clone()
    }

    /// The clock that events follow: the wall, but never beyond the ceiling, also when the wall
    /// jumps between two answers of peers.
    pub fn order(&self) -> WallClock {
        let (wall, started) = (self.wall.clone(), self.started);
        let ceiling_ms = Arc::clone(&self.ceiling_ms);
        Arc::new(move || {
            let elapsed = i64::try_from(elapsed_ms(started)).unwrap_or(i64::MAX);
            let ceiling = ceiling_ms.load(Ordering::Relaxed).saturating_add(elapsed);
            wall().min(u64::try_from(ceiling).unwrap_or(0))
        })
    }

    /// Sets how far the wall may lead, less the clock that never goes back. What peers have shown
    /// once goes on to hold while none of them answers.
    pub fn bound(&self, ceiling_ms: Option<i64>) {
        if let Some(ceiling_ms) = ceiling_ms {
            self.ceiling_ms.store(ceiling_ms, Ordering::Relaxed);
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }
}

fn elapsed_ms(started: Instant) -> u64 {
    let ms = u64::try_from(started.elapsed().as_millis());
    ms.expect("no process runs for 500 million years")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    const YEAR_MS: u64 = 365 * 24 * 3_600_000;
    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn events_follow_the_wall_until_it_leads_the_others_too_far() {
        let wall_ms = Arc::new(AtomicU64::new(YEAR_MS));
        let shown = Arc::clone(&wall_ms);
        let clocks = Clocks::new(Arc::new(move || shown.load(Ordering::Relaxed)));
        let order = clocks.order();
        assert_eq!(order(), YEAR_MS);

        clocks.bound(Some(i64::try_from(YEAR_MS + HOUR_MS).unwrap()));
        clocks.bound(None);
        assert_eq!(order(), YEAR_MS);
        wall_ms.store(2 * YEAR_MS, Ordering::Relaxed);
        let bounded = order();

        assert!(
            (YEAR_MS + HOUR_MS..YEAR_MS + 2 * HOUR_MS).contains(&bounded),
            "{bounded}"
        );
        assert_eq!((clocks.wall())(), 2 * YEAR_MS, "people are shown the wall");
    }
}
