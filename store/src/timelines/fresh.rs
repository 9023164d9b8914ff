//! The newest entries of the feed, as the last steps wrote them: whoever follows the read model
//! closely is told from here what has happened, and does not ask Postgres for what it was just given.
//!
//! It holds nothing that is not in the rows, and answers only where it holds all that was asked for;
//! everything else is read from the rows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_domain::timeline::{Effect, FeedEntry, Kind, Message, Step};

use super::Seen;

/// Most entries it holds.
const ENTRIES: usize = 1_024;
/// Most bytes of texts it holds.
const BYTES: usize = 1 << 20;

/// An entry of the feed, with its message where that need not be read.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// What was written when it arrived.
    pub entry: FeedEntry,
    /// The message it is about, as it was then: known of new ones that nobody likes yet.
    pub message: Option<Seen>,
}

/// The entries of the last steps. Between two steps there is no gap.
#[derive(Debug, Default)]
pub(super) struct FreshEntries(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    steps: VecDeque<Taken>,
    entries: usize,
    bytes: usize,
}

/// What one step wrote, after one place in the log and up to another.
#[derive(Debug)]
struct Taken {
    after: i64,
    up_to: i64,
    entries: Vec<Arc<Fresh>>,
    bytes: usize,
}

impl FreshEntries {
    /// Adds a step that was committed.
    pub fn push(&self, after: i64, up_to: i64, step: Step) {
        let taken = Taken::of(after, up_to, step);
        let mut kept = self.kept();
        if kept.steps.back().is_some_and(|last| last.up_to != after) {
            *kept = Kept::default();
        }
        kept.entries += taken.entries.len();
        kept.bytes += taken.bytes;
        kept.steps.push_back(taken);
        while kept.entries > ENTRIES || kept.bytes > BYTES || kept.steps.len() > ENTRIES {
            let Some(oldest) = kept.steps.pop_front() else {
                return;
            };
            kept.entries -= oldest.entries.len();
            kept.bytes -= oldest.bytes;
        }
    }

    /// Reads what comes after a place in the log and up to another, in order: at most `limit`. Nothing
    /// where not all of that is held.
    pub fn between(&self, after: i64, up_to: i64, limit: usize) -> Option<Vec<Arc<Fresh>>> {
        let kept = self.kept();
        let is_held = kept.steps.front()?.after <= after && up_to <= kept.steps.back()?.up_to;
        let later = kept.steps.iter().filter(|step| step.up_to > after);
        let asked = later.flat_map(|step| &step.entries);
        let asked = asked.filter(|fresh| (after + 1..=up_to).contains(&fresh.entry.arrival));
        is_held.then(|| asked.take(limit).cloned().collect())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // What panicked while it held the lock has at worst left out the newest.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn of(after: i64, up_to: i64, mut step: Step) -> Self {
        let mut bytes = 0;
        let entries = std::mem::take(&mut step.feed);
        let entries = entries.into_iter().map(|entry| {
            let message = message_of(&entry, &mut step);
            bytes += message.as_ref().map_or(0, |message| message.text.len());
            let message = message.map(|message| Seen {
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

/// Takes the message of an entry out of its step, where nothing but that entry made it.
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
    fn it_answers_whole_or_not_at_all() {
        let fresh = FreshEntries::default();
        assert!(fresh.between(0, 0, 9).is_none(), "nothing is known yet");

        fresh.push(3, 5, step(&[4, 5], 1));
        // An event that says nothing to readers has no entry.
        fresh.push(5, 7, step(&[7], 1));

        let between = |after, up_to, limit| {
            let entries = fresh.between(after, up_to, limit)?;
            let arrivals = entries.iter().map(|fresh| fresh.entry.arrival);
            Some(arrivals.collect::<Vec<_>>())
        };
        assert_eq!(between(3, 7, 9), Some(vec![4, 5, 7]));
        assert_eq!(between(4, 7, 9), Some(vec![5, 7]));
        assert_eq!(between(4, 6, 9), Some(vec![5]));
        assert_eq!(between(3, 7, 2), Some(vec![4, 5]));
        assert_eq!(between(7, 7, 9), Some(vec![]));
        assert_eq!(between(2, 7, 9), None, "the first one is not here");
        assert_eq!(between(3, 8, 9), None, "the last one is not here yet");
    }

    #[test]
    fn it_forgets_what_a_gap_separates() {
        let fresh = FreshEntries::default();

        fresh.push(0, 2, step(&[1, 2], 1));
        fresh.push(1, 2, step(&[2], 1));

        assert!(fresh.between(0, 2, 9).is_none());
        assert!(fresh.between(1, 2, 9).is_some());
    }

    #[test]
    fn it_keeps_its_bounds() {
        let fresh = FreshEntries::default();
        for arrival in 1..=i64::try_from(2 * ENTRIES).unwrap() {
            fresh.push(arrival - 1, arrival, step(&[arrival], 1));
        }
        assert_eq!(fresh.kept().entries, ENTRIES);
        for arrival in 1..9 {
            fresh.push(arrival - 1, arrival, step(&[arrival], BYTES / 4));
        }
        assert_eq!(fresh.kept().entries, 4);
        assert_eq!(fresh.kept().bytes, BYTES);

        fresh.push(8, 9, step(&[9], BYTES + 1));
        assert!(fresh.kept().steps.is_empty(), "too large to be kept");
        for arrival in 10..=i64::try_from(3 * ENTRIES).unwrap() {
            fresh.push(arrival - 1, arrival, Step::default());
        }
        assert_eq!(fresh.kept().steps.len(), ENTRIES, "empty ones count");
    }

    #[test]
    fn a_message_is_at_hand_only_as_its_entry_made_it() {
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

    /// A step of new messages with texts of so many bytes.
    fn step(arrivals: &[i64], bytes: usize) -> Step {
        let mut step = Step::default();
        let author = User {
            id: UserId("anna".to_owned()),
            name: "anna".to_owned(),
        };
        let group = GroupName::parse("lobby").unwrap();
        for &arrival in arrivals {
            let (id, position) = (format!("m{arrival}"), position(arrival));
            step.feed.push(FeedEntry {
                arrival,
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
