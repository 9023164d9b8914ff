//! Backpressure: while readers are behind, here or at peers, clients' commands wait a moment after
//! each transaction, which leaves the database and the cores to the readers.
//!
//! The wait is a function of the lag alone and rises with its square: from nothing at a quarter of
//! the bound to [`LONGEST`] at the bound. So it settles where as much is written as can be read, and
//! a lag that no wait can shorten costs each transaction [`LONGEST`] at most, for a while: see
//! [`Gate`].

use std::time::Duration;

/// Maximum wait after a transaction.
pub(super) const LONGEST: Duration = Duration::from_millis(500);
/// The share of the bound below which there is no wait.
const QUIET_SHARE: u32 = 4;
/// How long a lag beyond the bound counts.
const PATIENCE_MS: u64 = 10_000;
/// From this multiple of the bound on somebody catches up, which takes its time anyway.
const CATCHING_UP: u64 = 10;

/// Returns how long commands wait after a transaction. A bound of zero is none.
pub(super) fn wait(lag: Duration, bound: Duration) -> Duration {
    let quiet = bound / QUIET_SHARE;
    let (over, range) = (lag.saturating_sub(quiet), bound.saturating_sub(quiet));
    if range.is_zero() || over.is_zero() {
        return Duration::ZERO;
    }
    let share = (over.as_secs_f64() / range.as_secs_f64()).min(1.0);
    LONGEST.mul_f64(share * share)
}

/// Ignores a lag that waiting does not shorten: of a peer that is too slow for other reasons, that
/// catches up, or that lies. It counts again once it has been below half of the bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    beyond_since_ms: Option<u64>,
    is_ignored: bool,
}

impl Gate {
    /// Returns the part of a lag that counts.
    pub fn pass(&mut self, now_ms: u64, lag_ms: u64, bound_ms: u64) -> u64 {
        if lag_ms >= CATCHING_UP * bound_ms {
            self.is_ignored = true;
        } else if lag_ms < bound_ms / 2 {
            *self = Self::default();
        } else if lag_ms < bound_ms {
            self.beyond_since_ms = None;
        } else {
            let since_ms = *self.beyond_since_ms.get_or_insert(now_ms);
            self.is_ignored |= now_ms >= since_ms + PATIENCE_MS;
        }
        if self.is_ignored { 0 } else { lag_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_wait_rises_from_a_quarter_of_the_bound_to_the_longest_at_it() {
        let waits = [0, 250, 400, 625, 1_000, 60_000].map(|lag| wait(ms(lag), BOUND).as_millis());

        assert_eq!(waits, [0, 0, 20, 125, 500, 500]);
        assert_eq!(wait(ms(5_000), Duration::ZERO), Duration::ZERO, "no bound");
    }

    /// The readers take 480 commands a second; 12, 64 or 240 connections post as soon as they are
    /// answered, and a transaction takes 4 ms and 0.1 ms for each command.
    #[test]
    fn the_lag_settles_below_the_bound_at_the_rate_that_the_readers_take() {
        for connections in [12_u32, 64, 240] {
            let (mut written, mut read, mut now) = (0.0_f64, 0.0_f64, 0.0_f64);
            let (mut largest, mut late_written) = (0.0_f64, 0.0);
            while now < 30.0 {
                let lag = (written - read) / 480.0;
                let pause = wait(Duration::from_secs_f64(lag), BOUND).as_secs_f64();
                let took = 0.004 + 0.000_1 * f64::from(connections) + pause;
                now += took;
                written += f64::from(connections);
                read = (read + 480.0 * took).min(written);
                if now > 20.0 {
                    largest = largest.max(lag);
                    late_written += f64::from(connections);
                }
            }

            assert!(largest < 1.0, "{connections}: {largest}");
            assert!(late_written > 4_500.0, "{connections}: {late_written}");
        }
    }

    #[test]
    fn a_lag_that_does_not_shrink_is_ignored_until_it_has_been_small() {
        let mut gate = Gate::default();
        let mut pass = |second: u64, lag_ms| gate.pass(second * 1_000, lag_ms, 1_000);

        assert_eq!(pass(0, 600), 600);
        assert_eq!(pass(60, 600), 600, "below the bound it counts for ever");
        assert_eq!(pass(61, 3_000), 3_000);
        assert_eq!(pass(65, 900), 900, "it shrinks");
        assert_eq!(pass(66, 3_000), 3_000);
        assert_eq!(pass(76, 3_000), 0, "it does not");
        assert_eq!(pass(80, 900), 0);
        assert_eq!(pass(81, 400), 400);
        assert_eq!(pass(82, 3_000), 3_000);
        assert_eq!(pass(83, 30_000), 0, "a replica that was away");
        assert_eq!(pass(84, 3_000), 0);
    }
}
