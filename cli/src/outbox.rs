//! Pure: what was written and is not answered yet.
//!
//! Each message has its key before it is first sent, so sending it again, to any server, ends as
//! one message. Kept in memory; `chat` sends what stands first until it is answered.

use std::collections::VecDeque;

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The name of this message, drawn once.
    pub key: String,
    /// Where it goes.
    pub group: String,
    /// As written.
    pub text: String,
    /// When it was written.
    pub sent_at: String,
}

/// Messages in the order in which they were written.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Unsent>,
}

impl Outbox {
    /// Adds a message at the end.
    pub fn push(&mut self, unsent: Unsent) {
        self.waiting.push_back(unsent);
    }

    /// The message to send next.
    pub fn first(&self) -> Option<&Unsent> {
        self.waiting.front()
    }

    /// The message with this key is answered, be it with a refusal.
    pub fn answered(&mut self, key: &str) {
        self.waiting.retain(|unsent| unsent.key != key);
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether all is answered.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// A key that nobody else draws: 128 random bits.
pub fn draw_key() -> String {
    let mut bits = [0_u8; 16];
    getrandom::fill(&mut bits).expect("every system we run on gives random bits");
    format!("{:032x}", u128::from_le_bytes(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent(key: &str) -> Unsent {
        Unsent {
            key: key.into(),
            group: "lobby".into(),
            text: "hi".into(),
            sent_at: String::new(),
        }
    }

    #[test]
    fn messages_leave_in_the_order_in_which_they_were_written() {
        let mut outbox = Outbox::default();
        outbox.push(unsent("1"));
        outbox.push(unsent("2"));

        assert_eq!(outbox.first(), Some(&unsent("1")));
        outbox.answered("1");
        assert_eq!(outbox.first(), Some(&unsent("2")));
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn keys_are_drawn_anew_and_printable() {
        let (one, two) = (draw_key(), draw_key());
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.chars().all(|c| c.is_ascii_hexdigit()));
    }
}
