//! The streams of groups. One task follows the read model, makes each frame once, and sends the
//! same bytes to every reader of the group; a reader that lags or resumes reads the table instead.
//! Channels are bounded and may drop: what a reader was delivered is known from its cursor alone,
//! never from the channel.

mod frame;
mod hub;
mod online;
mod presence;
mod reader;
mod shapes;
mod step;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_domain::ids::ReplicaId;
use causeway_domain::names::{GroupName, User, UserId};
use causeway_replicator_core::presence::{Online, OnlineChanges};
use causeway_replicator_core::view::Knowledge;
use causeway_store::timelines::Timelines;
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::time::Instant;

pub use frame::Frame;
pub use presence::MAX_NAMED;
pub use reader::{Reader, Resume};
pub use shapes::{LikeBody, MergedBody, PresenceBody, StoredBody};

use crate::bodies::UserBody;
use crate::cursor::Cursors;
use frame::Update;
use presence::Presence;

/// Most updates that wait for the slowest reader of a group before it has to read the table.
const WAITING_BATCHES: usize = 64;

/// Who came and went at this replica, to be announced to the peers.
#[derive(Debug, Default)]
pub struct PresenceChange {
    /// Users who opened their first stream on a group here.
    pub came: Vec<Online>,
    /// Users whose last stream on a group ended.
    pub went: Vec<Online>,
}

/// What the streams are made from.
#[derive(Clone)]
pub struct Setup {
    /// The configured replicas, ascending.
    pub replicas: Vec<ReplicaId>,
    /// The read model.
    pub timelines: Timelines,
    /// What is known of the peers.
    pub knowledge: watch::Receiver<Arc<Knowledge>>,
    /// Returns who came and went at the peers since the last call; `knowledge` changes with it.
    pub online_changes: Arc<dyn Fn() -> OnlineChanges + Send + Sync>,
    /// Makes cursors.
    pub cursors: Cursors,
    /// Returns the view as its frame carries it.
    pub view: Arc<dyn Fn() -> Arc<str> + Send + Sync>,
}

/// A handle on the streams. Cheap to clone.
#[derive(Clone)]
pub struct Feeds(Arc<Hub>);

struct Hub {
    setup: Setup,
    rooms: Mutex<BTreeMap<GroupName, Room>>,
    /// (group, user) whose presence must be evaluated again.
    stale_presence: Mutex<BTreeSet<(GroupName, UserId)>>,
    /// (group, user) who have just opened their first stream here.
    newcomers: Mutex<Vec<(GroupName, UserId)>>,
    presence_changed: Notify,
    announcements: mpsc::UnboundedSender<PresenceChange>,
}

/// A group with readers, here or at other replicas.
struct Room {
    channel: broadcast::Sender<Arc<Update>>,
    /// Users with streams here, and how many.
    local: BTreeMap<UserId, (String, usize)>,
    /// Users with streams at other replicas.
    elsewhere: BTreeMap<UserId, String>,
    /// Members with a stream anywhere.
    presence: Presence,
    /// When the readers were last told of them.
    told_presence_at: Option<Instant>,
    /// The offset up to which everything of this group was sent, if anything was.
    sent_up_to: Option<i64>,
}

impl Room {
    fn new() -> Self {
        Self {
            channel: broadcast::channel(WAITING_BATCHES).0,
            local: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            presence: Presence::default(),
            told_presence_at: None,
            sent_up_to: None,
        }
    }

    fn send(&self, update: Update) {
        // Fails only when the last reader has just gone.
        let _ = self.channel.send(Arc::new(update));
    }

    fn is_empty(&self) -> bool {
        self.local.is_empty()
            && self.elsewhere.is_empty()
            && self.presence.count() == 0
            && self.channel.receiver_count() == 0
    }
}

impl Feeds {
    /// Returns the streams, who comes and goes from now on, and the task that feeds the streams, for
    /// the caller to spawn.
    pub fn new(
        setup: Setup,
    ) -> (
        Self,
        mpsc::UnboundedReceiver<PresenceChange>,
        impl Future<Output = ()> + use<>,
    ) {
        let (announcements, changes) = mpsc::unbounded_channel();
        let feeds = Self(Arc::new(Hub {
            setup,
            rooms: Mutex::default(),
            stale_presence: Mutex::default(),
            newcomers: Mutex::default(),
            presence_changed: Notify::new(),
            announcements,
        }));
        let task = hub::run(Arc::downgrade(&feeds.0), feeds.0.setup.clone());
        (feeds, changes, task)
    }

