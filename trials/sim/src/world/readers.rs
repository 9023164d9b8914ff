//! The read model and its readers: what `timelines`, `feeds` and the routes of streams do.

use causeway_domain::cursor::Delivery;
use causeway_domain::rescue::Subject;
use causeway_domain::timeline::{Kind, Progress};

use crate::hits::Hit;
use crate::reader::{Frame, Stay, Way, Wrong};

use super::shelf::Shelf;
use super::{Happening, World};

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
        let told = disk.rows.len().min(places(process.writer.head().arrival));
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

fn arrivals(rows: usize) -> i64 {
    i64::try_from(rows).expect("runs are short")
}

pub(super) fn places(arrival: i64) -> usize {
    usize::try_from(arrival).expect("arrivals count from 1")
}
