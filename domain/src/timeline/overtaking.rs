//! Whether a message that the replica has settled is settled for a reader too.
//!
//! A replica settles a message once nothing new can sort before it *in the replica's history*. A
//! reader who is catching up may still receive an older part of that history after the message.

use crate::hlc::Hlc;
use crate::mutant;

use super::{FeedEntry, Message};

/// Whether a message delivered after this frame may sort before the frame's message. `later` are
/// the entries that follow in the same step. `beyond` is the lowest clock reading of the events
/// after the step, `None` if there are none.
pub fn is_overtaken<'a>(
    message: &Message,
    mut later: impl Iterator<Item = &'a FeedEntry>,
    beyond: Option<Hlc>,
) -> bool {
    mutant!(SettledForTheReader => false);
    let sorts_before = |entry: &FeedEntry| {
        entry.kind.is_copy() && entry.group == message.group && entry.position < message.position
    };
    let may_follow = beyond.is_some_and(|beyond| beyond <= message.position.hlc);
    may_follow || later.any(sorts_before)
}
