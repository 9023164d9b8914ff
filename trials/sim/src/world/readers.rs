//! The read model and its readers: what `timelines`, `feeds` and the routes of streams do.

use std::collections::BTreeSet;

use causeway_domain::cursor::Delivery;
use causeway_domain::hlc::Hlc;
use causeway_domain::names::GroupName;
use causeway_domain::rescue::Subject;
use causeway_domain::timeline::{Fate, FeedEntry, Kind, Message, Progress, Told, is_overtaken};
use causeway_replicator_core::view::Knowledge;

use crate::disk::Disk;
use crate::hits::Hit;
use crate::reader::{Frame, Object, Stay, Way, Wrong};

use super::{Happening, World};

/// Most entries read from the table at once: few, as runs are short.
const STEP: usize = 7;

impl World {
    pub(super) fn fold_soon(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        let life = replica.life;
        let is_behind = replica.disk.table.checkpoint.arrival < arrivals(replica.disk.rows.len());
        let Some(process) = &mut replica.process else {
            return;
        };
        if is_behind && !process.is_folding {
            process.is_folding = true;
            let in_ms = self.rng.below(15);
            self.plan(in_ms, Happening::Fold(at, life));
        }
    }

    /// Folds the next events in: those the writer has told of, some of them.
    pub(super) fn fold(&mut self, at: usize) {
        let most = self.rng.pick(&[1, 5, 1_000]);
        let replica = &mut self.replicas[at];
        let Some(process) = &mut replica.process else {
            return;
        };
        process.is_folding = false;
        if replica.away_until_ms > self.now_ms || replica.full_until_ms > self.now_ms {
            return;
        }
        let disk = &mut replica.disk;
        let told = disk.rows.len().min(places(process.writing.head().arrival));
        let first = places(disk.table.checkpoint.arrival);
        let last = told.min(first + most);
        if let Some(rows) = disk.rows.get(first..last) {
            disk.table.take(rows);
        }
        if last < told {
            self.fold_soon(at);
        }
    }

    /// One reader looks for frames, perhaps at another replica.
    pub(super) fn read(&mut self, number: usize) {
        let in_ms = self.rng.between(30, 500);
        self.plan(in_ms, Happening::Reader(number));
        let hops = self.rng.permille(150);
        let at = self.rng.index(self.size);
        match self.people.readers[number].way {
            Way::Poll => {
                let reader = &mut self.people.readers[number];
                let goes_to = reader.at.filter(|_| !hops).unwrap_or(at);
                reader.at = Some(goes_to);
                self.poll(number, goes_to);
            }
            Way::Stream => {
                if hops {
                    self.people.readers[number].stay = None;
                }
                if self.people.readers[number].stay.is_none() {
                    self.come(number, at);
                }
                let shares = self.rng.permille(500);
                let stops = self.rng.permille(100);
                self.follow(number, shares, stops);
            }
        }
    }

    /// Asks once for changes; tells whether that was all.
    pub(crate) fn poll(&mut self, number: usize, at: usize) -> bool {
        let replica = &self.replicas[at];
        if !replica.is_serving() || replica.paused_until_ms > self.now_ms {
            return false;
        }
        let (group, limit, delivery) = {
            let reader = &self.people.readers[number];
            (reader.group.clone(), reader.limit, reader.delivery())
        };
        let mut shelf = Shelf::of(self, at);
        let mut progress = Progress::resume(&shelf.disk.table.checkpoint, delivery.clone());
        let mut frames = Vec::new();
        let mut before = None;
        let mut is_last = false;
        while frames.len() < limit && !is_last {
            let step = shelf.read(&group, &mut progress, limit);
            before.get_or_insert(step.before);
            is_last = step.is_last;
            frames.extend(step.frames);
        }
        let before = before.unwrap_or_default();
        let is_all = is_last && frames.len() <= limit;
        frames.truncate(limit);
        let forgets = before.delivered != delivery.delivered;
        let is_ahead = progress.is_ahead();
        let rest = is_all.then(|| progress.delivery());
        self.reads(number, at, forgets, is_ahead);
        self.give(number, at, frames, &before);
        if let Some(rest) = rest {
            self.people.readers[number].keep(rest);
            self.compare(number, at, is_ahead);
        }
        is_all
    }

    /// A reader opens a stream with its last cursor.
    pub(crate) fn come(&mut self, number: usize, at: usize) {
        let replica = &self.replicas[at];
        if !replica.is_serving() || replica.paused_until_ms > self.now_ms {
            return;
        }
        let reader = &mut self.people.readers[number];
        let progress = Progress::resume(&replica.disk.table.checkpoint, reader.delivery());
        reader.stay = Some(Stay {
            at,
            progress,
            is_behind: true,
        });
    }

