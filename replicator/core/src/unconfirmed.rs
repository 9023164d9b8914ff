//! How long this replica has been alone with something it wrote.

use std::collections::VecDeque;

/// Marks are at least this far apart, so that their number follows the time, not the events.
const APART_MS: u64 = 1_000;
/// Most marks; beyond that the newest one stands for all that follows.
const MARKS: usize = 64;

/// The own events that no peer has shown to hold, with the times they were committed.
#[derive(Debug, Default)]
pub(crate) struct Unconfirmed {
    confirmed: u64,
    /// Highest seq, and when the first that it stands for was committed.
    marks: VecDeque<(u64, u64)>,
}

impl Unconfirmed {
    /// Takes in how many own events are held here.
    pub(crate) fn wrote(&mut self, now_ms: u64, seq: u64) {
        let newest = self.marks.back().map_or(self.confirmed, |mark| mark.0);
        if seq <= newest {
            return;
        }
        let is_full = self.marks.len() >= MARKS;
        match self.marks.back_mut() {
            Some(mark) if is_full || now_ms < mark.1 + APART_MS => mark.0 = seq,
            _ => self.marks.push_back((seq, now_ms)),
        }
    }

    /// Takes in how many of them some peer holds.
    pub(crate) fn confirm(&mut self, seq: u64) {
        self.confirmed = self.confirmed.max(seq);
        while self
            .marks
            .front()
            .is_some_and(|mark| mark.0 <= self.confirmed)
        {
            self.marks.pop_front();
        }
    }

    /// How many there are, and for how long the oldest; nothing where all are confirmed.
    pub(crate) fn oldest(&self, now_ms: u64) -> Option<(u64, u64)> {
        let (first, last) = (self.marks.front()?, self.marks.back()?);
        let count = last.0.saturating_sub(self.confirmed);
        Some((count, now_ms.saturating_sub(first.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_counts_until_a_peer_holds_it() {
        let mut unconfirmed = Unconfirmed::default();
        unconfirmed.wrote(0, 3);
        unconfirmed.wrote(5_000, 5);

        assert_eq!(unconfirmed.oldest(6_000), Some((5, 6_000)));
        unconfirmed.confirm(3);
        assert_eq!(unconfirmed.oldest(6_000), Some((2, 1_000)));
        unconfirmed.confirm(5);
        assert_eq!(unconfirmed.oldest(6_000), None);
        unconfirmed.wrote(7_000, 5);
        assert_eq!(unconfirmed.oldest(8_000), None);
    }

    #[test]
    fn a_year_alone_takes_no_more_room_than_a_minute() {
        let mut unconfirmed = Unconfirmed::default();

        for second in 1..100_000 {
            unconfirmed.wrote(second * 1_000, second);
        }

        assert_eq!(unconfirmed.marks.len(), MARKS);
        assert_eq!(unconfirmed.oldest(1_000), Some((99_999, 0)));
    }
}
