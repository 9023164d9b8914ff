//! The hybrid logical clock: milliseconds above a 16-bit counter, in one number.
//!
//! It serves ordering only. A full counter carries into the milliseconds, so the clock neither
//! waits nor wraps. Every merged reading is accepted: a refused one would let an answer sort before
//! its question (F15, F16).

use serde::{Deserialize, Serialize};

/// A reading of the clock: `milliseconds since 1970 << 16 | counter`. At most [`Hlc::MAX`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Hlc(u64);

/// A number beyond [`Hlc::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("clock reading `{0}` does not fit 63 bits")]
pub struct ReadingTooHigh(u64);

impl TryFrom<u64> for Hlc {
    type Error = ReadingTooHigh;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        Self::new(number).ok_or(ReadingTooHigh(number))
    }
}

impl From<Hlc> for u64 {
    fn from(hlc: Hlc) -> Self {
        hlc.0
    }
}

impl Hlc {
    /// The highest reading: 2^63 − 1, which fits a signed 64-bit column.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// Returns the reading of a number, `None` above [`Hlc::MAX`].
    pub fn new(number: u64) -> Option<Self> {
        (number <= Self::MAX.0).then_some(Self(number))
    }

    /// The first reading of a millisecond of wall time.
    pub fn at_ms(wall_ms: u64) -> Self {
        Self(wall_ms.min(Self::MAX.0 >> 16) << 16)
    }

    /// The milliseconds of this reading.
    pub fn ms(self) -> u64 {
        self.0 >> 16
    }

    /// The number itself.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// One replica's clock: the highest reading seen or issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    last: Hlc,
}

impl Clock {
    /// Returns a clock whose next reading lies above `last`.
    pub fn after(last: Hlc) -> Self {
        Self { last }
    }

    /// The highest reading seen or issued.
    pub fn last(&self) -> Hlc {
        self.last
    }

    /// Issues the next reading: above every earlier one, and not behind the wall clock.
    pub fn tick(&mut self, wall_ms: u64) -> Hlc {
        let next = Hlc(self.last.0.saturating_add(1)).min(Hlc::MAX);
        self.last = next.max(Hlc::at_ms(wall_ms));
        self.last
    }

    /// Merges a reading of another clock: the next issued reading lies above it.
    pub fn merge(&mut self, seen: Hlc) {
        self.last = self.last.max(seen);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the wall clock does and whatever is merged, each reading lies above all earlier
        /// ones (F15, F16).
        #[test]
        fn every_reading_lies_above_all_seen_and_issued(
            steps in proptest::collection::vec((any::<bool>(), any::<u64>()), 1..50),
        ) {
            let mut clock = Clock::default();
            let mut highest = Hlc::default();
            for (is_merge, number) in steps {
                if is_merge {
                    let seen = Hlc(number >> 2);
                    clock.merge(seen);
                    highest = highest.max(seen);
                    continue;
                }
                let reading = clock.tick(number >> 17);
                prop_assert!(reading > highest);
                prop_assert!(reading >= Hlc::at_ms(number >> 17), "it lags the wall clock");
                highest = reading;
            }
            prop_assert_eq!(clock.last(), highest);
        }

        #[test]
        fn a_reading_round_trips_as_json(number in 0..=Hlc::MAX.0) {
            let reading = Hlc::new(number).unwrap();

            let json = serde_json::to_string(&reading).unwrap();

            prop_assert_eq!(serde_json::from_str::<Hlc>(&json).unwrap(), reading);
        }

        #[test]
        fn a_reading_beyond_63_bits_is_refused(number in Hlc::MAX.0 + 1..) {
            prop_assert_eq!(Hlc::new(number), None);
            prop_assert!(serde_json::from_str::<Hlc>(&number.to_string()).is_err());
        }
    }

    #[test]
    fn a_full_counter_carries_into_the_milliseconds() {
        let mut clock = Clock::after(Hlc((7 << 16) | 0xffff));

        assert_eq!(clock.tick(7), Hlc::at_ms(8));
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_still_counts() {
        let mut clock = Clock::default();

        let readings = [clock.tick(100), clock.tick(100), clock.tick(50)];

        assert_eq!(readings.map(Hlc::ms), [100, 100, 100]);
        assert!(readings.is_sorted() && readings[0] < readings[2]);
    }

    #[test]
    fn the_end_of_time_neither_wraps_nor_panics() {
        let mut clock = Clock::after(Hlc::MAX);

        assert_eq!(clock.tick(u64::MAX), Hlc::MAX);
        assert!(Hlc::at_ms(u64::MAX) <= Hlc::MAX);
    }
}