    /// A reader takes the frames that are there: those all are given alike, or its own. Tells
    /// whether it has caught up. `stops`: it breaks off between two of them.
    pub(crate) fn follow(&mut self, number: usize, shares: bool, stops: bool) -> bool {
        let reader = &mut self.people.readers[number];
        let group = reader.group.clone();
        let Some(mut stay) = reader.stay.take() else {
            return false;
        };
        let at = stay.at;
        let mut shelf = Shelf::of(self, at);
        let progress = &mut stay.progress;
        let has_news = progress.at() < shelf.disk.table.checkpoint.arrival;
        let known = progress.delivery();
        let reads = stay.is_behind || (has_news && (progress.is_ahead() || !shares));
        let mut frames = Vec::new();
        let mut before = known.clone();
        if reads {
            let step = shelf.read(&group, progress, usize::MAX);
            (before, stay.is_behind, frames) = (step.before, !step.is_last, step.frames);
        } else if has_news {
            frames = shelf.share(&group, progress);
        }
        let is_ahead = progress.is_ahead();
        let is_all = !stay.is_behind;
        let rest = progress.delivery();
        let (arrival, forgets) = (progress.at(), before.delivered != known.delivered);
        if reads {
            self.reads(number, at, forgets, is_ahead);
        }
        if stops && reads && !frames.is_empty() {
            let received = self.rng.index(frames.len());
            frames.truncate(received);
            self.hit(Hit::ReaderStopped);
            self.give(number, at, frames, &before);
            return false;
        }
        self.give(number, at, frames, &before);
        let reader = &mut self.people.readers[number];
        reader.keep(rest);
        reader.stay = Some(stay);
        self.note(format_args!("reader {number} stands at {arrival}"));
        if is_all {
            self.compare(number, at, is_ahead);
        }
        is_all
    }

    fn reads(&mut self, number: usize, at: usize, forgets: bool, is_ahead: bool) {
        self.hit(Hit::ReaderHopped);
        if is_ahead {
            self.hit(Hit::ReaderAhead);
        }
        if forgets {
            self.hit(Hit::ReaderForgot);
            self.people.readers[number].has_forgotten |= self.swarm.clones;
        }
        self.note(format_args!(
            "reader {number} reads at {}, is ahead: {is_ahead}, forgets: {forgets}",
            at + 1
        ));
    }

    fn give(&mut self, number: usize, at: usize, frames: Vec<Frame>, before: &Delivery) {
        let held = self.replicas[at].disk.table.checkpoint.vector.clone();
        let mut before = before.clone();
        for frame in frames {
            let met = [
                (frame.kind == Kind::Moved, Hit::ReaderMoved),
                (frame.is_again, Hit::ReaderRechecked),
                (frame.is_settled, Hit::ReaderSettled),
            ];
            for (_, hit) in met.into_iter().filter(|(is_met, _)| *is_met) {
                self.hit(hit);
            }
            let reader = &mut self.people.readers[number];
            reader.shown.merge(&held);
            let heard = reader.hear(frame, &before);
            before = reader.delivery();
            if let Err(Wrong { message, what }) = heard {
                let id = message.clone();
                // Numbers with two contents are another matter.
                let is_single = self.ledger.rewritten.is_empty();
                if is_single || self.ledger.is_plain(&Subject::Message { id }) {
                    self.violate(|| format!("reader {number} at {}: {what}: {message}", at + 1));
                }
            }
        }
        let told = std::mem::take(&mut self.people.readers[number].told);
        for (dot, kind, about) in told {
            self.note(format_args!(
                "reader {number} is told {kind:?} of {about} by {dot}"
            ));
        }
    }

    /// Whoever has caught up where nothing is missing of what it was shown sees what its replica
    /// shows.
    fn compare(&mut self, number: usize, at: usize, is_ahead: bool) {
        let held = &self.replicas[at].disk.table.checkpoint.vector;
        let is_shown = held.covers_all(&self.people.readers[number].shown);
        if !is_ahead && is_shown && !self.swarm.can_fork() {
            self.hit(Hit::ReaderCompared);
            self.expect_reader(number, at);
        }
    }
}

/// What one replica has for readers.
struct Shelf<'a> {
    disk: &'a Disk,
    knowledge: Option<Knowledge>,
    settles: bool,
}

/// One read of the table.
struct Step {
    /// Where the reader stood, without what is lost for good.
    before: Delivery,
    frames: Vec<Frame>,
    is_last: bool,
}

impl<'a> Shelf<'a> {
    fn of(world: &'a World, at: usize) -> Self {
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
    fn read(&mut self, group: &GroupName, progress: &mut Progress, most: usize) -> Step {
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
        let taken = entries.partition_point(|entry| entry.arrival <= progress.at());
        let is_last = entries.len() < STEP && taken == entries.len();
        let beyond = (!is_last)
            .then(|| self.lowest_after(progress.at()))
            .flatten();
        let mut delivered = before.delivered.clone();
        let mut frames = Vec::new();
        for Told {
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

    /// Gives the frames that are made once for all readers, as `api/src/feeds/hub.rs` does.
    fn share(&mut self, group: &GroupName, progress: &mut Progress) -> Vec<Frame> {
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
        progress.share(held.arrival, &held.vector, held.highest);
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
            let message = table.seen.messages.get(&entry.subject);
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

    fn lowest_after(&self, arrival: i64) -> Option<Hlc> {
        let up_to = places(self.disk.table.checkpoint.arrival);
        let later = self.disk.rows.get(places(arrival)..up_to)?;
        later.iter().map(|row| row.event.envelope.stamp.hlc).min()
    }
}

fn arrivals(rows: usize) -> i64 {
    i64::try_from(rows).expect("runs are short")
}

fn places(arrival: i64) -> usize {
    usize::try_from(arrival).expect("arrivals count from 1")
}
