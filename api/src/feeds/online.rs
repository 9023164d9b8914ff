//! Who is online in a group: the members with an open stream on it at any replica.
//!
//! What has changed is evaluated and told for all users of a moment together, so that a crowd that
//! comes and goes costs in proportion to its size.

use std::collections::{BTreeMap, BTreeSet};

use causeway_domain::names::{GroupName, UserId};
use causeway_domain::timeline::{FeedEntry, Kind};
use causeway_replicator_core::presence::OnlineChanges;
use causeway_store::log::ReadError;
use causeway_store::timelines::MessageView;
use tokio::time::Instant;

use super::frame::{Frame, Update};
use super::shapes::PresenceBody;
use super::{Hub, Room};

/// Maximum number of users evaluated before other work of the streams has its turn.
const EVALUATED_AT_ONCE: usize = 1_000;

impl Hub {
    pub(super) fn is_online(&self, group: &GroupName, user: &UserId) -> bool {
        let rooms = self.rooms();
        rooms
            .get(group)
            .is_some_and(|room| room.presence.contains(user))
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

    /// Records who came and went at other replicas.
    pub(super) fn record_elsewhere(&self, changes: OnlineChanges) {
        if changes.is_empty() {
            return;
        }
        let mut rooms = self.rooms();
        let mut stale = self.stale_presence();
        for ((group, user), name) in changes {
            let Ok(group) = GroupName::stored(&group) else {
                continue;
            };
            let room = rooms.entry(group.clone()).or_insert_with(Room::new);
            match name {
                Some(name) => room.elsewhere.insert(user.clone(), name),
                None => room.elsewhere.remove(&user),
            };
            stale.insert((group, user));
        }
    }

    /// Evaluates the presence of users whose streams or membership have changed. Those beyond a
    /// number are left for the next call.
    pub(super) async fn update_presence(
        &self,
        untold: &mut BTreeSet<GroupName>,
    ) -> Result<(), ReadError> {
        let mut by_group: BTreeMap<GroupName, Vec<UserId>> = BTreeMap::new();
        {
            let mut stale = self.stale_presence();
            for _ in 0..EVALUATED_AT_ONCE {
                let Some((group, user)) = stale.pop_first() else {
                    break;
                };
                by_group.entry(group).or_default().push(user);
            }
        }
        while let Some((group, users)) = by_group.pop_first() {
            let asked = users.clone();
            match self
                .setup
                .timelines
                .members_among(group.clone(), asked)
                .await
            {
                Ok(members) => {
                    self.update_room(&group, users, &members);
                    untold.insert(group);
                }
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

    fn update_room(&self, group: &GroupName, users: Vec<UserId>, members: &BTreeSet<UserId>) {
        let mut rooms = self.rooms();
        let Some(room) = rooms.get_mut(group) else {
            return;
        };
        for user in users {
            let name = room.name_of(&user).filter(|_| members.contains(&user));
            room.presence.set(&user, name);
        }
    }

    /// Tells the readers of the groups what has changed, where a frame may follow the last one yet.
    /// Returns when the next one may.
    pub(super) fn tell_presence(
        &self,
        now: Instant,
        untold: &mut BTreeSet<GroupName>,
    ) -> Option<Instant> {
        let mut rooms = self.rooms();
        let mut next: Option<Instant> = None;
        untold.retain(|group| {
            let Some(room) = rooms.get_mut(group) else {
                return false;
            };
            let due = room
                .told_presence_at
                .map(|at| at + room.presence.interval());
            if let Some(due) = due.filter(|due| now < *due && !room.presence.is_told()) {
                next = Some(next.map_or(due, |next| next.min(due)));
                return true;
            }
            if let Some(body) = room.presence.tell() {
                room.told_presence_at = Some(now);
                room.send(Update::Notice(frame(&body).shared()));
            }
            if room.is_empty() {
                rooms.remove(group);
            }
            false
        });
        next
    }
}

impl Room {
    /// The name of a user who has a stream on the group, here or at a peer.
    fn name_of(&self, user: &UserId) -> Option<String> {
        let here = self.local.get(user).map(|(name, _)| name);
        here.or_else(|| self.elsewhere.get(user)).cloned()
    }

    /// The first frame about presence of a reader that starts now.
    pub(super) fn introduction(&self) -> Option<Frame> {
        self.presence.introduction().map(|body| frame(&body))
    }
}

fn frame(presence: &PresenceBody) -> Frame {
    let data = serde_json::to_string(presence).expect("frames have only text keys");
    Frame::without_id("presence", data)
}
