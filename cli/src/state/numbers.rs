//! Pure: the numbers in front of messages.

use std::collections::{HashMap, VecDeque};

/// How many numbers stay known: far more than a screen shows, and memory stays bounded.
const NUMBERS_KEPT: usize = 10_000;

/// The numbers in front of the messages on this screen. A number means the message it was last
/// shown with.
#[derive(Debug)]
pub struct Numbers {
    first: u64,
    shown: VecDeque<String>,
    /// The number of each of them.
    by_id: HashMap<String, u64>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            first: 1,
            shown: VecDeque::new(),
            by_id: HashMap::new(),
        }
    }
}

impl Numbers {
    /// Forgets all and begins again with 1.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// The number of a message that is about to be shown: the one it has, else the next.
    pub fn show(&mut self, id: &str) -> u64 {
        self.of(id).unwrap_or_else(|| self.next(id))
    }

    fn next(&mut self, id: &str) -> u64 {
        if self.shown.len() == NUMBERS_KEPT
            && let Some(oldest) = self.shown.pop_front()
        {
            self.by_id.remove(&oldest);
            self.first += 1;
        }
        let number = self.first + self.shown.len() as u64;
        self.shown.push_back(id.to_owned());
        self.by_id.insert(id.to_owned(), number);
        number
    }

    /// The number a message was shown with.
    pub fn of(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    /// The message shown with a number.
    pub fn message(&self, number: u64) -> Option<&str> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.shown.get(place).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_message_whatever_comes_before_it() {
        let mut numbers = Numbers::default();
        numbers.show("a");
        numbers.show("b");

        numbers.show("earlier, but shown later");

        assert_eq!(numbers.message(2), Some("b"));
        assert_eq!(numbers.show("a"), 1);
    }

    #[test]
    fn a_number_never_shown_has_no_message() {
        let mut numbers = Numbers::default();
        numbers.show("a");

        assert_eq!(
            (
                numbers.message(0),
                numbers.message(2),
                numbers.message(u64::MAX)
            ),
            (None, None, None)
        );
    }

    #[test]
    fn only_the_newest_numbers_stay_known() {
        let mut numbers = Numbers::default();
        for i in 0..=NUMBERS_KEPT {
            numbers.show(&i.to_string());
        }

        assert_eq!(numbers.message(1), None);
        assert_eq!(numbers.message(2), Some("1"));
        assert_eq!(numbers.shown.len(), NUMBERS_KEPT);
        assert_eq!(numbers.by_id.len(), NUMBERS_KEPT);
        assert_eq!(numbers.show("0"), NUMBERS_KEPT as u64 + 2);
    }
}
