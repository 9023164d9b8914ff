//! When numbers were reached: of a sequence that somebody else follows, how far behind the follower
//! is in time.

use std::collections::VecDeque;

/// Maximum number of marks; beyond it the newest one stands for all that follows.
const MARKS: usize = 64;

/// The numbers that were reached and are not confirmed, with the times at which they were reached.
/// Times are milliseconds on any one clock.
#[derive(Debug)]
pub struct Marks {
    /// Marks are at least this far apart, so that their number follows the time, not the numbers.
    apart_ms: u64,
    confirmed: u64,
    /// The highest number, and when the first that it stands for was reached.
    reached: VecDeque<(u64, u64)>,
}

impl Marks {
    /// No number is reached. Marks are made at most once in `apart_ms`.
    pub fn apart(apart_ms: u64) -> Self {
        Self {
            apart_ms,
            confirmed: 0,
            reached: VecDeque::new(),
        }
    }

    /// Records that all numbers up to this one are reached.
    pub fn reach(&mut self, now_ms: u64, number: u64) {
        let newest = self.reached.back().map_or(self.confirmed, |mark| mark.0);
        if number <= newest {
            return;
        }
        let is_full = self.reached.len() >= MARKS;
        match self.reached.back_mut() {
            Some(mark) if is_full || now_ms < mark.1 + self.apart_ms => mark.0 = number,
            _ => self.reached.push_back((number, now_ms)),
        }
    }

    /// Records that all numbers up to this one are confirmed.
    pub fn confirm(&mut self, number: u64) {
        self.confirmed = self.confirmed.max(number);
        while self
            .reached
            .front()
            .is_some_and(|mark| mark.0 <= self.confirmed)
        {
            self.reached.pop_front();
        }
    }

    /// How many numbers are not confirmed, and for how long the oldest; `None` if all are.
    pub fn oldest(&self, now_ms: u64) -> Option<(u64, u64)> {
        let (first, last) = (self.reached.front()?, self.reached.back()?);
        let count = last.0.saturating_sub(self.confirmed);
        Some((count, now_ms.saturating_sub(first.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_counts_until_it_is_confirmed() {
        let mut marks = Marks::apart(1_000);
        marks.reach(0, 3);
        marks.reach(5_000, 5);

        assert_eq!(marks.oldest(6_000), Some((5, 6_000)));
        marks.confirm(3);
        assert_eq!(marks.oldest(6_000), Some((2, 1_000)));
        marks.confirm(5);
        assert_eq!(marks.oldest(6_000), None);
        marks.reach(7_000, 5);
        assert_eq!(marks.oldest(8_000), None);
    }

    #[test]
    fn a_year_takes_no_more_room_than_a_minute() {
        let mut marks = Marks::apart(1_000);

        for second in 1..100_000 {
            marks.reach(second * 1_000, second);
        }

        assert_eq!(marks.reached.len(), MARKS);
        assert_eq!(marks.oldest(1_000), Some((99_999, 0)));
    }
}
