//! The task behind the streams: follows the read model and what is known of the peers, and sends
//! what changes to the rooms.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use causeway_domain::ids::ReplicaId;
use causeway_domain::names::GroupName;
use causeway_domain::timeline::Checkpoint;
use causeway_store::log::ReadError;
use causeway_store::timelines::Fresh;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::frame::Frame;
use super::step::publish;
use super::stored::StoredTracker;
use super::{Hub, Setup};

/// Most entries read at once.
const STEP: usize = 500;
/// How long changes of presence and of what is stored where are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(50);
/// Pause after the read model could not be read.
const RETRY: Duration = Duration::from_millis(200);
/// How long the task sleeps when nothing is due.
const IDLE: Duration = Duration::from_mins(1);

/// Runs until the read model ends or no handle on the streams is left.
pub(super) async fn run(hub: Weak<Hub>, setup: Setup) {
    let mut task = Task::new(setup);
    while let Some(hub) = hub.upgrade() {
        if !task.wait(&hub).await {
            return;
        }
        task.follow(&hub).await;
        if !hub.stale_presence().is_empty() {
            task.schedule();
        }
        let now = Instant::now();
        if task.due.is_some_and(|due| now >= due) {
            task.send_gathered(&hub).await;
        }
        if task.presence_due.is_some_and(|due| now >= due) {
            task.presence_due = hub.tell_presence(now, &mut task.untold);
        }
    }
}

struct Task {
    setup: Setup,
    steps: watch::Receiver<Arc<Checkpoint>>,
    /// Up to where the rooms have been sent everything.
    at: Checkpoint,
    stored: StoredTracker,
    /// The groups whose readers may not have been told yet who is online.
    untold: BTreeSet<GroupName>,
    /// When the gathered changes are sent; `None` while there are none.
    due: Option<Instant>,
    /// When the readers of a crowd are told next who is online.
    presence_due: Option<Instant>,
    last_view: ViewKey,
}

impl Task {
    fn new(setup: Setup) -> Self {
        let mut steps = setup.timelines.commits();
        let at = Checkpoint::clone(&steps.borrow_and_update());
        Self {
            last_view: view_key(&setup),
            setup,
            steps,
            at,
            stored: StoredTracker::default(),
            untold: BTreeSet::new(),
            presence_due: None,
            due: None,
        }
    }

    fn schedule(&mut self) {
        self.due.get_or_insert(Instant::now() + GATHER);
    }

    /// Waits until there may be something to do. Returns `false` when the read model has ended.
    async fn wait(&mut self, hub: &Hub) -> bool {
        let due = self.due.into_iter().chain(self.presence_due).min();
        let due = due.unwrap_or_else(|| Instant::now() + IDLE);
        tokio::select! {
            changed = self.steps.changed() => return changed.is_ok(),
            changed = self.setup.knowledge.changed() => {
                self.schedule();
                return changed.is_ok();
            }
            () = hub.presence_changed.notified() => self.schedule(),
            () = sleep_until(due) => {}
        }
        true
    }

    /// Sends the rooms what the read model has folded in since.
    async fn follow(&mut self, hub: &Hub) {
        if let Err(failure) = self.publish_steps(hub).await {
            tracing::warn!(
                error = &failure as &dyn std::error::Error,
                "the streams could not follow the read model"
            );
            sleep(RETRY).await;
            self.steps.mark_changed();
        }
    }

    async fn publish_steps(&mut self, hub: &Hub) -> Result<(), ReadError> {
        // Rooms that open after this line read up to a checkpoint that is at least this one.
        let target = hub.setup.timelines.checkpoint();
        while self.at.offset < target.offset {
            if hub.rooms().is_empty() {
                self.at = (*target).clone();
                return Ok(());
            }
            let entries = hub
                .setup
                .timelines
                .entries(self.at.offset, target.offset, STEP)
                .await?;
            let next = checkpoint_after(&self.at, &entries, &target);
            publish(hub, &self.at, &next, &entries, &mut self.stored).await?;
            self.at = next;
        }
        Ok(())
    }

    /// Sends the gathered changes: presence, what is stored where, and the view.
    async fn send_gathered(&mut self, hub: &Hub) {
        self.due = None;
        let knowledge = self.setup.knowledge.borrow_and_update().clone();
        hub.record_elsewhere((self.setup.online_changes)());
        let updated = hub.update_presence(&mut self.untold).await;
        self.presence_due = hub.tell_presence(Instant::now(), &mut self.untold);
        if let Err(failure) = updated {
            tracing::warn!(
                error = &failure as &dyn std::error::Error,
                "presence could not be looked up"
            );
            self.due = Some(Instant::now() + 4 * GATHER);
        }
        if let Err(failure) = hub.track_newcomers(&mut self.stored, &knowledge).await {
            tracing::warn!(
                error = &failure as &dyn std::error::Error,
                "an author's messages could not be looked up"
            );
        }
        hub.send_stored(&mut self.stored, &knowledge, &self.at.vector);
        let view = view_key(&self.setup);
        if view != self.last_view {
            self.last_view = view;
            hub.broadcast(&Frame::without_id("view", (self.setup.view)()).shared());
        }
    }
}

/// Returns the checkpoint after the entries that were read: the target itself when all were.
fn checkpoint_after(at: &Checkpoint, entries: &[Arc<Fresh>], target: &Checkpoint) -> Checkpoint {
    let Some(last) = entries.last().filter(|_| entries.len() == STEP) else {
        return target.clone();
    };
    let mut next = at.clone();
    next.offset = last.entry.offset;
    for Fresh { entry, .. } in entries.iter().map(AsRef::as_ref) {
        next.vector.record(entry.position.dot());
        next.highest = next.highest.max(entry.position.hlc);
    }
    next
}

type ViewKey = Vec<(u16, String)>;

/// Returns the part of the view whose change is worth a frame: the status of each peer, not when it
/// was last heard of; the kinds of alarms, not their numbers.
fn view_key(setup: &Setup) -> ViewKey {
    let knowledge = setup.knowledge.borrow();
    let peers = knowledge.peers.iter();
    let statuses = peers.map(|(id, peer)| (id.get(), format!("{:?}", peer.liveness.status)));
    let alarms = knowledge.alarms.iter().map(|alarm| {
        let replica = alarm.replica().map_or(0, ReplicaId::get);
        (replica, alarm.kind().to_owned())
    });
    statuses.chain(alarms).collect()
}
