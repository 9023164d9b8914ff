//! A cache of the newest feed entries, as the last steps wrote them. Readers close to the end of
//! the feed are served from here and not from Postgres.
//!
//! Every entry is also in the tables. A range is served only if the cache holds all of it; any
//! other range is read from the tables.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_domain::timeline::{Effect, FeedEntry, Kind, Message, Step};

use super::MessageView;

/// Maximum cached entries.
const ENTRIES: usize = 1_024;
/// Maximum cached bytes of message text.
const BYTES: usize = 1 << 20;

/// An entry of the feed, with its message if the cache holds that too.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The entry as its step wrote it.
    pub entry: FeedEntry,
    /// The message it is about, as of that step. Cached only for new messages without likes.
    pub message: Option<MessageView>,
}

/// The entries of the last steps, which are contiguous.
#[derive(Debug, Default)]
pub(super) struct FreshEntries(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    steps: VecDeque<CachedStep>,
    entries: usize,
    bytes: usize,
}

/// The entries of one step: offsets above `after`, up to `up_to`.
#[derive(Debug)]
struct CachedStep {
    after: i64,
    up_to: i64,
    entries: Vec<Arc<Fresh>>,
    bytes: usize,
}

impl FreshEntries {
    /// Adds a committed step.
    pub fn push(&self, after: i64, up_to: i64, step: Step) {
        let cached = CachedStep::of(after, up_to, step);
        let mut window = self.window();
        if window.steps.back().is_some_and(|last| last.up_to != after) {
            *window = Window::default();
        }
        window.entries += cached.entries.len();
        window.bytes += cached.bytes;
        window.steps.push_back(cached);
        while window.entries > ENTRIES || window.bytes > BYTES || window.steps.len() > ENTRIES {
            let Some(oldest) = window.steps.pop_front() else {
                return;
            };
            window.entries -= oldest.entries.len();
            window.bytes -= oldest.bytes;
        }
    }

    /// Returns the entries above `after` up to `up_to`, in order, at most `limit`; `None` unless
    /// the cache holds the whole range.
    pub fn between(&self, after: i64, up_to: i64, limit: usize) -> Option<Vec<Arc<Fresh>>> {
        let window = self.window();
        let is_held = window.steps.front()?.after <= after && up_to <= window.steps.back()?.up_to;
        let later = window.steps.iter().filter(|step| step.up_to > after);
        let asked = later.flat_map(|step| &step.entries);
        let asked = asked.filter(|fresh| (after + 1..=up_to).contains(&fresh.entry.offset));
        is_held.then(|| asked.take(limit).cloned().collect())
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        // A panic under the lock can at worst lose the newest step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedStep {
    fn of(after: i64, up_to: i64, mut step: Step) -> Self {
        let mut bytes = 0;
        let entries = std::mem::take(&mut step.feed);
        let entries = entries.into_iter().map(|entry| {
            let message = message_of(&entry, &mut step);
            bytes += message.as_ref().map_or(0, |message| message.text.len());
            let message = message.map(|message| MessageView {
                message,
                liked_by: Vec::new(),
                is_liked: false,
            });
            Arc::new(Fresh { entry, message })
        });
        Self {
            entries: entries.collect(),
            after,
            up_to,
            bytes,
        }
    }
}

/// Takes the message of an entry out of its step, if no other entry contributed to it.
fn message_of(entry: &FeedEntry, step: &mut Step) -> Option<Message> {
    let message = step.messages.get(&entry.subject)?;
    let is_whole = entry.kind == Kind::Message
        && entry.effect == Effect::Shown
        && message.position == entry.position
        && message.likes_count == 0;
    is_whole.then(|| step.messages.remove(&entry.subject))?
}

#[cfg(test)]
mod tests {
    use causeway_domain::hlc::Hlc;
    use causeway_domain::ids::{Epoch, ReplicaId};
    use causeway_domain::names::{GroupName, User, UserId};
    use causeway_domain::stamp::OrderKey;
    use causeway_domain::version_vector::VersionVector;

    use super::*;

