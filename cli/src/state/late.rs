//! Pure: which messages arrive late, after a merge was announced.

use std::collections::HashSet;

/// How many late messages stay marked; beyond that, all marks are dropped.
const KEPT: usize = 10_000;

/// Late messages announced, and those shown since.
#[derive(Debug, Default)]
pub struct Late {
    /// How many are still expected.
    announced: u64,
    /// The position of the newest message shown.
    newest: String,
    /// Late messages, which stay marked when they are shown again.
    marked: HashSet<String>,
}

impl Late {
    /// Announces `count` messages that sort before the newest one.
    pub fn announce(&mut self, count: u64) {
        self.announced = self.announced.saturating_add(count);
    }

    /// Records a message that has arrived and is shown.
    pub fn shows(&mut self, id: &str, position: &str) {
        if position >= self.newest.as_str() {
            position.clone_into(&mut self.newest);
        } else if self.announced > 0 && !self.marked.contains(id) {
            self.announced -= 1;
            if self.marked.len() >= KEPT {
                self.marked.clear();
            }
            self.marked.insert(id.to_owned());
        }
    }

    /// Whether a message arrived late.
    pub fn is_marked(&self, id: &str) -> bool {
        self.marked.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_and_stands_earlier_is_late() {
        let mut late = Late::default();
        late.shows("a", "05");
        late.shows("not announced", "04");

        late.announce(1);
        late.shows("behind the newest", "06");
        late.shows("late", "03");
        late.shows("beyond the number", "02");

        let marked = [
            "a",
            "not announced",
            "behind the newest",
            "late",
            "beyond the number",
        ]
        .map(|id| late.is_marked(id));
        assert_eq!(marked, [false, false, false, true, false]);
    }
}
