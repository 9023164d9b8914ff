//! The feeds of one replica: the steps of `api/src/feeds`, on a table in memory.

use std::collections::BTreeSet;

use causeway_domain::cursor::Delivery;
use causeway_domain::hlc::Hlc;
use causeway_domain::names::GroupName;
use causeway_domain::timeline::{Fate, FeedEntry, Framed, Kind, Message, Progress, is_overtaken};
use causeway_replicator_core::view::Knowledge;

use super::World;
use super::readers::row_count;
use crate::disk::Disk;
use crate::reader::{Frame, Object};

/// The maximum number of entries per read of the table; low because runs are short.
const STEP: usize = 7;

/// The feeds of one replica.
pub(super) struct Feeds<'a> {
    pub disk: &'a Disk,
    knowledge: Option<Knowledge>,
    settles: bool,
}

/// One read of the table.
pub(super) struct Step {
    /// The delivery state before this step, without events that are lost for good.
    pub before: Delivery,
    pub frames: Vec<Frame>,
    pub is_last: bool,
}

impl<'a> Feeds<'a> {
    pub fn of(world: &'a World, at: usize) -> Self {
        let replica = &world.replicas[at];
        Self {
            disk: &replica.disk,
            knowledge: replica
                .core()
                .map(causeway_replicator_core::core::Core::knowledge),
            settles: !world.swarm.loses_state(),
        }
    }

    /// Reads the next entries, as `api/src/feeds/reader.rs` does.
    pub fn read(&mut self, group: &GroupName, progress: &mut Progress, most: usize) -> Step {
        let table = &self.disk.table;
        let held = &table.checkpoint;
        let fate_of = |origin, highest| {
            let knowledge = self.knowledge.as_ref();
            knowledge.map_or(Fate::Awaited, |it| {
                it.fate_of(origin, highest, &held.vector)
            })
        };
        if let Some(search) = progress.begin(held, fate_of) {
            let (first, last_delivered) = table.search(&search);
            progress.start(first, last_delivered);
        }
        let before = progress.delivery();
        let entries = table.after(progress.at()).iter();
        let entries = entries.filter(|entry| entry.group == *group);
        let entries: Vec<FeedEntry> = entries.take(STEP).cloned().collect();
        let first = table
            .vectors
            .partition_point(|(it, _)| *it <= progress.at());
        let asked = entries.iter().filter(|it| progress.needs_rivals(it));
        let asked: BTreeSet<&str> = asked.map(|it| it.subject.as_str()).collect();
        let rivals = table
            .feed
            .iter()
            .filter(|it| asked.contains(it.subject.as_str()));
        let rivals: Vec<FeedEntry> = rivals.cloned().collect();
        let cursor = Progress::delivery;
        let told = progress.take_step(&entries, &rivals, &table.vectors[first..], most, cursor);
        let taken = entries.partition_point(|entry| entry.offset <= progress.at());
        let is_last = entries.len() < STEP && taken == entries.len();
        let beyond = (!is_last)
            .then(|| self.lowest_after(progress.at()))
            .flatten();
        let mut delivered = before.delivered.clone();
        let mut frames = Vec::new();
        for Framed {
            index,
            kind,
            cursor,
        } in told
        {
            let entry = &entries[index];
            let is_again = delivered.covers(entry.position.dot());
            delivered = cursor.delivered.clone();
            let later = entries[index + 1..taken].iter();
            let is_overtaken = |message: &Message| {
                !progress.is_sure() || is_overtaken(message, later.clone(), beyond)
            };
            let is_ahead = progress.is_ahead();
            let frame = self.frame(entry, kind, is_overtaken, cursor);
            frames.extend(frame.map(|frame| Frame {
                is_ahead,
                is_again,
                ..frame
            }));
        }
        if is_last {
            progress.arrive();
        }
        Step {
            before,
            frames,
            is_last,
        }
    }

    /// Returns the frames that are shared by all subscribers, as `api/src/feeds/hub.rs` does.
    pub fn share(&mut self, group: &GroupName, progress: &mut Progress) -> Vec<Frame> {
        let table = &self.disk.table;
        let held = &table.checkpoint;
        let entries = table.after(progress.at());
        let mut delivery = progress.delivery();
        let mut frames = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            delivery.delivered.record(entry.position.dot());
            let Some(kind) = entry.shown_as().filter(|_| entry.group == *group) else {
                continue;
            };
            let later = entries[index + 1..].iter();
            let is_overtaken = |message: &Message| is_overtaken(message, later.clone(), None);
            frames.extend(self.frame(entry, kind, is_overtaken, delivery.clone()));
        }
        progress.share(held.offset, &held.vector, held.highest);
        frames
    }

    fn frame(
        &self,
        entry: &FeedEntry,
        kind: Kind,
        is_overtaken: impl Fn(&Message) -> bool,
        cursor: Delivery,
    ) -> Option<Frame> {
        let table = &self.disk.table;
        let mut is_settled = false;
        let mut object = None;
        if !kind.is_membership() {
            object = Object::shown(table, &entry.subject);
            let message = table.visible.messages.get(&entry.subject);
            if message.is_none() && !kind.is_copy() {
                return None;
            }
            let knowledge = self.knowledge.as_ref().filter(|_| self.settles);
            is_settled = message.zip(knowledge).is_some_and(|(message, knowledge)| {
                knowledge.is_settled(message.position.hlc, &table.checkpoint.vector)
                    && !is_overtaken(message)
            });
        }
        Some(Frame {
            entry: entry.clone(),
            kind,
            object,
            is_settled,
            is_ahead: false,
            is_again: false,
            cursor,
        })
    }

    fn lowest_after(&self, offset: i64) -> Option<Hlc> {
        let up_to = row_count(self.disk.table.checkpoint.offset);
        let later = self.disk.rows.get(row_count(offset)..up_to)?;
        later.iter().map(|row| row.event.envelope.stamp.hlc).min()
    }
}