    #[test]
    fn a_range_is_served_whole_or_not_at_all() {
        let fresh = FreshEntries::default();
        assert!(fresh.between(0, 0, 9).is_none(), "the cache is empty");

        fresh.push(3, 5, step(&[4, 5], 1));
        // An event that readers do not see has no entry.
        fresh.push(5, 7, step(&[7], 1));

        let between = |after, up_to, limit| {
            let entries = fresh.between(after, up_to, limit)?;
            let arrivals = entries.iter().map(|fresh| fresh.entry.offset);
            Some(arrivals.collect::<Vec<_>>())
        };
        assert_eq!(between(3, 7, 9), Some(vec![4, 5, 7]));
        assert_eq!(between(4, 7, 9), Some(vec![5, 7]));
        assert_eq!(between(4, 6, 9), Some(vec![5]));
        assert_eq!(between(3, 7, 2), Some(vec![4, 5]));
        assert_eq!(between(7, 7, 9), Some(vec![]));
        assert_eq!(between(2, 7, 9), None, "offset 3 is not cached");
        assert_eq!(between(3, 8, 9), None, "offset 8 is not cached yet");
    }

    #[test]
    fn a_gap_empties_the_cache() {
        let fresh = FreshEntries::default();

        fresh.push(0, 2, step(&[1, 2], 1));
        fresh.push(1, 2, step(&[2], 1));

        assert!(fresh.between(0, 2, 9).is_none());
        assert!(fresh.between(1, 2, 9).is_some());
    }

    #[test]
    fn the_cache_is_bounded() {
        let fresh = FreshEntries::default();
        for offset in 1..=i64::try_from(2 * ENTRIES).unwrap() {
            fresh.push(offset - 1, offset, step(&[offset], 1));
        }
        assert_eq!(fresh.window().entries, ENTRIES);
        for offset in 1..9 {
            fresh.push(offset - 1, offset, step(&[offset], BYTES / 4));
        }
        assert_eq!(fresh.window().entries, 4);
        assert_eq!(fresh.window().bytes, BYTES);

        fresh.push(8, 9, step(&[9], BYTES + 1));
        assert!(fresh.window().steps.is_empty(), "too large for the cache");
        for offset in 10..=i64::try_from(3 * ENTRIES).unwrap() {
            fresh.push(offset - 1, offset, Step::default());
        }
        assert_eq!(fresh.window().steps.len(), ENTRIES, "empty steps count");
    }

    #[test]
    fn a_message_is_cached_only_as_its_entry_wrote_it() {
        let fresh = FreshEntries::default();
        let mut written = step(&[1, 2, 3, 4], 1);
        written.messages.get_mut("m2").unwrap().likes_count = 1;
        written.messages.get_mut("m3").unwrap().position = position(9);
        written.feed[3].effect = Effect::Lost;

        fresh.push(0, 4, written);

        let entries = fresh.between(0, 4, 9).unwrap();
        let ids = entries.iter().map(|fresh| {
            let seen = fresh.message.as_ref()?;
            Some(seen.message.id.as_str())
        });
        assert_eq!(ids.collect::<Vec<_>>(), [Some("m1"), None, None, None]);
    }

    /// A step of new messages, each with a text of `bytes` bytes.
    fn step(arrivals: &[i64], bytes: usize) -> Step {
        let mut step = Step::default();
        let author = User {
            id: UserId("anna".to_owned()),
            name: "anna".to_owned(),
        };
        let group = GroupName::parse("lobby").unwrap();
        for &offset in arrivals {
            let (id, position) = (format!("m{offset}"), position(offset));
            step.feed.push(FeedEntry {
                offset,
                group: group.clone(),
                kind: Kind::Message,
                subject: id.clone(),
                user: author.clone(),
                position,
                level: 1,
                effect: Effect::Shown,
            });
            let message = Message {
                id: id.clone(),
                group: group.clone(),
                position,
                author: author.clone(),
                text: "x".repeat(bytes),
                sent_at_ms: None,
                received_at_ms: 0,
                vector: VersionVector::default(),
                likes_count: 0,
            };
            step.messages.insert(id, message);
        }
        step
    }

    fn position(seq: i64) -> OrderKey {
        OrderKey {
            hlc: Hlc::default(),
            replica: ReplicaId::new(1).unwrap(),
            epoch: Epoch(7),
            seq: seq.unsigned_abs(),
        }
    }
}
