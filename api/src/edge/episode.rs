//! Repeated trouble as two lines of the log: when it begins, and how often it was when it is over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long nothing must happen until an episode is over.
const QUIET: Duration = Duration::from_secs(30);

/// Counts what happens between two quiet periods.
#[derive(Debug, Default)]
pub(super) struct Episode(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    last: Instant,
    times: u64,
}

impl Episode {
    /// Counts one more time. Returns whether it begins an episode.
    pub(super) fn count(&self, now: Instant) -> bool {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = running.is_none();
        let times = running.as_ref().map_or(0, |it| it.times) + 1;
        *running = Some(Running { last: now, times });
        is_first
    }

    /// Ends the episode if it has been quiet for long enough. Returns how often it was.
    pub(super) fn end(&self, now: Instant) -> Option<u64> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |it: &mut Running| now.saturating_duration_since(it.last) >= QUIET;
        running.take_if(is_over).map(|it| it.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_begins_once_and_ends_once() {
        let (episode, start) = (Episode::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);

        assert_eq!(episode.end(at(0)), None);
        assert!(episode.count(at(1)));
        assert!(!episode.count(at(2)));
        assert_eq!(episode.end(at(31)), None);
        assert_eq!(episode.end(at(32)), Some(2));
        assert_eq!(episode.end(at(99)), None);
        assert!(episode.count(at(100)));
    }
}
