//! Pure: the pause before a server is tried again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);

/// Pauses that double with each failure, each randomly shortened by up to a half, so that clients
/// that lost a server together do not return together.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Records a failure and returns the pause after it. `chance` is a random number.
    pub fn failed(&mut self, chance: u32) -> Duration {
        let full = FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST);
        self.failures += 1;
        full.mul_f64(1.0 - f64::from(chance) / f64::from(u32::MAX) / 2.0)
    }

    /// Records a success: the next failure is the first again.
    pub fn worked(&mut self) {
        self.failures = 0;
    }
}

/// A random number.
pub fn chance() -> u32 {
    u32::from_ne_bytes(crate::random::bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..7).map(|_| backoff.failed(0).as_millis()).collect();

        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 15000, 15000]);
        backoff.worked();
        assert_eq!(backoff.failed(0).as_millis(), 500);
    }

    #[test]
    fn chance_shortens_a_wait_by_up_to_a_half() {
        let wait = |chance| Backoff::default().failed(chance).as_millis();

        assert_eq!((wait(u32::MAX), wait(u32::MAX / 2)), (250, 375));
    }
}
