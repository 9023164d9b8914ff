//! Who waits for the writer, and who is next: what people write does not wait behind all that peers
//! send.
//!
//! While people write, a transaction takes one piece of what peers sent; a post that comes in the
//! middle of catching up waits for such a piece, not for the whole backlog; and as long as there is a
//! backlog its pieces leave the database and the cores to the people for three times the time they take.
//! Alone, peers are served as fast as it goes.

use std::collections::VecDeque;
use std::time::Duration;

use causeway_domain::envelope::RawEvent;
use causeway_domain::writing::Task;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Asker, Work};

/// Most pieces of work in one transaction.
const BATCH: usize = 512;
/// Most events of peers in one transaction while nobody else writes.
const ALONE: usize = 512;
/// Most events of peers that are one piece of work: some milliseconds for Postgres.
const PIECE: usize = 64;
/// How long after somebody wrote peers are served piece by piece.
const SHARED: Duration = Duration::from_secs(1);
/// So many events that a peer sends at once are of a backlog: what comes while all write is less.
const BACKLOG: usize = 256;
/// How many times as long as its transaction took a piece of a backlog is rested for. Without, the p99
/// of a post while 100,000 events were caught up with was 18 ms in place of 7, on two cores; with twice the time it was three times
/// that of quiet hours.
const RESTS: u32 = 3;
/// Most of one rest: a database that hardly answers has other reasons.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// What has come and is not written yet.
#[derive(Default)]
pub(super) struct Line {
    locals: VecDeque<Work>,
    pieces: VecDeque<Piece>,
    written_at: Option<Instant>,
    /// Since when a piece of a backlog is being written.
    piece_since: Option<Instant>,
    /// Until when pieces wait.
    rests_until: Option<Instant>,
}

/// A part of what a peer sent.
struct Piece {
    work: Work,
    events: usize,
    is_of_backlog: bool,
}

impl Piece {
    fn new(work: Work, sent_at_once: usize) -> Self {
        let events = match &work {
            Work::Write(Task::Absorb { events, .. }, _) => events.len(),
            _ => 0,
        };
        Self {
            work,
            events,
            is_of_backlog: sent_at_once >= BACKLOG,
        }
    }
}

impl Line {
    /// Waits for work; takes in what else has come. Tells whether there is any: none comes any more
    /// otherwise.
    pub async fn fill(&mut self, inbox: &mut mpsc::Receiver<Work>) -> bool {
        let mut come = Vec::new();
        if self.is_empty() && inbox.recv_many(&mut come, BATCH).await == 0 {
            return false;
        }
        self.line_up(come.drain(..));
        while let Some(end) = self.rests_until
            && self.locals.is_empty()
            && self.len() < BATCH
        {
            let coming = inbox.recv_many(&mut come, BATCH - self.len());
            if !matches!(timeout_at(end, coming).await, Ok(1..)) {
                // It has rested, or nothing comes any more.
                self.rests_until = None;
            }
            self.line_up(come.drain(..));
        }
        self.take_in(inbox);
        true
    }

    /// Takes in what has come.
    pub fn take_in(&mut self, inbox: &mut mpsc::Receiver<Work>) {
        while self.len() < BATCH
            && let Ok(work) = inbox.try_recv()
        {
            self.line_up([work]);
        }
    }

    fn line_up(&mut self, come: impl IntoIterator<Item = Work>) {
        for work in come {
            match sent_at_once(&work) {
                Some(sent_at_once) => self.pieces.push_back(Piece::new(work, sent_at_once)),
                None => self.locals.push_back(work),
            }
        }
    }

    /// Takes what the next transaction writes.
    pub fn take(&mut self, now: Instant) -> Vec<Work> {
        let count = self.locals.len().min(BATCH);
        let mut batch: Vec<Work> = self.locals.drain(..count).collect();
        if batch.iter().any(is_from_people) {
            self.written_at = Some(now);
        }
        let is_resting = self.rests_until.is_some_and(|end| now < end);
        if is_resting && !batch.is_empty() {
            return batch;
        }
        let is_shared = self.is_shared(now);
        self.rests_until = None;
        let room = if is_shared { PIECE } else { ALONE };
        for piece in self.take_pieces(room) {
            if is_shared && piece.is_of_backlog {
                self.piece_since = Some(now);
            }
            batch.push(piece.work);
        }
        batch
    }

    /// Takes what the next transaction writes if that is a peer's backlog and nothing else.
    pub fn take_backlog(&mut self, now: Instant) -> Option<(Vec<Task>, Vec<Asker>)> {
        let is_next = self.pieces.front().is_some_and(|piece| piece.is_of_backlog);
        if !is_next || !self.is_of_peers_alone(now) {
            return None;
        }
        let (mut tasks, mut askers) = (Vec::new(), Vec::new());
        for piece in self.take_pieces(ALONE) {
            if let Work::Write(task, asker) = piece.work {
                tasks.push(task);
                askers.push(asker);
            }
        }
        Some((tasks, askers))
    }

    /// Puts what was taken so in its old place.
    pub fn put_back(&mut self, tasks: Vec<Task>, askers: Vec<Asker>) {
        let works = tasks.into_iter().zip(askers).rev();
        for (task, asker) in works {
            let work = Work::Write(task, asker);
            let sent_at_once = sent_at_once(&work).unwrap_or(0);
            self.pieces.push_front(Piece::new(work, sent_at_once));
        }
    }

    /// Tells whether peers alone write now.
    pub fn is_of_peers_alone(&self, now: Instant) -> bool {
        self.locals.is_empty() && self.rests_until.is_none() && !self.is_shared(now)
    }

    fn is_shared(&self, now: Instant) -> bool {
        self.written_at.is_some_and(|at| now - at < SHARED)
    }

    fn take_pieces(&mut self, mut room: usize) -> Vec<Piece> {
        let mut taken = Vec::new();
        while let Some(piece) = self.pieces.pop_front() {
            if piece.events > room && !taken.is_empty() {
                self.pieces.push_front(piece);
                break;
            }
            room = room.saturating_sub(piece.events);
            taken.push(piece);
        }
        taken
    }

    /// Is told when what was taken is written.
    pub fn written(&mut self, now: Instant) {
        if let Some(since) = self.piece_since.take() {
            self.rests_until = Some(now + (RESTS * (now - since)).min(LONGEST_REST));
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.locals.len() + self.pieces.len()
    }
}

/// With how many events a peer sent a piece; nothing where it is no piece.
fn sent_at_once(work: &Work) -> Option<usize> {
    match work {
        Work::Write(Task::Absorb { .. }, Asker::Absorb(_, sent_at_once)) => Some(*sent_at_once),
        _ => None,
    }
}

fn is_from_people(work: &Work) -> bool {
    matches!(work, Work::Write(Task::Submit(_), _))
}

/// Cuts what a peer sent into pieces that are written one after the other; at least one.
pub(in crate::log) fn pieces(mut events: Vec<RawEvent>) -> Vec<Vec<RawEvent>> {
    let mut pieces = Vec::new();
    while events.len() > PIECE {
        let rest = events.split_off(PIECE);
        pieces.push(std::mem::replace(&mut events, rest));
    }
    pieces.push(events);
    pieces
}

#[cfg(test)]
mod tests;
