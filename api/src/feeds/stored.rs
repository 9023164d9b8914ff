//! Keeps listening authors informed about which replicas store their recent messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use causeway_domain::ids::ReplicaId;
use causeway_domain::names::{GroupName, UserId};
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::FeedEntry;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::view::Knowledge;
use causeway_store::log::ReadError;
use causeway_store::timelines::{Anchor, MessageView};

use crate::bodies::numbers;

use super::Hub;
use super::frame::{Frame, Update};
use super::shapes::StoredBody;

/// Most messages tracked at once; beyond it the oldest are dropped.
const MAX_TRACKED: usize = 4_096;

/// How many of a group's newest messages are searched for those of an author who comes back.
const RECENT: i64 = 100;

/// The messages whose storage is tracked.
#[derive(Default)]
pub(super) struct StoredTracker {
    tracked: VecDeque<Tracked>,
}

struct Tracked {
    group: GroupName,
    author: UserId,
    id: String,
    position: OrderKey,
    /// What was last sent to the author; nothing yet for one who has just come back.
    sent: Option<(Vec<ReplicaId>, bool)>,
}

impl StoredTracker {
    /// Tracks a message from now on. Its own frame has said where it is stored so far.
    pub fn track(&mut self, entry: &FeedEntry, knowledge: &Knowledge, held: &VersionVector) {
        self.push(Tracked {
            group: entry.group.clone(),
            author: entry.user.id.clone(),
            id: entry.subject.clone(),
            position: entry.position,
            sent: Some(state_of(entry.position, knowledge, held)),
        });
    }

    fn push(&mut self, message: Tracked) {
        if self.tracked.len() == MAX_TRACKED {
            self.tracked.pop_front();
        }
        self.tracked.push_back(message);
    }
}

fn state_of(
    position: OrderKey,
    knowledge: &Knowledge,
    held: &VersionVector,
) -> (Vec<ReplicaId>, bool) {
    let stored_on = knowledge.stored_on(position.dot(), held);
    (stored_on, knowledge.is_settled(position.hlc, held))
}

impl Hub {
    /// Tracks the recent messages of authors who have just come that are not settled or not stored
    /// everywhere: their state may have changed while the author did not listen.
    pub(super) async fn track_newcomers(
        &self,
        stored: &mut StoredTracker,
        knowledge: &Knowledge,
    ) -> Result<(), ReadError> {
        let mut newcomers: BTreeMap<GroupName, BTreeSet<UserId>> = BTreeMap::new();
        for (group, author) in std::mem::take(&mut *self.newcomers()) {
            newcomers.entry(group).or_default().insert(author);
        }
        let all = self.setup.replicas.len();
        for (group, authors) in newcomers {
            // What the page says of the caller's own likes is not used.
            let anyone = UserId(String::new());
            let newest = self
                .setup
                .timelines
                .page(group.clone(), Anchor::Newest, RECENT, anyone);
            let Some(page) = newest.await? else { continue };
            let held = &page.checkpoint.vector;
            for MessageView { message, .. } in &page.messages {
                if !authors.contains(&message.author.id) {
                    continue;
                }
                let (stored_on, settled) = state_of(message.position, knowledge, held);
                let is_tracked = stored.tracked.iter().any(|known| known.id == message.id);
                let is_final = settled && stored_on.len() == all;
                if !is_tracked && !is_final {
                    stored.push(Tracked {
                        group: group.clone(),
                        author: message.author.id.clone(),
                        id: message.id.clone(),
                        position: message.position,
                        sent: None,
                    });
                }
            }
        }
        Ok(())
    }

    /// Sends what has changed, and drops what is final or has no listening author. `sent` is what the
    /// readers were sent up to now: events beyond it may sort before a message that is settled here.
    pub(super) fn send_stored(
        &self,
        stored: &mut StoredTracker,
        knowledge: &Knowledge,
        sent: &VersionVector,
    ) {
        if stored.tracked.is_empty() {
            return;
        }
        let all = self.setup.replicas.len();
        let rooms = self.rooms();
        let mut changes: BTreeMap<GroupName, BTreeMap<UserId, Vec<Frame>>> = BTreeMap::new();
        stored.tracked.retain_mut(|tracked| {
            let listens = rooms
                .get(&tracked.group)
                .filter(|room| room.local.contains_key(&tracked.author));
            if listens.is_none() {
                return false;
            }
            let now = state_of(tracked.position, knowledge, sent);
            let (stored_on, settled) = &now;
            let is_final = stored_on.len() == all && *settled;
            if tracked.sent.as_ref() != Some(&now) {
                let body = StoredBody {
                    id: tracked.id.clone(),
                    stored_on: numbers(stored_on),
                    settled: *settled,
                };
                let data = serde_json::to_string(&body).expect("frames have only text keys");
                let of_group = changes.entry(tracked.group.clone()).or_default();
                let of_author = of_group.entry(tracked.author.clone()).or_default();
                of_author.push(Frame::without_id("stored", data));
                tracked.sent = Some(now);
            }
            !is_final
        });
        for (group, frames) in changes {
            if let Some(room) = rooms.get(&group) {
                room.send(Update::PerUser(frames));
            }
        }
    }
}
