//! Who is online in a group: the members with an open stream on it at any replica.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::bodies::UserBody;
use causeway_domain::ids::ReplicaId;
use causeway_domain::names::{GroupName, UserId};
use causeway_domain::timeline::{FeedEntry, Kind};
use causeway_replicator_core::presence::Online;
use causeway_replicator_core::view::Knowledge;
use causeway_store::log::ReadError;
use causeway_store::timelines::MessageView;

use super::frame::{Frame, Update};
use super::shapes::PresenceBody;
use super::{Hub, Room};

/// Who was online at each peer at the last comparison.
#[derive(Default)]
pub(super) struct PeersOnline {
    last: BTreeMap<ReplicaId, Arc<BTreeSet<Online>>>,
}

impl PeersOnline {
    /// Returns the users whose presence at a peer has changed since the last call.
    pub fn changes(&mut self, knowledge: &Knowledge) -> BTreeSet<(GroupName, UserId)> {
        let mut changed = BTreeSet::new();
        for (&id, peer) in &knowledge.peers {
            let last = self.last.entry(id).or_default();
            if Arc::ptr_eq(last, &peer.online) {
                continue;
            }
            for online in last.symmetric_difference(&peer.online) {
                if let Ok(group) = GroupName::stored(&online.group) {
                    changed.insert((group, online.id.clone()));
                }
            }
            *last = peer.online.clone();
        }
        changed
    }
}

impl Hub {
    pub(super) fn is_online(&self, group: &GroupName, user: &UserId) -> bool {
        let rooms = self.rooms();
        rooms
            .get(group)
            .is_some_and(|room| room.online.contains_key(user))
    }

    pub(super) fn has_local(&self, group: &GroupName, user: &UserId) -> bool {
        let rooms = self.rooms();
        rooms
            .get(group)
            .is_some_and(|room| room.local.contains_key(user))
    }

    pub(super) async fn messages_of(
        &self,
        entries: impl Iterator<Item = &FeedEntry>,
    ) -> Result<BTreeMap<String, MessageView>, ReadError> {
        let ids: BTreeSet<String> = entries
            .filter(|entry| !matches!(entry.kind, Kind::Join | Kind::Leave))
            .map(|entry| entry.subject.clone())
            .collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids = ids.into_iter().collect();
        self.setup.timelines.messages(ids).await
    }

    /// Sends a frame without a cursor to every reader.
    pub(super) fn broadcast(&self, frame: &Frame) {
        for room in self.rooms().values() {
            room.send(Update::Notice(frame.clone()));
        }
    }

    /// Evaluates the presence of all users whose streams or membership have changed, and sends the
    /// readers what is new.
    pub(super) async fn update_presence(&self, knowledge: &Knowledge) -> Result<(), ReadError> {
        let stale = std::mem::take(&mut *self.stale_presence());
        let mut by_group: BTreeMap<GroupName, Vec<UserId>> = BTreeMap::new();
        for (group, user) in stale {
            by_group.entry(group).or_default().push(user);
        }
        while let Some((group, users)) = by_group.pop_first() {
            let asked = users.clone();
            match self
                .setup
                .timelines
                .members_among(group.clone(), asked)
                .await
            {
                Ok(members) => self.update_room(&group, users, &members, knowledge),
                Err(failure) => {
                    by_group.insert(group, users);
                    let again = by_group.into_iter().flat_map(|(group, users)| {
                        users.into_iter().map(move |u| (group.clone(), u))
                    });
                    self.stale_presence().extend(again);
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    fn update_room(
        &self,
        group: &GroupName,
        users: Vec<UserId>,
        members: &BTreeSet<UserId>,
        knowledge: &Knowledge,
    ) {
        let mut rooms = self.rooms();
        let room = rooms.entry(group.clone()).or_insert_with(Room::new);
        let (mut came, mut went) = (Vec::new(), Vec::new());
        for user in users {
            let name =
                name_online(room, group, &user, knowledge).filter(|_| members.contains(&user));
            match (name, room.online.get(&user).cloned()) {
                (Some(name), None) => {
                    came.push(body(&user, &name));
                    room.online.insert(user, name);
                }
                (None, Some(name)) => {
                    went.push(body(&user, &name));
                    room.online.remove(&user);
                }
                _ => {}
            }
        }
        if !(came.is_empty() && went.is_empty()) {
            let presence = PresenceBody {
                online: came,
                offline: went,
                count: room.online.len(),
            };
            let data = serde_json::to_string(&presence).expect("frames have only text keys");
            room.send(Update::Notice(Frame::without_id("presence", data)));
        }
        if room.is_empty() {
            rooms.remove(group);
        }
    }
}

/// Returns the name of a user who has a stream on the group, here or at a peer.
fn name_online(
    room: &Room,
    group: &GroupName,
    user: &UserId,
    knowledge: &Knowledge,
) -> Option<String> {
    if let Some((name, _)) = room.local.get(user) {
        return Some(name.clone());
    }
    let least = Online {
        group: group.to_string(),
        id: user.clone(),
        name: String::new(),
    };
    knowledge.peers.values().find_map(|peer| {
        let first = peer.online.range(&least..).next()?;
        let is_same = first.group == least.group && first.id == *user;
        is_same.then(|| first.name.clone())
    })
}

fn body(user: &UserId, name: &str) -> UserBody {
    UserBody {
        id: user.0.clone(),
        name: name.to_owned(),
    }
}
