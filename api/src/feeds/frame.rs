//! Frames: made once, shared by all readers of a group.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use causeway_domain::envelope::LEVEL;
use causeway_domain::hlc::Hlc;
use causeway_domain::names::{User, UserId};
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::{FeedEntry, Kind, Message};
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::view::Knowledge;
use causeway_store::timelines::MessageView;

use crate::bodies::{MemberBody, Renderer, UserBody};
use crate::cursor::{Cursor, Delivery};

use super::Hub;
use super::shapes::LikeBody;

/// One frame as it is sent to a reader.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The name of the frame.
    pub event: &'static str,
    /// The cursor after it; some frames have none.
    pub id: Option<Arc<str>>,
    /// What it carries, as JSON.
    pub data: Arc<str>,
    bytes: Option<Bytes>,
}

impl Frame {
    pub(super) fn without_id(event: &'static str, data: impl Into<Arc<str>>) -> Self {
        Self {
            event,
            id: None,
            data: data.into(),
            bytes: None,
        }
    }

    pub(super) fn with_id(event: &'static str, id: String, data: Arc<str>) -> Self {
        Self {
            event,
            id: Some(id.into()),
            data,
            bytes: None,
        }
    }

    /// Returns the frame as it is sent.
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone().unwrap_or_else(|| self.encode())
    }

    /// Encodes now what will be sent to many readers.
    pub(super) fn shared(mut self) -> Self {
        self.bytes = Some(self.encode());
        self
    }

    fn encode(&self) -> Bytes {
        // JSON has no raw line feeds, so `data` is one line.
        let (event, data) = (self.event, &self.data);
        match &self.id {
            Some(id) => format!("event: {event}\nid: {id}\ndata: {data}\n\n"),
            None => format!("event: {event}\ndata: {data}\n\n"),
        }
        .into()
    }
}

/// The frame of an event, with what a reader needs to decide whether it wants it.
#[derive(Debug)]
pub(super) struct EventFrame {
    pub offset: i64,
    pub kind: Kind,
    pub position: OrderKey,
    pub frame: Frame,
}

/// What the hub sends to the readers of a group.
#[derive(Debug)]
pub(super) enum Update {
    /// All events of the group after one offset and up to another.
    Events {
        after: i64,
        up_to: i64,
        /// What the log held at `up_to`.
        vector: Arc<VersionVector>,
        highest: Hlc,
        frames: Vec<EventFrame>,
    },
    /// A frame without a cursor, for every reader.
    Notice(Frame),
    /// Frames without a cursor, by the user they are for. One update carries those of all users: a
    /// reader's queue is short, and many small updates would make it lag.
    PerUser(BTreeMap<UserId, Vec<Frame>>),
}

/// Makes frames from feed entries.
pub(super) struct FrameMaker<'a> {
    hub: &'a Hub,
    renderer: Renderer<'a>,
}

impl<'a> FrameMaker<'a> {
    /// Frames show what is known of the peers now, and what is held here.
    pub fn new(hub: &'a Hub, knowledge: &'a Knowledge, held: &'a VersionVector) -> Self {
        let renderer = Renderer {
            replicas: &hub.setup.replicas,
            knowledge,
            held,
        };
        Self { hub, renderer }
    }

    /// Returns what a frame of a kind carries; `None` when its message is not known. `is_overtaken`
    /// says whether an event that is still to be delivered may sort before a message, which then is
    /// not settled for the reader.
    pub fn data(
        &self,
        entry: &FeedEntry,
        kind: Kind,
        seen: Option<&MessageView>,
        is_overtaken: impl Fn(&Message) -> bool,
    ) -> Option<Arc<str>> {
        let message = |message: Option<&MessageView>| {
            let MessageView {
                message, liked_by, ..
            } = message?;
            let mut body = self.renderer.shared_message(message, liked_by);
            body.settled = body.settled && !is_overtaken(message);
            Some(body)
        };
        let json = match kind {
            Kind::Message | Kind::Moved => serde_json::to_string(&message(seen)?),
            Kind::Like | Kind::Unlike => serde_json::to_string(&LikeBody {
                message: message(seen)?,
                by: UserBody::from(&entry.user),
            }),
            Kind::Join | Kind::Leave => serde_json::to_string(&self.member(entry, kind)),
        };
        Some(json.expect("frames have only text keys").into())
    }

    /// Whether nothing can sort before a message any more, judged by what is held here.
    pub fn is_settled(&self, seen: &MessageView) -> bool {
        let (knowledge, held) = (self.renderer.knowledge, self.renderer.held);
        knowledge.is_settled(seen.message.position.hlc, held)
    }

    fn member(&self, entry: &FeedEntry, kind: Kind) -> MemberBody {
        let User { id, name } = &entry.user;
        MemberBody {
            id: id.0.clone(),
            name: name.clone(),
            online: kind == Kind::Join && self.hub.is_online(&entry.group, id),
        }
    }

    /// Returns the frame for all readers who have been delivered exactly what the log holds.
    pub fn shared(
        &self,
        entry: &FeedEntry,
        kind: Kind,
        data: Arc<str>,
        vector: &VersionVector,
        highest: Hlc,
    ) -> EventFrame {
        let id = self.hub.setup.cursors.encode(&Cursor {
            group: Some(entry.group.clone()),
            level: LEVEL,
            delivery: Delivery {
                delivered: vector.clone(),
                acknowledged: None,
                highest,
            },
        });
        EventFrame {
            offset: entry.offset,
            kind,
            position: entry.position,
            frame: Frame::with_id(kind.as_str(), id, data).shared(),
        }
    }
}
