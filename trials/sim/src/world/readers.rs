//! The read model and its readers, in place of `timelines`, `feeds` and the stream routes.

use causeway_domain::cursor::Delivery;
use causeway_domain::rescue::Subject;
use causeway_domain::timeline::{Kind, Progress};

use crate::hits::Hit;
use crate::reader::{Frame, Mode, OpenStream, Violation};

use super::feeds::Feeds;
use super::{Happening, World};

impl World {
    pub(super) fn fold_soon(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        let life = replica.life;
        let is_behind = replica.disk.table.checkpoint.offset < offset(replica.disk.rows.len());
        let Some(process) = &mut replica.process else {
            return;
        };
        if is_behind && !process.is_folding {
            process.is_folding = true;
            let in_ms = self.rng.below(15);
            self.plan(in_ms, Happening::Fold(at, life));
        }
    }

    /// Folds some of the next events that the writer has reported as committed.
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
        let committed = disk.rows.len().min(row_count(process.writer.head().offset));
        let first = row_count(disk.table.checkpoint.offset);
        let last = committed.min(first + most);
        if let Some(rows) = disk.rows.get(first..last) {
            disk.table.fold(rows);
        }
        if last < committed {
            self.fold_soon(at);
        }
    }

    /// One reader asks for frames, perhaps at another replica.
    pub(super) fn read(&mut self, number: usize) {
        let in_ms = self.rng.between(30, 500);
        self.plan(in_ms, Happening::Reader(number));
        let hops = self.rng.permille(150);
        let at = self.rng.index(self.size);
        match self.people.readers[number].mode {
            Mode::Poll => {
                let reader = &mut self.people.readers[number];
                let goes_to = reader.at.filter(|_| !hops).unwrap_or(at);
                reader.at = Some(goes_to);
                self.poll(number, goes_to);
            }
            Mode::Stream => {
                if hops {
                    self.people.readers[number].stream = None;
                }
                if self.people.readers[number].stream.is_none() {
                    self.open_stream(number, at);
                }
                let shares = self.rng.permille(500);
                let stops = self.rng.permille(100);
                self.read_stream(number, shares, stops);
            }
        }
    }

    /// Asks once for changes; returns whether the reader has caught up.
    pub(crate) fn poll(&mut self, number: usize, at: usize) -> bool {
        let replica = &self.replicas[at];
        if !replica.is_serving() || replica.paused_until_ms > self.now_ms {
            return false;
        }
        let (group, limit, delivery) = {
            let reader = &self.people.readers[number];
            (reader.group.clone(), reader.limit, reader.delivery())
        };
        let mut feeds = Feeds::of(self, at);
        let mut progress = Progress::resume(&feeds.disk.table.checkpoint, delivery.clone());
        let mut frames = Vec::new();
        let mut before = None;
        let mut is_last = false;
        while frames.len() < limit && !is_last {
            let step = feeds.read(&group, &mut progress, limit);
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
        self.deliver(number, at, frames, &before);
        if let Some(rest) = rest {
            self.people.readers[number].keep(rest);
            self.compare(number, at, is_ahead);
        }
        is_all
    }

    /// A reader opens a stream with its last cursor.
    pub(crate) fn open_stream(&mut self, number: usize, at: usize) {
        let replica = &self.replicas[at];
        if !replica.is_serving() || replica.paused_until_ms > self.now_ms {
            return;
        }
        let reader = &mut self.people.readers[number];
        let progress = Progress::resume(&replica.disk.table.checkpoint, reader.delivery());
        reader.stream = Some(OpenStream {
            at,
            progress,
            has_backlog: true,
        });
    }

    /// A reader receives the available frames, shared ones or its own, and returns whether it has
    /// caught up. With `stops`, it disconnects between two frames.
    pub(crate) fn read_stream(&mut self, number: usize, shares: bool, stops: bool) -> bool {
        let reader = &mut self.people.readers[number];
        let group = reader.group.clone();
        let Some(mut stream) = reader.stream.take() else {
            return false;
        };
        let at = stream.at;
        let mut feeds = Feeds::of(self, at);
        let progress = &mut stream.progress;
        let has_news = progress.at() < feeds.disk.table.checkpoint.offset;
        let known = progress.delivery();
        let reads = stream.has_backlog || (has_news && (progress.is_ahead() || !shares));
        let mut frames = Vec::new();
        let mut before = known.clone();
        if reads {
            let step = feeds.read(&group, progress, usize::MAX);
            (before, stream.has_backlog, frames) = (step.before, !step.is_last, step.frames);
        } else if has_news {
            frames = feeds.share(&group, progress);
        }
        let is_ahead = progress.is_ahead();
        let is_all = !stream.has_backlog;
        let rest = progress.delivery();
        let (offset, forgets) = (progress.at(), before.delivered != known.delivered);
        if reads {
            self.reads(number, at, forgets, is_ahead);
        }
        if stops && reads && !frames.is_empty() {
            let received = self.rng.index(frames.len());
            frames.truncate(received);
            self.hit(Hit::ReaderStopped);
            self.deliver(number, at, frames, &before);
            return false;
        }
        self.deliver(number, at, frames, &before);
        let reader = &mut self.people.readers[number];
        reader.keep(rest);
        reader.stream = Some(stream);
        self.note(format_args!("reader {number} is at offset {offset}"));
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

    fn deliver(&mut self, number: usize, at: usize, frames: Vec<Frame>, before: &Delivery) {
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
            let outcome = reader.receive(frame, &before);
            before = reader.delivery();
            if let Err(Violation { message, what }) = outcome {
                let id = message.clone();
                // Forked dots are exempt.
                let is_single = self.ledger.rewritten.is_empty();
                if is_single || self.ledger.is_plain(&Subject::Message { id }) {
                    self.violate(|| format!("reader {number} at {}: {what}: {message}", at + 1));
                }
            }
        }
        let received = std::mem::take(&mut self.people.readers[number].received);
        for (dot, kind, about) in received {
            self.note(format_args!(
                "reader {number} receives {kind:?} of {about} by {dot}"
            ));
        }
    }

    /// A reader that has caught up with a replica that lacks nothing it was shown has the replica's
    /// state.
    fn compare(&mut self, number: usize, at: usize, is_ahead: bool) {
        let held = &self.replicas[at].disk.table.checkpoint.vector;
        let is_shown = held.covers_all(&self.people.readers[number].shown);
        if !is_ahead && is_shown && !self.swarm.can_fork() {
            self.hit(Hit::ReaderCompared);
            self.expect_reader(number, at);
        }
    }
}

fn offset(rows: usize) -> i64 {
    i64::try_from(rows).expect("runs are short")
}

pub(super) fn row_count(offset: i64) -> usize {
    usize::try_from(offset).expect("offsets start at 1")
}
