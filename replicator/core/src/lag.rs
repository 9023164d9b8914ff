//! How far the readers of our events are behind at one peer. It slows our clients down a little, and
//! never gates a write: see the writer's throttle.

use causeway_domain::marks::Marks;
use causeway_domain::writing::machine::Gate;

use crate::now::Now;

/// Precision of the lag.
const APART_MS: u64 = 50;

#[derive(Debug)]
pub(crate) struct Lag {
    /// Our events that the peer has not shown to hold.
    own: Marks,
    /// How far its readers are behind its log, as it said last.
    read_ms: u64,
    gate: Gate,
}

impl Default for Lag {
    fn default() -> Self {
        Self {
            own: Marks::apart(APART_MS),
            read_ms: 0,
            gate: Gate::default(),
        }
    }
}

impl Lag {
    /// Own events up to this one are committed here.
    pub fn wrote(&mut self, now: Now, seq: u64) {
        self.own.reach(now.ms, seq);
    }

    /// The peer holds own events up to this one.
    pub fn holds(&mut self, seq: u64) {
        self.own.confirm(seq);
    }

    /// The peer said how far its readers are behind. If it was away, own events up to `seq`, which
    /// were written before it came back, do not count.
    pub fn heard(&mut self, was_away: bool, seq: u64, read_ms: u64) {
        if was_away {
            self.own.confirm(seq);
        }
        self.read_ms = read_ms;
    }

    /// Returns the lag that counts: none of a peer that is not there.
    pub fn counted_ms(&mut self, now: Now, is_there: bool, bound_ms: u64) -> u64 {
        if !is_there {
            self.gate = Gate::default();
            return 0;
        }
        let sent_ms = self.own.oldest(now.ms).map_or(0, |(_, age_ms)| age_ms);
        let lag_ms = sent_ms.saturating_add(self.read_ms);
        self.gate.pass(now.ms, lag_ms, bound_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now {
            ms,
            ..Now::default()
        }
    }

    #[test]
    fn a_lag_is_the_time_until_an_event_is_there_and_until_it_is_readable() {
        let mut lag = Lag::default();
        lag.wrote(at(1_000), 5);
        lag.heard(false, 5, 200);

        assert_eq!(lag.counted_ms(at(1_300), true, 1_000), 500);
        lag.holds(5);
        assert_eq!(lag.counted_ms(at(1_400), true, 1_000), 200);
    }

    #[test]
    fn a_peer_that_is_not_there_never_counts_nor_does_what_it_missed() {
        let mut lag = Lag::default();
        lag.wrote(at(1_000), 5);

        assert_eq!(lag.counted_ms(at(9_000), false, 1_000), 0);
        lag.heard(true, 5, 0);
        assert_eq!(lag.counted_ms(at(9_001), true, 1_000), 0);
        lag.wrote(at(9_002), 6);
        assert_eq!(lag.counted_ms(at(9_202), true, 1_000), 200);
    }
}
