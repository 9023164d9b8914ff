//! Messages as blocks on the screen, and the replica count of own messages.

use causeway_client::Message;

use super::Chat;
use crate::clock;
use crate::screen::{self, Shown};
use crate::scrollback::Block;

impl Chat {
    /// Formats a message with the number it has, or else gets.
    pub(super) fn block_of(&mut self, message: &Message) -> Block {
        let number = self.state.numbers.show(&message.id);
        self.block_as(number, message)
    }

    /// Formats a message with a given number.
    pub(super) fn block_as(&mut self, number: u64, message: &Message) -> Block {
        self.terminal.add_users([&message.author]);
        let held_by = message.stored_on.len();
        let held = if self.state.is_own(message) {
            self.state.follow(message);
            self.state.replicas().map(|replicas| (held_by, replicas))
        } else {
            None
        };
        let shown = Shown {
            number,
            message,
            is_late: self.state.late.is_marked(&message.id),
            held,
        };
        self.block(shown)
    }

    /// Formats a message that has just arrived.
    pub(super) fn new_block_of(&mut self, message: &Message) -> Block {
        self.state.late.shows(&message.id, &message.position);
        self.block_of(message)
    }

    pub(super) fn block(&self, shown: Shown<'_>) -> Block {
        let whole = format!("/show {}", shown.number);
        Block::message(self.style.message(shown, clock::now()), whole)
    }

    /// Updates the replica count of the last own message: in its line if nothing was printed after
    /// it, otherwise in a note.
    pub(super) fn show_stored(&mut self) {
        let (Some(own), Some(replicas)) = (&self.last_own, self.state.replicas()) else {
            return;
        };
        let Some((number, held_by)) = self.state.news_of(&own.id) else {
            return;
        };
        let shown = Shown {
            number,
            message: own,
            is_late: false,
            held: Some((held_by, replicas)),
        };
        let block = self.block(shown);
        let otherwise = self
            .style
            .note(&screen::stored(&[number], held_by, replicas));
        self.output.amend(&own.id, block, otherwise);
    }

    /// Reports the replica counts of all other own messages, grouped.
    pub(super) fn show_all_stored(&mut self) {
        let Some(replicas) = self.state.replicas() else {
            return;
        };
        for (held_by, numbers) in self.state.news_of_own() {
            self.note(&screen::stored(&numbers, held_by, replicas));
        }
    }
}
