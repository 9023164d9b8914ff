//! The task behind the streams: follows the read model and what is known of the peers, and tells
//! the rooms.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use causeway_domain::ids::ReplicaId;
use causeway_domain::names::GroupName;
use causeway_domain::timeline::{Checkpoint, Kind, Message, is_overtaken};
use causeway_store::log::ReadError;
use causeway_store::timelines::Fresh;
use tokio::time::{Instant, sleep_until};

use super::frame::{Frame, FrameMaker, Item, News};
use super::online::PeersOnline;
use super::stored::Stored;
use super::{Hub, Setup};

/// Most entries read at once.
const STEP: usize = 500;
/// Most bytes of frames that a room is handed at once: it keeps some tens of such batches for slow
/// readers. More than that each reader reads from the tables, at its own pace.
const BATCH_BYTES: usize = 512 * 1024;
/// How long changes of presence and of what is stored where are gathered.
const GATHER: Duration = Duration::from_millis(50);

/// Follows until the read model ends or no handle on the streams is left.
pub(super) async fn run(hub: Weak<Hub>, mut setup: Setup) {
    let mut bell = setup.timelines.bell();
    let mut at = Checkpoint::clone(&bell.borrow_and_update());
    let mut stored = Stored::default();
    let mut peers = PeersOnline::default();
    let mut gathered: Option<Instant> = None;
    let mut last_view = view_key(&setup);
    loop {
        let due = gathered.unwrap_or_else(|| Instant::now() + Duration::from_mins(1));
        let Some(stir) = hub.upgrade() else { return };
        tokio::select! {
            changed = bell.changed() => if changed.is_err() { return },
            changed = setup.knowledge.changed() => {
                if changed.is_err() {
                    return;
                }
                gathered.get_or_insert(Instant::now() + GATHER);
            }
            () = stir.stir.notified() => {
                gathered.get_or_insert(Instant::now() + GATHER);
            }
            () = sleep_until(due) => {}
        }
        let hub = stir;
        if let Err(failure) = follow(&hub, &mut at, &mut stored).await {
            tracing::warn!(
                error = &failure as &dyn std::error::Error,
                "the streams could not follow the read model"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
            bell.mark_changed();
        }
        if !hub.stirred().is_empty() {
            gathered.get_or_insert(Instant::now() + GATHER);
        }
        if gathered.is_some_and(|due| Instant::now() >= due) {
            gathered = None;
            let knowledge = setup.knowledge.borrow_and_update().clone();
            hub.stirred().extend(peers.changes(&knowledge));
            if let Err(failure) = hub.settle_presence(&knowledge).await {
                tracing::warn!(
                    error = &failure as &dyn std::error::Error,
                    "presence could not be looked up"
                );
                gathered = Some(Instant::now() + 4 * GATHER);
            }
            if let Err(failure) = hub.follow_arrivals(&mut stored, &knowledge).await {
                tracing::warn!(
                    error = &failure as &dyn std::error::Error,
                    "an author's messages could not be looked up"
                );
            }
            hub.tell_stored(&mut stored, &knowledge, &at.vector);
            let view = view_key(&setup);
            if view != last_view {
                last_view = view;
                hub.tell_all(&Item::without_id("view", (setup.view)()));
            }
        }
    }
}

/// What of the view is worth a frame: who is up, not how long ago it was heard of; which alarms
/// stand, not their numbers.
fn view_key(setup: &Setup) -> Vec<(u16, String)> {
    let knowledge = setup.knowledge.borrow();
    let peers = knowledge.peers.iter();
    let up = peers.map(|(id, peer)| (id.get(), format!("{:?}", peer.liveness.status)));
    let alarms = knowledge.alarms.iter();
    let alarms = alarms.map(|alarm| {
        let replica = alarm.replica().map_or(0, ReplicaId::get);
        (replica, alarm.kind().to_owned())
    });
    up.chain(alarms).collect()
}

/// Reads what the read model has taken in since, and tells the rooms.
async fn follow(hub: &Hub, at: &mut Checkpoint, stored: &mut Stored) -> Result<(), ReadError> {
    // Rooms that open after this look read up to a checkpoint that is at least this one.
    let target = hub.setup.timelines.checkpoint();
    while at.arrival < target.arrival {
        if hub.rooms().is_empty() {
            *at = (*target).clone();
            return Ok(());
        }
        let entries = hub
            .setup
            .timelines
            .entries(at.arrival, target.arrival, STEP)
            .await?;
        let is_last = entries.len() < STEP;
        let mut next = match entries.last() {
            Some(last) if !is_last => {
                let mut next = at.clone();
                next.arrival = last.entry.arrival;
                next
            }
            _ => (*target).clone(),
        };
        if !is_last {
            for entry in entries.iter().map(|fresh| &fresh.entry) {
                next.vector.record(entry.position.dot());
                next.highest = next.highest.max(entry.position.hlc);
            }
        }
        tell(hub, at, &next, &entries, stored).await?;
        *at = next;
    }
    Ok(())
}

/// Makes the frames of one step and hands them to the rooms.
async fn tell(
    hub: &Hub,
    from: &Checkpoint,
    to: &Checkpoint,
    entries: &[Arc<Fresh>],
    stored: &mut Stored,
) -> Result<(), ReadError> {
    let entries: Vec<&Fresh> = entries.iter().map(AsRef::as_ref).collect();
    // The open rooms among the groups of these; in one whose people are all online elsewhere nobody
    // listens.
    let mut rooms: BTreeMap<&GroupName, bool> = BTreeMap::new();
    {
        let open = hub.rooms();
        for Fresh { entry, .. } in &entries {
            if let Some(room) = open.get(&entry.group) {
                rooms.insert(&entry.group, room.channel.receiver_count() > 0);
            }
        }
    }
    let is_asked_for = |fresh: &&&Fresh| {
        let is_heard = rooms.get(&fresh.entry.group) == Some(&true);
        is_heard && fresh.entry.shown_as().is_some() && fresh.message.is_none()
    };
    let unknown = entries
        .iter()
        .filter(is_asked_for)
        .map(|fresh| &fresh.entry);
    let messages = hub.messages_of(unknown).await?;
    let knowledge = hub.setup.knowledge.borrow().clone();
    // What is held beyond this step may sort before its messages: nothing of it has a say.
    let held = &to.vector;
    let maker = FrameMaker::new(hub, &knowledge, held);

    let mut vector = from.vector.clone();
    let mut highest = from.highest;
    let mut frames: BTreeMap<GroupName, Vec<_>> = BTreeMap::new();
    for (index, Fresh { entry, message }) in entries.iter().enumerate() {
        vector.record(entry.position.dot());
        highest = highest.max(entry.position.hlc);
        let Some(is_heard) = rooms.get(&entry.group) else {
            continue;
        };
        // Also without a frame: a reader that was given more elsewhere must look.
        let of_group = frames.entry(entry.group.clone()).or_insert_with(Vec::new);
        let Some(kind) = entry.shown_as() else {
            continue;
        };
        if kind.is_membership() {
            let stirred = (entry.group.clone(), entry.user.id.clone());
            hub.stirred().insert(stirred);
        }
        if !is_heard {
            continue;
        }
        let message = message.as_ref().or_else(|| messages.get(&entry.subject));
        let later = || entries[index + 1..].iter().map(|fresh| &fresh.entry);
        let is_overtaken = |message: &Message| is_overtaken(message, later(), None);
        let Some(data) = maker.data(entry, kind, message, is_overtaken) else {
            continue;
        };
        of_group.push(maker.shared(entry, kind, data, &vector, highest));
        if kind == Kind::Message && hub.has_local(&entry.group, &entry.user.id) {
            stored.track(entry, &knowledge, held);
        }
    }

    let vector = Arc::new(to.vector.clone());
    let mut rooms = hub.rooms();
    rooms.retain(|_, room| !room.is_empty());
    for (group, frames) in frames {
        let Some(room) = rooms.get_mut(&group) else {
            continue;
        };
        // Since it was last told of, nothing has happened in this group.
        let since = room.told.unwrap_or(from.arrival);
        // Where it is too much at once, there is none for whoever is not there yet.
        let (after, frames) = kept(frames).map_or((to.arrival, Vec::new()), |it| (since, it));
        let news = News::Events {
            after,
            up_to: to.arrival,
            vector: vector.clone(),
            highest: to.highest,
            frames,
        };
        room.told = Some(to.arrival);
        // Fails only when the last reader has just gone.
        let _ = room.channel.send(Arc::new(news));
    }
    Ok(())
}

/// Returns the frames of one step where a room can keep them.
fn kept(frames: Vec<Frame>) -> Option<Vec<Frame>> {
    let bytes: usize = frames.iter().map(|frame| frame.item.bytes().len()).sum();
    (bytes <= BATCH_BYTES).then_some(frames)
}

#[cfg(test)]
mod tests {
    use causeway_domain::hlc::Hlc;
    use causeway_domain::ids::{Epoch, ReplicaId};
    use causeway_domain::stamp::OrderKey;

    use super::*;

    #[test]
    fn a_room_keeps_no_more_than_some_bytes_of_a_step() {
        let frame = |bytes: usize| Frame {
            arrival: 1,
            kind: Kind::Message,
            position: OrderKey {
                hlc: Hlc::default(),
                replica: ReplicaId::new(1).unwrap(),
                epoch: Epoch(1),
                seq: 1,
            },
            item: Item::without_id("message", "x".repeat(bytes)),
        };

        assert_eq!(kept(vec![frame(9), frame(9)]).unwrap().len(), 2);
        assert!(kept(vec![frame(BATCH_BYTES / 2), frame(BATCH_BYTES / 2)]).is_none());
    }
}
