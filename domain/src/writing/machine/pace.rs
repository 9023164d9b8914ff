//! The pace of a backlog beside clients' writes: how many events one transaction contains, and how
//! long the queue pauses after it.
//!
//! A pause leaves the database and the cores to the clients. It must not starve catching up: the
//! backlog is stored at a demanded rate at least, which is a multiple of the rate at which events
//! come in. Where pauses alone cannot give that rate, transactions grow.

use std::time::Duration;

use super::queue::{ALONE_EVENTS, CHUNK_EVENTS};

/// Pause after each backlog chunk, as a multiple of its transaction time, unless the demanded rate
/// is higher. Without a pause the p99 of a post while 100,000 events were caught up with was 18 ms
/// instead of 7, on two cores; with twice the time it was three times that of quiet hours.
pub(super) const PAUSE_FACTOR: u32 = 3;
/// Maximum pause: a pause does not help a database that is slower than this for other reasons.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What the rest of the replica says that concerns the writer's pace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// How fast a backlog is stored while clients write.
    pub backlog: Backlog,
    /// How far readers are behind, here or at peers.
    pub lag: Duration,
    /// How far they may be behind; zero for any time.
    pub max_lag: Duration,
}

/// How fast a backlog is stored while clients write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// At so many events per second at least, otherwise with precedence for the clients.
    AtLeast(u32),
    /// As fast as while only peers write: this replica is not ready to serve clients.
    First,
}

impl Default for Backlog {
    fn default() -> Self {
        Self::AtLeast(0)
    }
}

/// Most of the time that a backlog is behind its demanded rate, to be made up for.
const LONGEST_DEBT: Duration = Duration::from_millis(200);

/// The pace of a backlog.
#[derive(Debug)]
pub(super) struct Pace {
    room: usize,
    /// When the next transaction must begin to keep the demanded rate.
    due: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            room: CHUNK_EVENTS,
            due: None,
        }
    }
}

impl Pace {
    /// Maximum number of peers' events in the next transaction beside clients' writes.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Records that a transaction stored so many events of a backlog. Returns how long to pause
    /// after it.
    pub fn stored(
        &mut self,
        least_per_s: u32,
        events: usize,
        begun: Duration,
        now: Duration,
    ) -> Duration {
        let took = now.saturating_sub(begun);
        let pause = (PAUSE_FACTOR * took).min(LONGEST_PAUSE);
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let Some(interval) = (Duration::from_secs(1) * events).checked_div(least_per_s) else {
            *self = Self::default();
            return pause;
        };
        let former = self.due.unwrap_or(begun);
        let due = interval + former.clamp(begun.saturating_sub(LONGEST_DEBT), begun);
        self.due = Some(due);
        if took >= interval || now >= due + LONGEST_DEBT / 2 {
            self.room = (2 * self.room).min(ALONE_EVENTS);
        } else if 2 * took < interval {
            self.room = (self.room / 2).max(CHUNK_EVENTS);
        }
        pause.min(due.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const BEGUN: Duration = Duration::from_secs(100);

    #[test]
    fn a_backlog_yields_to_clients_as_long_as_it_keeps_the_demanded_rate() {
        let pause = |least_per_s| {
            let mut pace = Pace::default();
            pace.stored(least_per_s, 64, BEGUN, BEGUN + 4 * MS)
        };

        assert_eq!(pause(0), 12 * MS, "nothing is demanded");
        assert_eq!(pause(500), 12 * MS, "it is faster anyway");
        assert_eq!(pause(4_000), 12 * MS, "64 events each 16 ms");
        assert_eq!(pause(8_000), 4 * MS, "64 events each 8 ms");
        assert_eq!(pause(16_000), Duration::ZERO);
    }

    #[test]
    fn time_lost_is_made_up_for_and_time_won_is_not_kept() {
        let mut pace = Pace::default();
        let mut stored = |begun, took| pace.stored(8_000, 64, BEGUN + begun, BEGUN + begun + took);

        assert_eq!(stored(Duration::ZERO, 4 * MS), 4 * MS);
        assert_eq!(stored(12 * MS, 2 * MS), 2 * MS, "due at 16 ms, not at 20");
        assert_eq!(stored(16 * MS, 2 * MS), 6 * MS);
        assert_eq!(stored(20 * MS, 2 * MS), 6 * MS, "due at 28 ms, not at 32");
    }

    #[test]
    fn transactions_grow_until_the_demanded_rate_is_reached_and_shrink_when_they_can() {
        let mut pace = Pace::default();
        let (mut sizes, mut now) = (Vec::new(), BEGUN);
        // A transaction takes 10 ms, and 1 ms for each 16 events.
        for least_per_s in [8_000; 10].into_iter().chain([400; 10]) {
            let (begun, events) = (now, pace.room());
            now += 10 * MS + MS * u32::try_from(events).unwrap() / 16;
            now += pace.stored(least_per_s, events, begun, now);
            sizes.push(events);
        }

        let (grown, shrunk) = sizes.split_at(10);
        assert_eq!(grown[0], 64);
        assert!(
            grown[5..].iter().all(|events| (128..=256).contains(events)),
            "{grown:?}"
        );
        assert_eq!(shrunk.last(), Some(&64));
    }
}
