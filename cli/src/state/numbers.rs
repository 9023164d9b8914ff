//! Pure: the numbers in front of messages.

use std::collections::{HashMap, VecDeque};

/// How many numbers are kept: far more than a screen shows, and memory stays bounded.
const NUMBERS_KEPT: usize = 10_000;

/// The numbers of the messages on the screen. A number means the message it was last shown with.
#[derive(Debug)]
pub struct Numbers {
    next: u64,
    messages: HashMap<u64, String>,
    /// The number each message was last shown with, and in which round of counting.
    by_id: HashMap<String, (u64, u64)>,
    /// In the order in which they were assigned.
    assigned: VecDeque<(u64, String)>,
    round: u64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            next: 1,
            messages: HashMap::new(),
            by_id: HashMap::new(),
            assigned: VecDeque::new(),
            round: 0,
        }
    }
}

impl Numbers {
    /// Counts from 1 again. A message on the screen keeps its number until another is shown with
    /// it.
    pub fn restart(&mut self) {
        self.next = 1;
        self.round += 1;
    }

    /// The number of a message that is shown now: the one it has, or else the next.
    pub fn show(&mut self, id: &str) -> u64 {
        self.in_this_round(id).unwrap_or_else(|| {
            let number = self.next;
            self.assign(number, id);
            number
        })
    }

    /// The numbers that messages would be shown with. None is assigned yet.
    pub fn propose<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Vec<u64> {
        let mut next = self.next;
        let numbers = ids.map(|id| {
            self.in_this_round(id).unwrap_or_else(|| {
                next += 1;
                next - 1
            })
        });
        numbers.collect()
    }

    /// Assigns a number that was proposed.
    pub fn assign(&mut self, number: u64, id: &str) {
        if self.in_this_round(id) == Some(number) {
            return;
        }
        if self.assigned.len() == NUMBERS_KEPT
            && let Some((number, id)) = self.assigned.pop_front()
        {
            if self.messages.get(&number) == Some(&id) {
                self.messages.remove(&number);
            }
            if self.by_id.get(&id).is_some_and(|(last, _)| *last == number) {
                self.by_id.remove(&id);
            }
        }
        self.assigned.push_back((number, id.to_owned()));
        self.messages.insert(number, id.to_owned());
        self.by_id.insert(id.to_owned(), (number, self.round));
        self.next = self.next.max(number + 1);
    }

    fn in_this_round(&self, id: &str) -> Option<u64> {
        let (number, round) = self.by_id.get(id)?;
        (*round == self.round).then_some(*number)
    }

    /// The number that a message was last shown with.
    pub fn of(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).map(|(number, _)| *number)
    }

    /// The message last shown with a number.
    pub fn message(&self, number: u64) -> Option<&str> {
        self.messages.get(&number).map(String::as_str)
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
        numbers.propose(["b", "c"].into_iter());

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
    fn counting_anew_changes_only_what_is_shown_anew() {
        let mut numbers = Numbers::default();
        for id in ["x", "y", "z"] {
            numbers.show(id);
        }

        numbers.restart();
        let proposed = numbers.propose(["a", "x", "b"].into_iter());
        numbers.assign(proposed[0], "a");
        numbers.assign(proposed[1], "x");

        assert_eq!(proposed, [1, 2, 3]);
        let messages = [1, 2, 3, 4].map(|number| numbers.message(number));
        assert_eq!(messages, [Some("a"), Some("x"), Some("z"), None]);
        assert_eq!((numbers.of("z"), numbers.of("x")), (Some(3), Some(2)));
        assert_eq!(numbers.show("b"), 3);
        assert_eq!(numbers.message(3), Some("b"), "it was last shown with it");
    }

    #[test]
    fn only_the_newest_numbers_stay_known() {
        let mut numbers = Numbers::default();
        for i in 0..=NUMBERS_KEPT {
            numbers.show(&i.to_string());
        }

        assert_eq!(numbers.message(1), None);
        assert_eq!(numbers.message(2), Some("1"));
        assert_eq!(numbers.assigned.len(), NUMBERS_KEPT);
        assert_eq!(numbers.by_id.len(), NUMBERS_KEPT);
        assert_eq!(numbers.show("0"), NUMBERS_KEPT as u64 + 2);
    }
}
