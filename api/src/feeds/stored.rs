//! Tells authors, while they listen, which replicas hold what they have written lately.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use causeway_domain::ids::ReplicaId;
use causeway_domain::names::{GroupName, UserId};
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::FeedEntry;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::view::Knowledge;
use causeway_store::log::ReadError;
use causeway_store::timelines::{Anchor, Seen};

use crate::bodies::numbers;

use super::Hub;
use super::frame::{Item, News};
use super::shapes::StoredBody;

/// Most messages that are followed. Of more, the oldest are no longer told of.
const FOLLOWED: usize = 4_096;

/// How many of a group's newest messages are looked through when an author comes back.
const LOOKED_AT: i64 = 100;

/// The messages that are followed.
#[derive(Default)]
pub(super) struct Stored {
    followed: VecDeque<Followed>,
}

struct Followed {
    group: GroupName,
    author: UserId,
    id: String,
    position: OrderKey,
    /// What its author was last told; nothing yet when the author has just come back.
    told: Option<(Vec<ReplicaId>, bool)>,
}

impl Stored {
    /// Follows a message from now on: its frame has told where it is.
    pub fn track(&mut self, entry: &FeedEntry, knowledge: &Knowledge, held: &VersionVector) {
        self.follow(Followed {
            group: entry.group.clone(),
            author: entry.user.id.clone(),
            id: entry.subject.clone(),
            position: entry.position,
            told: Some(state_of(entry.position, knowledge, held)),
        });
    }

    fn follow(&mut self, message: Followed) {
        if self.followed.len() == FOLLOWED {
            self.followed.pop_front();
        }
        self.followed.push_back(message);
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
    /// Follows what authors who have just come wrote lately and others did not hold or settle yet:
    /// it may have changed while nobody listened.
    pub(super) async fn follow_arrivals(
        &self,
        stored: &mut Stored,
        knowledge: &Knowledge,
    ) -> Result<(), ReadError> {
        let arrivals = std::mem::take(&mut *self.arrivals());
        let all = self.setup.replicas.len();
        for (group, author) in arrivals {
            let newest =
                self.setup
                    .timelines
                    .page(group.clone(), Anchor::Newest, LOOKED_AT, author.clone());
            let Some(page) = newest.await? else { continue };
            let held = &page.checkpoint.vector;
            for Seen { message, .. } in &page.messages {
                let (stored_on, settled) = state_of(message.position, knowledge, held);
                let is_followed = stored.followed.iter().any(|known| known.id == message.id);
                if message.author.id == author
                    && !is_followed
                    && !(settled && stored_on.len() == all)
                {
                    stored.follow(Followed {
                        group: group.clone(),
                        author: author.clone(),
                        id: message.id.clone(),
                        position: message.position,
                        told: None,
                    });
                }
            }
        }
        Ok(())
    }

    /// Tells what has changed, and forgets what can change no more or nobody waits for. `told`:
    /// what the readers were handed. What is held beyond it may sort before a message that is
    /// settled here.
    pub(super) fn tell_stored(
        &self,
        stored: &mut Stored,
        knowledge: &Knowledge,
        told: &VersionVector,
    ) {
        if stored.followed.is_empty() {
            return;
        }
        let all = self.setup.replicas.len();
        let rooms = self.rooms();
        let mut changes: BTreeMap<GroupName, BTreeMap<UserId, Vec<Item>>> = BTreeMap::new();
        stored.followed.retain_mut(|followed| {
            let listens = rooms
                .get(&followed.group)
                .filter(|room| room.local.contains_key(&followed.author));
            if listens.is_none() {
                return false;
            }
            let now = state_of(followed.position, knowledge, told);
            let (stored_on, settled) = &now;
            let is_final = stored_on.len() == all && *settled;
            if followed.told.as_ref() != Some(&now) {
                let body = StoredBody {
                    id: followed.id.clone(),
                    stored_on: numbers(stored_on),
                    settled: *settled,
                };
                let data = serde_json::to_string(&body).expect("frames have only text keys");
                let of_group = changes.entry(followed.group.clone()).or_default();
                let of_author = of_group.entry(followed.author.clone()).or_default();
                of_author.push(Item::without_id("stored", data));
                followed.told = Some(now);
            }
            !is_final
        });
        for (group, items) in changes {
            if let Some(room) = rooms.get(&group) {
                // Fails only when the last reader has just gone.
                let _ = room.channel.send(Arc::new(News::Own(items)));
            }
        }
    }
}
