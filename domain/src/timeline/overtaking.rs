//! What a reader is still to be delivered, and sorts before what it is delivered now.
//!
//! A replica settles a message once nothing can sort before it *in its own history*. A reader who
//! catches up may still have something of that history before it.

use crate::hlc::Hlc;
use crate::rule::{self, Rule};

use super::{FeedEntry, Message};

/// Tells whether something that is delivered after a frame may sort before the frame's message.
/// `later`: the entries that follow in the same step. `beyond`: no event after the step has a clock
/// reading below this; none when nothing comes.
pub fn is_overtaken<'a>(
    message: &Message,
    mut later: impl Iterator<Item = &'a FeedEntry>,
    beyond: Option<Hlc>,
) -> bool {
    let sorts_before = |entry: &FeedEntry| {
        entry.kind.is_copy() && entry.group == message.group && entry.position < message.position
    };
    let is_later = beyond.is_some_and(|beyond| beyond <= message.position.hlc);
    (is_later || later.any(sorts_before)) && rule::holds(Rule::SettledForTheReader)
}
