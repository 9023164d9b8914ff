//! Tells authors, while they listen, which replicas hold what they have written lately.

use std::collections::VecDeque;
use std::sync::Arc;

use causeway_domain::ids::ReplicaId;
use causeway_domain::names::{GroupName, UserId};
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::FeedEntry;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator::view::Knowledge;
use serde::Serialize;

use super::Hub;
use super::frame::{Item, News};
use crate::bodies::numbers;

/// Most messages that are followed. Of more, the oldest are no longer told of.
const FOLLOWED: usize = 4_096;

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
    told: (Vec<ReplicaId>, bool),
}

/// What a `stored` frame carries.
#[derive(Serialize)]
struct StoredBody<'a> {
    id: &'a str,
    stored_on: Vec<u16>,
    settled: bool,
}

impl Stored {
    /// Follows a message from now on.
    pub fn track(&mut self, entry: &FeedEntry, knowledge: &Knowledge, held: &VersionVector) {
        if self.followed.len() == FOLLOWED {
            self.followed.pop_front();
        }
        self.followed.push_back(Followed {
            group: entry.group.clone(),
            author: entry.user.id.clone(),
            id: entry.subject.clone(),
            position: entry.position,
            told: state_of(entry.position, knowledge, held),
        });
    }
}

fn state_of(
    position: OrderKey,
    knowledge: &Knowledge,
    held: &VersionVector,
) -> (Vec<ReplicaId>, bool) {
    let stored_on = knowledge.stored_on(position.dot(), held);
    (stored_on, position.hlc <= knowledge.settled_floor)
}

impl Hub {
    /// Tells what has changed, and forgets what can change no more or nobody waits for.
    pub(super) fn tell_stored(&self, stored: &mut Stored, knowledge: &Knowledge) {
        if stored.followed.is_empty() {
            return;
        }
        let checkpoint = self.setup.timelines.checkpoint();
        let all = self.setup.replicas.len();
        let rooms = self.rooms();
        stored.followed.retain_mut(|followed| {
            let listens = rooms
                .get(&followed.group)
                .filter(|room| room.local.contains_key(&followed.author));
            let Some(room) = listens else { return false };
            let now = state_of(followed.position, knowledge, &checkpoint.vector);
            if now != followed.told {
                followed.told = now;
                let (stored_on, settled) = &followed.told;
                let body = StoredBody {
                    id: &followed.id,
                    stored_on: numbers(stored_on),
                    settled: *settled,
                };
                let data = serde_json::to_string(&body).expect("frames have only text keys");
                let news = News::Notice {
                    to: Some(followed.author.clone()),
                    item: Item::without_id("stored", data),
                };
                let _ = room.channel.send(Arc::new(news));
            }
            let (stored_on, settled) = &followed.told;
            stored_on.len() < all || !settled
        });
    }
}
