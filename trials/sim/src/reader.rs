//! A client that reads a group. Its state is its cursor and the content of the frames it received.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use causeway_domain::cursor::{Cursor, Delivery};
use causeway_domain::ids::Dot;
use causeway_domain::names::GroupName;
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::{FeedEntry, Kind, Progress};
use causeway_domain::version_vector::VersionVector;

use crate::table::Table;

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A stream at one replica, until it breaks.
    Stream,
    /// Successive calls, each with the cursor of the previous one.
    Poll,
}

/// A client that reads a group.
pub(crate) struct Reader {
    pub group: GroupName,
    pub mode: Mode,
    /// The maximum number of frames per call.
    pub limit: usize,
    /// The replica of the last call.
    pub at: Option<usize>,
    /// The open stream.
    pub stream: Option<OpenStream>,
    cursor: Vec<u8>,
    /// The object in the last frame about each message.
    pub messages: BTreeMap<String, Object>,
    /// Likes and memberships by the kinds of frames: (is it a membership, group or message, user).
    pub standings: BTreeMap<(bool, String, String), bool>,
    /// The union of what the replicas held when they sent frames.
    pub shown: VersionVector,
    /// Positions that were reported as settled, and the time of the last report.
    settled: BTreeMap<OrderKey, usize>,
    /// The positions at which each message was delivered, each with its time.
    positions: BTreeMap<String, Vec<(usize, OrderKey)>>,
    /// The number of frames received.
    time: usize,
    /// Whether a delivered event was reported as lost for good.
    pub has_forgotten: bool,
    given: BTreeSet<String>,
    /// The frames of the current call, for the trace.
    pub received: Vec<(Dot, Kind, String)>,
}

/// A stream at one replica.
pub(crate) struct OpenStream {
    pub at: usize,
    pub progress: Progress,
    /// Whether entries must still be read from the table.
    pub has_backlog: bool,
}

/// The content of a message in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub position: OrderKey,
    pub likers: BTreeSet<String>,
}

/// A frame.
pub(crate) struct Frame {
    pub entry: FeedEntry,
    pub kind: Kind,
    pub object: Option<Object>,
    pub is_settled: bool,
    /// Whether the replica held less than the reader had received.
    pub is_ahead: bool,
    /// Whether this is a recheck of a delivered entry.
    pub is_again: bool,
    pub cursor: Delivery,
}

/// A frame that violates an invariant.
pub(crate) struct Violation {
    pub message: String,
    pub what: &'static str,
}

impl Object {
    /// The content of a message as a replica shows it.
    pub fn shown(table: &Table, id: &str) -> Option<Self> {
        let message = table.visible.messages.get(id)?;
        let likes = table.visible.likes.range((id.to_owned(), String::new())..);
        let likes = likes.take_while(|((of, _), _)| of == id);
        let likers = likes.filter(|(_, like)| like.value.is_in);
        Some(Self {
            position: message.position,
            likers: likers.map(|((_, user), _)| user.clone()).collect(),
        })
    }
}

impl Reader {
    /// A reader that starts at the beginning of a group.
    pub fn new(group: &GroupName, mode: Mode, limit: usize) -> Self {
        let mut reader = Self {
            group: group.clone(),
            mode,
            limit,
            at: None,
            stream: None,
            cursor: Vec::new(),
            messages: BTreeMap::new(),
            standings: BTreeMap::new(),
            shown: VersionVector::default(),
            settled: BTreeMap::new(),
            positions: BTreeMap::new(),
            time: 0,
            has_forgotten: false,
            given: BTreeSet::new(),
            received: Vec::new(),
        };
        reader.keep(Delivery::default());
        reader
    }

    /// Encodes and stores a cursor.
    pub fn keep(&mut self, delivery: Delivery) {
        let cursor = Cursor {
            group: Some(self.group.clone()),
            level: 1,
            delivery,
        };
        self.cursor.clear();
        cursor.write(&mut self.cursor);
    }

    /// The content of the last cursor.
    pub fn delivery(&self) -> Delivery {
        let cursor = Cursor::parse(&self.cursor);
        cursor.expect("an encoded cursor can be parsed").delivery
    }

    /// Records one frame and its cursor, or reports the invariant that it violates.
    pub fn receive(&mut self, frame: Frame, before: &Delivery) -> Result<(), Violation> {
        let Frame { entry, kind, .. } = &frame;
        let (entry, kind) = (entry.clone(), *kind);
        let wrong = |what| {
            let message = entry.subject.clone();
            Err(Violation { message, what })
        };
        let about: String = entry.subject.chars().take(8).collect();
        self.received.push((entry.position.dot(), kind, about));
        let moves = moves_beyond(before, &frame.cursor);
        self.keep(frame.cursor);
        if kind.is_membership() {
            let pair = (true, entry.group.to_string(), entry.user.id.0.clone());
            self.standings.insert(pair, kind.is_in());
        } else if let Some(object) = frame.object {
            if !self.respects_settled(&entry.subject, &object, frame.is_settled) {
                return wrong("it sorts before a message that was reported as settled");
            }
            self.messages.insert(entry.subject.clone(), object.clone());
            self.record_message(&entry, kind, &object);
            let is_new = kind != Kind::Message || self.given.insert(entry.subject.clone());
            // A replica cannot know that another one delivered a copy that it lacks, nor that a
            // clone with its number holds other events.
            if !is_new && !frame.is_ahead && !self.has_forgotten {
                return wrong("a message is delivered twice");
            }
        } else if kind.is_copy() {
            // A like that arrived before its message yields no frame; the message's frame includes
            // it.
            return wrong("a frame about no message");
        }
        if moves {
            Ok(())
        } else {
            wrong("the cursor does not advance")
        }
    }

    /// Whether a position is consistent with all settled ones: once a message is reported as
    /// settled, no other message may appear, or move, to before it.
    fn respects_settled(&mut self, id: &str, object: &Object, is_settled: bool) -> bool {
        self.time += 1;
        let position = object.position;
        let positions = self.positions.entry(id.to_owned()).or_default();
        let has_moved = positions.last().is_none_or(|(_, last)| *last != position);
        let stood_behind = |(settled, time): (&OrderKey, &usize)| {
            let stood = positions.iter().rev().find(|(since, _)| since < time);
            stood.is_none_or(|(_, stood)| stood > settled)
        };
        let later = self
            .settled
            .range((Bound::Excluded(position), Bound::Unbounded));
        let is_wrong = has_moved && later.into_iter().any(stood_behind);
        if has_moved {
            positions.push((self.time, position));
        }
        if is_settled {
            self.settled.insert(position, self.time);
        }
        !is_wrong
    }

    fn record_message(&mut self, entry: &FeedEntry, kind: Kind, object: &Object) {
        let pair = |user: &String| (false, entry.subject.clone(), user.clone());
        if kind == Kind::Message {
            let likers = object.likers.iter().map(|user| (pair(user), true));
            self.standings.extend(likers);
        } else if !kind.is_copy() {
            self.standings.insert(pair(&entry.user.id.0), kind.is_in());
        }
    }
}

/// Whether the cursor `after` covers more than the cursor `before`.
fn moves_beyond(before: &Delivery, after: &Delivery) -> bool {
    let is_beyond = |more: &VersionVector, less: &VersionVector| more.covers_all(less);
    if before.delivered != after.delivered {
        return is_beyond(&after.delivered, &before.delivered);
    }
    let acknowledged = |of: &Delivery| of.acknowledged.as_ref().unwrap_or(&of.delivered).clone();
    let (less, more) = (acknowledged(before), acknowledged(after));
    less != more && is_beyond(&more, &less)
}
