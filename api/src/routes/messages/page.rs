//! A page of messages, bounded in bytes as well as in number.

use std::ops::Range;

use poem_openapi::Object;
use serde::Serialize;

use crate::bodies::{MessageBody, Renderer};
use crate::limits::{PAGE_BYTES, json_bytes};
use causeway_store::timelines::{MessageView, Page};

/// A page of messages.
#[derive(Object, Serialize)]
pub(super) struct MessagePage {
    /// The messages, in order.
    messages: Vec<MessageBody>,
    /// Whether there are messages before the first.
    has_before: bool,
    /// Whether there are messages after the last.
    has_after: bool,
    /// Where the stream continues after this page.
    cursor: String,
}

/// Most bytes of a message without its text and the users who like it.
const REST_BYTES: usize = 1_024;
/// Most bytes of JSON for a byte of text: a control character.
const ESCAPED_BYTES: usize = 6;
/// Most bytes of JSON around the id and the name of a user.
const USER_BYTES: usize = 32;

impl MessagePage {
    /// Renders those messages of a page, nearest to its anchor, that fit into [`PAGE_BYTES`], and at
    /// least one. Returns also an upper bound of its size.
    pub(super) fn of(page: &Page, renderer: &Renderer<'_>, cursor: String) -> (Self, usize) {
        let mut rendered = Self {
            messages: Vec::new(),
            has_before: page.has_before,
            has_after: page.has_after,
            cursor,
        };
        let rest = json_bytes(&rendered);
        let messages: Vec<MessageBody> = page
            .messages
            .iter()
            .map(|seen| renderer.message(seen))
            .collect();
        let (kept, bytes) = fit(&messages, page.anchor, PAGE_BYTES.saturating_sub(rest));
        rendered.has_before |= kept.start > 0;
        rendered.has_after |= kept.end < messages.len();
        rendered.messages = messages;
        rendered.messages.truncate(kept.end);
        rendered.messages.drain(..kept.start);
        (rendered, rest + bytes)
    }
}

/// Renders those of a group's newest messages that fit into a snapshot.
pub(in crate::routes) fn newest(
    messages: &[MessageView],
    renderer: &Renderer<'_>,
) -> Vec<MessageBody> {
    let messages = messages.iter().map(|seen| renderer.message(seen));
    let mut messages: Vec<MessageBody> = messages.collect();
    let (kept, _) = fit(&messages, messages.len(), PAGE_BYTES / 2);
    messages.drain(..kept.start);
    messages
}

/// Returns which messages around an anchor fit, at least one, and how many bytes they have at most.
fn fit(messages: &[MessageBody], anchor: usize, most: usize) -> (Range<usize>, usize) {
    let bounds = messages.iter().map(bound).sum();
    // Counting costs as much as rendering: it is for pages with long messages.
    if bounds <= most {
        return (0..messages.len(), bounds);
    }
    let sizes: Vec<usize> = messages
        .iter()
        .map(|message| json_bytes(message) + 1)
        .collect();
    nearest(&sizes, anchor, most)
}

fn bound(message: &MessageBody) -> usize {
    let users = message.liked_by.iter();
    let liked_by: usize = users
        .map(|user| USER_BYTES + ESCAPED_BYTES * (user.id.len() + user.name.len()))
        .sum();
    let vectors = 21 * message.vector.len() + 6 * message.stored_on.len();
    let names = message.group.len() + message.author.name.len() + message.id.len();
    REST_BYTES + vectors + liked_by + ESCAPED_BYTES * (message.text.len() + names)
}

/// Grows a range from an anchor to both sides in turn, as long as its sizes fit; at least one.
fn nearest(sizes: &[usize], anchor: usize, most: usize) -> (Range<usize>, usize) {
    let (mut kept, mut sum) = (anchor..anchor, 0);
    let (mut grows_down, mut grows_up) = (true, true);
    let mut fits = |size: usize, is_first: bool| {
        let does_fit = is_first || sum + size <= most;
        sum += if does_fit { size } else { 0 };
        does_fit
    };
    while grows_down || grows_up {
        if grows_up {
            let next = sizes.get(kept.end);
            grows_up = next.is_some_and(|size| fits(*size, kept.is_empty()));
            kept.end += usize::from(grows_up);
        }
        if grows_down {
            let next = kept.start.checked_sub(1).and_then(|at| sizes.get(at));
            grows_down = next.is_some_and(|size| fits(*size, kept.is_empty()));
            kept.start -= usize::from(grows_down);
        }
    }
    (kept, sum)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_page_keeps_what_is_nearest_to_its_anchor() {
        let sizes = [3; 10];

        assert_eq!(nearest(&sizes, 10, 10), (7..10, 9), "before the anchor");
        assert_eq!(nearest(&sizes, 0, 10), (0..3, 9), "after it");
        assert_eq!(nearest(&sizes, 5, 10), (4..7, 9), "around it");
        assert_eq!(nearest(&sizes, 9, 100), (0..10, 30), "all");
    }

    #[test]
    fn a_page_has_at_least_one_message() {
        assert_eq!(nearest(&[50, 50], 2, 10), (1..2, 50));
        assert_eq!(nearest(&[50, 50], 0, 10), (0..1, 50));
        assert_eq!(nearest(&[50, 50], 1, 10), (1..2, 50));
        assert_eq!(nearest(&[], 0, 10), (0..0, 0));
    }

    #[test]
    fn a_side_ends_at_the_first_message_that_does_not_fit() {
        assert_eq!(nearest(&[1, 9, 1, 1], 4, 10), (2..4, 2));
        assert_eq!(nearest(&[1, 1, 9, 1], 2, 5), (2..3, 9), "the anchor itself");
    }
}
