//! One step of the read model, as frames for the rooms.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_domain::names::GroupName;
use causeway_domain::timeline::{Checkpoint, Kind, Message, is_overtaken};
use causeway_replicator_core::view::Knowledge;
use causeway_store::log::ReadError;
use causeway_store::timelines::{Fresh, MessageView};

use super::Hub;
use super::frame::{EventFrame, FrameMaker, Update};
use super::stored::StoredTracker;

/// Most bytes of frames that a room is handed at once: it keeps some tens of such batches for slow
/// readers. Of a larger step each reader reads the table, at its own pace.
const BATCH_BYTES: usize = 512 * 1024;

/// The open rooms that a step concerns, and whether any reader listens there: the members online in
/// a room may all be connected to other replicas.
type Rooms<'a> = BTreeMap<&'a GroupName, bool>;

/// Makes the frames of one step and sends them to the rooms.
pub(super) async fn publish(
    hub: &Hub,
    from: &Checkpoint,
    to: &Checkpoint,
    entries: &[Arc<Fresh>],
    stored: &mut StoredTracker,
) -> Result<(), ReadError> {
    let rooms = concerned_rooms(hub, entries);
    let lacks_message = |fresh: &&Fresh| {
        let is_heard = rooms.get(&fresh.entry.group) == Some(&true);
        is_heard && fresh.entry.shown_as().is_some() && fresh.message.is_none()
    };
    let unread = entries.iter().map(AsRef::as_ref).filter(lacks_message);
    let step = Step {
        hub,
        from,
        to,
        messages: hub.messages_of(unread.map(|fresh| &fresh.entry)).await?,
        knowledge: hub.setup.knowledge.borrow().clone(),
        rooms,
        entries,
    };
    let frames = step.frames(stored);
    send(hub, from, to, frames);
    Ok(())
}

fn concerned_rooms<'a>(hub: &Hub, entries: &'a [Arc<Fresh>]) -> Rooms<'a> {
    let open = hub.rooms();
    let groups = entries.iter().map(|fresh| &fresh.entry.group);
    groups
        .filter_map(|group| Some((group, open.get(group)?.channel.receiver_count() > 0)))
        .collect()
}

struct Step<'a> {
    hub: &'a Hub,
    from: &'a Checkpoint,
    to: &'a Checkpoint,
    entries: &'a [Arc<Fresh>],
    /// The messages that entries are about and do not carry themselves.
    messages: BTreeMap<String, MessageView>,
    knowledge: Arc<Knowledge>,
    rooms: Rooms<'a>,
}

impl Step<'_> {
    /// Makes the frames of each concerned room, and starts to track the messages of listening authors.
    fn frames(&self, stored: &mut StoredTracker) -> BTreeMap<GroupName, Vec<EventFrame>> {
        // What is held beyond this step may sort before its messages: it must not count here.
        let held = &self.to.vector;
        let maker = FrameMaker::new(self.hub, &self.knowledge, held);
        let mut vector = self.from.vector.clone();
        let mut highest = self.from.highest;
        let mut frames: BTreeMap<GroupName, Vec<EventFrame>> = BTreeMap::new();
        for (index, Fresh { entry, .. }) in self.entries.iter().map(AsRef::as_ref).enumerate() {
            vector.record(entry.position.dot());
            highest = highest.max(entry.position.hlc);
            if !self.rooms.contains_key(&entry.group) {
                continue;
            }
            // Also without a frame: a reader that was delivered more elsewhere must look.
            let of_group = frames.entry(entry.group.clone()).or_default();
            let Some((kind, data)) = self.data(&maker, index) else {
                continue;
            };
            of_group.push(maker.shared(entry, kind, data, &vector, highest));
            if kind == Kind::Message && self.hub.has_local(&entry.group, &entry.user.id) {
                stored.track(entry, &self.knowledge, held);
            }
        }
        frames
    }

    /// Returns what the frame of an entry carries, where it has one and somebody listens.
    fn data(&self, maker: &FrameMaker<'_>, index: usize) -> Option<(Kind, Arc<str>)> {
        let Fresh { entry, message } = &*self.entries[index];
        let kind = entry.shown_as()?;
        if kind.is_membership() {
            let member = (entry.group.clone(), entry.user.id.clone());
            self.hub.stale_presence().insert(member);
        }
        if !self.rooms[&entry.group] {
            return None;
        }
        let message = message
            .as_ref()
            .or_else(|| self.messages.get(&entry.subject));
        let later = || self.entries[index + 1..].iter().map(|fresh| &fresh.entry);
        let is_overtaken = |message: &Message| is_overtaken(message, later(), None);
        let data = maker.data(entry, kind, message, is_overtaken)?;
        Some((kind, data))
    }
}

/// Sends each room its frames, and closes the rooms that nobody is in any more.
fn send(
    hub: &Hub,
    from: &Checkpoint,
    to: &Checkpoint,
    frames: BTreeMap<GroupName, Vec<EventFrame>>,
) {
    let vector = Arc::new(to.vector.clone());
    let mut rooms = hub.rooms();
    rooms.retain(|_, room| !room.is_empty());
    for (group, frames) in frames {
        let Some(room) = rooms.get_mut(&group) else {
            continue;
        };
        // Nothing has happened in this group since the last update.
        let since = room.sent_up_to.unwrap_or(from.offset);
        // An update without the frames of a large step leaves a gap, so every reader reads the table.
        let (after, frames) =
            within_limit(frames).map_or_else(|| (to.offset, Vec::new()), |frames| (since, frames));
        room.sent_up_to = Some(to.offset);
        room.send(Update::Events {
            after,
            up_to: to.offset,
            vector: vector.clone(),
            highest: to.highest,
            frames,
        });
    }
}

/// Returns the frames of one step unless they are too many bytes for a room to keep.
fn within_limit(frames: Vec<EventFrame>) -> Option<Vec<EventFrame>> {
    let bytes: usize = frames.iter().map(|event| event.frame.bytes().len()).sum();
    (bytes <= BATCH_BYTES).then_some(frames)
}

#[cfg(test)]
mod tests {
    use causeway_domain::hlc::Hlc;
    use causeway_domain::ids::{Epoch, ReplicaId};
    use causeway_domain::stamp::OrderKey;

    use super::super::frame::Frame;
    use super::*;

    #[test]
    fn a_room_keeps_at_most_a_number_of_bytes_of_a_step() {
        let frame = |bytes: usize| EventFrame {
            offset: 1,
            kind: Kind::Message,
            position: OrderKey {
                hlc: Hlc::default(),
                replica: ReplicaId::new(1).unwrap(),
                epoch: Epoch(1),
                seq: 1,
            },
            frame: Frame::without_id("message", "x".repeat(bytes)),
        };

        assert_eq!(within_limit(vec![frame(9), frame(9)]).unwrap().len(), 2);
        assert!(within_limit(vec![frame(BATCH_BYTES / 2), frame(BATCH_BYTES / 2)]).is_none());
    }
}