    /// Returns the members of a group with an open stream on it at any replica: the first by name,
    /// and the number of all.
    pub fn online(&self, group: &GroupName) -> (Vec<UserBody>, usize) {
        let rooms = self.0.rooms();
        let presence = rooms.get(group).map(|room| &room.presence);
        presence.map_or_else(Default::default, |it| (it.first(), it.count()))
    }

    /// Returns which of some users are online in a group, in their order.
    pub fn are_online<'a>(
        &self,
        group: &GroupName,
        users: impl Iterator<Item = &'a UserId>,
    ) -> Vec<bool> {
        let rooms = self.0.rooms();
        let room = rooms.get(group);
        users
            .map(|user| room.is_some_and(|room| room.presence.contains(user)))
            .collect()
    }

    /// Returns how many members of a group are online.
    pub fn online_count(&self, group: &GroupName) -> usize {
        self.0
            .rooms()
            .get(group)
            .map_or(0, |room| room.presence.count())
    }

    /// Returns how many streams are open here.
    pub fn open_streams(&self) -> usize {
        let rooms = self.0.rooms();
        let streams = rooms.values().flat_map(|room| room.local.values());
        streams.map(|(_, streams)| streams).sum()
    }

    /// Counts a user's stream on a group until the returned guard is dropped.
    pub fn enter(&self, group: &GroupName, user: &User) -> OpenStream {
        let mut rooms = self.0.rooms();
        let room = rooms.entry(group.clone()).or_insert_with(Room::new);
        let (_, streams) = room
            .local
            .entry(user.id.clone())
            .or_insert_with(|| (user.name.clone(), 0));
        *streams += 1;
        let is_first = *streams == 1;
        drop(rooms);
        if is_first {
            let newcomer = (group.clone(), user.id.clone());
            self.0.newcomers().push(newcomer);
            let change = PresenceChange {
                came: vec![online(group, user)],
                ..PresenceChange::default()
            };
            self.0.announce(change, group, user);
        }
        OpenStream {
            hub: self.0.clone(),
            group: group.clone(),
            user: user.clone(),
        }
    }

    /// Returns the updates of a group from now on, and what its readers know of presence now.
    fn subscribe(&self, group: &GroupName) -> (broadcast::Receiver<Arc<Update>>, Option<Frame>) {
        let mut rooms = self.0.rooms();
        let room = rooms.entry(group.clone()).or_insert_with(Room::new);
        (room.channel.subscribe(), room.introduction())
    }
}

impl Hub {
    fn rooms(&self) -> MutexGuard<'_, BTreeMap<GroupName, Room>> {
        // Nothing panics while it holds this lock; if it did, the maps would still be whole.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stale_presence(&self) -> MutexGuard<'_, BTreeSet<(GroupName, UserId)>> {
        self.stale_presence
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn newcomers(&self) -> MutexGuard<'_, Vec<(GroupName, UserId)>> {
        self.newcomers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, change: PresenceChange, group: &GroupName, user: &User) {
        // The receiver is gone when the server is stopping.
        let _ = self.announcements.send(change);
        self.stale_presence()
            .insert((group.clone(), user.id.clone()));
        self.presence_changed.notify_one();
    }
}

/// A user's open stream: the user is online while this value lives.
pub struct OpenStream {
    hub: Arc<Hub>,
    group: GroupName,
    user: User,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut rooms = self.hub.rooms();
        let Some(room) = rooms.get_mut(&self.group) else {
            return;
        };
        let Some((_, streams)) = room.local.get_mut(&self.user.id) else {
            return;
        };
        *streams -= 1;
        let is_last = *streams == 0;
        if is_last {
            room.local.remove(&self.user.id);
        }
        drop(rooms);
        if is_last {
            let change = PresenceChange {
                went: vec![online(&self.group, &self.user)],
                ..PresenceChange::default()
            };
            self.hub.announce(change, &self.group, &self.user);
        }
    }
}

fn online(group: &GroupName, user: &User) -> Online {
    Online {
        group: group.to_string(),
        id: user.id.clone(),
        name: user.name.clone(),
    }
}
