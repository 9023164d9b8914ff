//! A client that reads a group: its state is the cursor, and what it made of the frames.

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
pub(crate) enum Way {
    /// A stream at one replica, until it breaks.
    Stream,
    /// One call after the other, each with the cursor of the last.
    Poll,
}

/// A client that reads a group.
pub(crate) struct Reader {
    pub group: GroupName,
    pub way: Way,
    /// Most frames of one call. Never changes.
    pub limit: usize,
    /// Where it asked last.
    pub at: Option<usize>,
    /// Where the stream is.
    pub stay: Option<Stay>,
    cursor: Vec<u8>,
    /// The objects that the last frame about each message carried.
    pub messages: BTreeMap<String, Object>,
    /// What the kinds of the frames said: (is it a membership, group or message, user).
    pub standings: BTreeMap<(bool, String, String), bool>,
    /// What the replicas held whose frames it was given.
    pub shown: VersionVector,
    /// The places that were told to be settled, and when last.
    settled: BTreeMap<OrderKey, usize>,
    /// Where messages were told to stand, and since when.
    places: BTreeMap<String, Vec<(usize, OrderKey)>>,
    /// Counts the frames.
    time: usize,
    /// It was told that something it was given is lost for good.
    pub has_forgotten: bool,
    given: BTreeSet<String>,
    /// The frames of the last call, for the trace.
    pub told: Vec<(Dot, Kind, String)>,
}

/// A stream at one replica.
pub(crate) struct Stay {
    pub at: usize,
    pub progress: Progress,
    /// What was missed is still to be read from the table.
    pub is_behind: bool,
}

/// What a frame says of a message.
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
    /// The replica held less than the reader was given.
    pub is_ahead: bool,
    /// Given before, and told again.
    pub is_again: bool,
    pub cursor: Delivery,
}

/// A frame that should not have been given.
pub(crate) struct Wrong {
    pub message: String,
    pub what: &'static str,
}

impl Object {
    /// What a replica shows of a message.
    pub fn shown(table: &Table, id: &str) -> Option<Self> {
        let message = table.seen.messages.get(id)?;
        let likes = table.seen.likes.range((id.to_owned(), String::new())..);
        let likes = likes.take_while(|((of, _), _)| of == id);
        let likers = likes.filter(|(_, like)| like.value.is_in);
        Some(Self {
            position: message.position,
            likers: likers.map(|((_, user), _)| user.clone()).collect(),
        })
    }
}

impl Reader {
    /// A reader who starts at the beginning of a group.
    pub fn new(group: &GroupName, way: Way, limit: usize) -> Self {
        let mut reader = Self {
            group: group.clone(),
            way,
            limit,
            at: None,
            stay: None,
            cursor: Vec::new(),
            messages: BTreeMap::new(),
            standings: BTreeMap::new(),
            shown: VersionVector::default(),
            settled: BTreeMap::new(),
            places: BTreeMap::new(),
            time: 0,
            has_forgotten: false,
            given: BTreeSet::new(),
            told: Vec::new(),
        };
        reader.keep(Delivery::default());
        reader
    }

    /// Keeps a cursor.
    pub fn keep(&mut self, delivery: Delivery) {
        let cursor = Cursor {
            group: Some(self.group.clone()),
            level: 1,
            delivery,
        };
        self.cursor.clear();
        cursor.write(&mut self.cursor);
    }

    /// What the last cursor says.
    pub fn delivery(&self) -> Delivery {
        let cursor = Cursor::parse(&self.cursor);
        cursor.expect("a cursor comes back as it went").delivery
    }

    /// Takes in one frame and its cursor; tells what is wrong with it.
    pub fn hear(&mut self, frame: Frame, before: &Delivery) -> Result<(), Wrong> {
        let Frame { entry, kind, .. } = &frame;
        let (entry, kind) = (entry.clone(), *kind);
        let wrong = |what| {
            let message = entry.subject.clone();
            Err(Wrong { message, what })
        };
        let about: String = entry.subject.chars().take(8).collect();
        self.told.push((entry.position.dot(), kind, about));
        let moves = moves_beyond(before, &frame.cursor);
        self.keep(frame.cursor);
        if kind.is_membership() {
            let pair = (true, entry.group.to_string(), entry.user.id.0.clone());
            self.standings.insert(pair, kind.is_in());
        } else if let Some(object) = frame.object {
            if !self.stands_right(&entry.subject, &object, frame.is_settled) {
                return wrong("it comes before what was told to be settled");
            }
            self.messages.insert(entry.subject.clone(), object.clone());
            self.hear_of_message(&entry, kind, &object);
            let is_new = kind != Kind::Message || self.given.insert(entry.subject.clone());
            // A replica cannot know that a copy it lacks was given elsewhere, nor that two processes
            // run under one number, of which the one holds what the other does not.
            if !is_new && !frame.is_ahead && !self.has_forgotten {
                return wrong("a message is given twice");
            }
        } else if kind.is_copy() {
            // A like that came before its message makes no frame; the message tells of it.
            return wrong("a frame about no message");
        }
        if moves {
            Ok(())
        } else {
            wrong("the cursor stands still")
        }
    }

    /// Of what was told to be settled, nothing that it stood behind may come before it.
    fn stands_right(&mut self, id: &str, object: &Object, is_settled: bool) -> bool {
        self.time += 1;
        let place = object.position;
        let places = self.places.entry(id.to_owned()).or_default();
        let has_moved = places.last().is_none_or(|(_, last)| *last != place);
        let stood_behind = |(settled, time): (&OrderKey, &usize)| {
            let stood = places.iter().rev().find(|(since, _)| since < time);
            stood.is_none_or(|(_, stood)| stood > settled)
        };
        let later = self
            .settled
            .range((Bound::Excluded(place), Bound::Unbounded));
        let is_wrong = has_moved && later.into_iter().any(stood_behind);
        if has_moved {
            places.push((self.time, place));
        }
        if is_settled {
            self.settled.insert(place, self.time);
        }
        !is_wrong
    }

    fn hear_of_message(&mut self, entry: &FeedEntry, kind: Kind, object: &Object) {
        let pair = |user: &String| (false, entry.subject.clone(), user.clone());
        if kind == Kind::Message {
            let likers = object.likers.iter().map(|user| (pair(user), true));
            self.standings.extend(likers);
        } else if !kind.is_copy() {
            self.standings.insert(pair(&entry.user.id.0), kind.is_in());
        }
    }
}

/// Tells whether a reader who goes on after one cursor has less to be told than after another.
fn moves_beyond(before: &Delivery, after: &Delivery) -> bool {
    let is_beyond = |more: &VersionVector, less: &VersionVector| more.covers_all(less);
    if before.delivered != after.delivered {
        return is_beyond(&after.delivered, &before.delivered);
    }
    let acknowledged = |of: &Delivery| of.acknowledged.as_ref().unwrap_or(&of.delivered).clone();
    let (less, more) = (acknowledged(before), acknowledged(after));
    less != more && is_beyond(&more, &less)
}
