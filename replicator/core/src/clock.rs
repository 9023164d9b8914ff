//! What peers tell of the wall clocks: whose is off, and where a replica's own may not lead it.
//!
//! Nothing of a peer is ever refused for its clock: a clock only orders. A bad clock of our own
//! must not drag everybody's along, so what a replica *originates* follows its wall no further than
//! an hour ahead of the others (F15).

use crate::now::Now;

/// A clock further off than this is an alarm.
const OFF_MS: i64 = 500;
/// The alarm has passed when it is no further off than this.
const FINE_MS: i64 = 400;
/// Readings in a row that must agree on it: one may have been read by a process that was stopped.
const READINGS: u8 = 2;
/// How much of an offset a call that came in may owe to its way here: there is no round trip to
/// correct it by.
const ONE_WAY_MS: i64 = 2_000;
/// How far ahead of the others a replica's clock may lead what it originates.
pub const LEAD_MS: i64 = 3_600_000;

/// The clock of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeerClock {
    /// Its wall, less our clock that never goes back.
    base_ms: Option<i64>,
    /// Its wall, less our wall.
    offset_ms: i64,
    against: u8,
    is_off: bool,
}

impl PeerClock {
    /// Takes in what a peer's wall showed when it answered a call that took `rtt_ms`, or called
    /// itself; tells how far it is off when that is an alarm and news.
    pub(crate) fn read(&mut self, now: Now, wall_ms: i64, rtt_ms: Option<u64>) -> Option<i64> {
        let way_ms = rtt_ms.map_or(0, |ms| signed(ms) / 2);
        let wall_ms = wall_ms.saturating_add(way_ms);
        self.base_ms = Some(wall_ms.saturating_sub(signed(now.ms)));
        self.offset_ms = wall_ms.saturating_sub(now.wall_ms);
        let doubt_ms = rtt_ms.map_or(ONE_WAY_MS, |_| way_ms);
        let off_ms = self.offset_ms.saturating_abs();
        let is_against = if self.is_off {
            off_ms <= FINE_MS
        } else {
            off_ms.saturating_sub(doubt_ms) > OFF_MS
        };
        self.against = if is_against { self.against + 1 } else { 0 };
        if self.against < READINGS {
            return None;
        }
        self.against = 0;
        self.is_off = !self.is_off;
        self.is_off.then_some(self.offset_ms)
    }

    /// How far its wall is ahead of ours, where known.
    pub(crate) fn offset_ms(&self) -> Option<i64> {
        self.base_ms.map(|_| self.offset_ms)
    }

    /// The same, while it is an alarm.
    pub(crate) fn alarm(&self) -> Option<i64> {
        self.is_off.then_some(self.offset_ms)
    }

    /// Its wall, less our clock that never goes back.
    pub(crate) fn base_ms(&self) -> Option<i64> {
        self.base_ms
    }
}

/// Returns how far the wall may lead: an hour beyond the median of some clocks, all on one scale.
/// Of two in the middle the later counts. Nothing bounds it where there are no other clocks.
pub(crate) fn ceiling_ms(mut clocks_ms: Vec<i64>) -> Option<i64> {
    clocks_ms.sort_unstable();
    let median = clocks_ms.get(clocks_ms.len() / 2)?;
    Some(median.saturating_add(LEAD_MS))
}

/// Returns the same from wall clocks that were all read just now, less the clock of [`Now::ms`].
pub fn ceiling_of_walls(walls_ms: impl Iterator<Item = i64>, now: Now) -> Option<i64> {
    let elapsed_ms = signed(now.ms);
    ceiling_ms(
        walls_ms
            .map(|wall_ms| wall_ms.saturating_sub(elapsed_ms))
            .collect(),
    )
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_clock_that_is_off_is_told_once_until_it_has_passed() {
        let mut clock = PeerClock::default();

        let told: Vec<_> = [
            0, 501, 499, 501, 502, 900, 450, 401, 501, 400, 300, 900, 900,
        ]
        .map(|off| clock.read(at(0), 1_000_000 + off, Some(0)))
        .into_iter()
        .flatten()
        .collect();

        assert_eq!(told, [502, 900]);
        assert_eq!(clock.alarm(), Some(900));
    }

    #[test]
    fn what_the_way_may_have_cost_is_no_alarm() {
        let mut clock = PeerClock::default();
        for _ in 0..3 {
            assert_eq!(
                clock.read(at(0), 1_000_600, Some(400)),
                None,
                "200 ms each way"
            );
            assert_eq!(
                clock.read(at(0), 998_000, None),
                None,
                "a call that was late"
            );
        }
        assert_eq!(clock.alarm(), None);

        clock.read(at(0), 900_000, None);
        assert_eq!(clock.read(at(0), 900_000, None), Some(-100_000));
    }

    #[test]
    fn the_ceiling_lies_an_hour_above_the_median() {
        assert_eq!(ceiling_ms(vec![]), None);
        assert_eq!(ceiling_ms(vec![5]), Some(5 + HOUR));
        assert_eq!(ceiling_ms(vec![9, 5]), Some(9 + HOUR));
        assert_eq!(ceiling_ms(vec![9, i64::MAX, 5]), Some(9 + HOUR));
        assert_eq!(ceiling_ms(vec![i64::MAX]), Some(i64::MAX));
        let now = Now { ms: 3, wall_ms: 0 };
        assert_eq!(ceiling_of_walls([9, 5].into_iter(), now), Some(6 + HOUR));
    }

    proptest! {
        #[test]
        fn no_reading_panics(
            readings: Vec<(i64, i64, u64, Option<u64>)>,
        ) {
            let mut clock = PeerClock::default();
            for (wall_ms, theirs, ms, rtt_ms) in readings {
                clock.read(Now { ms, wall_ms }, theirs, rtt_ms);
                prop_assert!(ceiling_ms(clock.base_ms().into_iter().collect()).is_some());
            }
        }
    }

    fn at(ms: u64) -> Now {
        Now {
            ms,
            wall_ms: 1_000_000,
        }
    }
}
