//! Who waits for the writer, and who is next: what people write does not wait behind all that peers
//! send.
//!
//! While people write, a transaction takes one piece of what peers sent; a post that comes in the
//! middle of catching up waits for such a piece, not for the whole backlog; and as long as there is a
//! backlog its pieces leave the database and the cores to the people for three times the time they take.
//! Alone, peers are served as fast as it goes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::envelope::RawEvent;
use crate::writing::Task;

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
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use tokio::sync::{Semaphore, oneshot};

    use super::*;
    use crate::chain::Hash;
    use crate::hlc::Hlc;
    use crate::names::{GroupName, User, UserId};
    use crate::writing::{Action, Command};

    #[tokio::test]
    async fn what_people_write_goes_before_what_peers_sent_and_none_is_left() {
        let (inbox, mut work) = mpsc::channel(100);
        for _ in 0..4 {
            inbox.try_send(piece(PIECE)).ok().unwrap();
        }
        inbox.try_send(local()).ok().unwrap();
        let mut line = Line::default();
        let now = Instant::now();

        assert!(line.fill(&mut work).await);
        assert_eq!(kinds(&line.take(now)), "lp", "one piece beside");
        inbox.try_send(local()).ok().unwrap();
        assert!(line.fill(&mut work).await);
        assert_eq!(kinds(&line.take(now)), "lp");
        assert!(line.fill(&mut work).await);
        assert_eq!(kinds(&line.take(now)), "p", "somebody may write again");
        assert!(line.fill(&mut work).await);
        assert_eq!(kinds(&line.take(now + SHARED)), "p");
        drop(inbox);
        assert!(!line.fill(&mut work).await);
    }

    #[tokio::test]
    async fn peers_alone_are_served_as_fast_as_it_goes() {
        let (inbox, mut work) = mpsc::channel(100);
        let full = ALONE / PIECE;
        for events in [vec![PIECE; full], vec![1, ALONE + 1]].concat() {
            inbox.try_send(piece(events)).ok().unwrap();
        }
        let mut line = Line::default();
        let now = Instant::now();

        assert!(line.fill(&mut work).await);

        assert_eq!(kinds(&line.take(now)), "p".repeat(full));
        assert_eq!(kinds(&line.take(now)), "p");
        assert_eq!(kinds(&line.take(now)), "p", "too large, but there");
    }

    #[test]
    fn pieces_are_whole_and_in_order() {
        for count in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            let Work::Write(Task::Absorb { events, .. }, _) = piece(count) else {
                unreachable!("it is one")
            };
            let pieces = pieces(events);

            assert_eq!(pieces.iter().map(Vec::len).sum::<usize>(), count);
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
            let ids: Vec<_> = pieces.concat().into_iter().map(|e| e.envelope.at).collect();
            assert!(ids.is_sorted());
            assert_eq!(pieces.len(), count.div_ceil(PIECE).max(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_rests_between_its_pieces_while_people_write_and_only_then() {
        let (inbox, mut work) = mpsc::channel(100);
        let mut line = Line::default();
        for sent_at_once in [BACKLOG, BACKLOG, BACKLOG, BACKLOG - 1, BACKLOG] {
            inbox
                .try_send(piece_sent_in(PIECE, sent_at_once))
                .ok()
                .unwrap();
        }
        inbox.try_send(local()).ok().unwrap();
        let took = Duration::from_millis(3);
        let mut next = async |line: &mut Line| {
            assert!(line.fill(&mut work).await);
            let begun = Instant::now();
            let kinds = kinds(&line.take(begun));
            tokio::time::advance(took).await;
            line.written(Instant::now());
            (kinds, begun)
        };

        let (kinds, begun) = next(&mut line).await;
        assert_eq!(kinds, "lp");
        inbox.try_send(local()).ok().unwrap();
        let (kinds, at_once) = next(&mut line).await;
        assert_eq!(
            (kinds.as_str(), at_once),
            ("l", begun + took),
            "people go on"
        );
        inbox.try_send(piece(1)).ok().unwrap();
        let (kinds, rested) = next(&mut line).await;
        assert_eq!((kinds.as_str(), rested), ("p", begun + (1 + RESTS) * took));
        let (_, rested_again) = next(&mut line).await;
        assert_eq!(rested_again, rested + (1 + RESTS) * took);
        let (_, few) = next(&mut line).await;
        assert_eq!(few, rested_again + (1 + RESTS) * took);
        let (_, last) = next(&mut line).await;
        assert_eq!(last, few + took, "few are not rested for");
        tokio::time::advance(SHARED).await;
        let (_, alone) = next(&mut line).await;
        assert_eq!(alone, last + took + SHARED, "nobody writes any more");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_backlog_is_taken_ahead_and_goes_back_to_its_place() {
        let (inbox, mut work) = mpsc::channel(100);
        let mut line = Line::default();
        let full = ALONE / PIECE;
        for sent_at_once in std::iter::repeat_n(BACKLOG, full + 1).chain([1]) {
            let piece = piece_sent_in(PIECE, sent_at_once);
            inbox.try_send(piece).ok().unwrap();
        }
        line.take_in(&mut work);

        let (tasks, askers) = line.take_backlog(Instant::now()).unwrap();
        assert_eq!(tasks.len(), full);
        line.put_back(tasks, askers);
        assert_eq!(line.len(), full + 2);
        let (tasks, _) = line.take_backlog(Instant::now()).unwrap();
        assert_eq!(tasks.len(), full, "as before");
        let (tasks, askers) = line.take_backlog(Instant::now()).unwrap();
        assert_eq!(tasks.len(), 2, "what comes after it goes with it");
        line.put_back(tasks, askers);
        inbox.try_send(local()).ok().unwrap();
        line.take_in(&mut work);
        assert!(line.take_backlog(Instant::now()).is_none(), "people first");
        assert_eq!(kinds(&line.take(Instant::now())), "lp");
        assert!(
            line.take_backlog(Instant::now()).is_none(),
            "somebody writes"
        );
        tokio::time::advance(SHARED).await;
        assert!(line.take_backlog(Instant::now()).is_none(), "no backlog");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_writing_of_people_holds_no_peer_up() {
        let (inbox, mut work) = mpsc::channel(100);
        let mut line = Line::default();
        let raise = Work::Write(
            Task::Raise(Hlc::default()),
            Asker::Raise(oneshot::channel().0),
        );
        inbox.try_send(raise).ok().unwrap();
        for _ in 0..ALONE / PIECE {
            inbox.try_send(piece(PIECE)).ok().unwrap();
        }

        assert!(line.fill(&mut work).await);

        let kinds = kinds(&line.take(Instant::now()));
        assert_eq!(kinds, format!("l{}", "p".repeat(ALONE / PIECE)));
    }

    fn kinds(batch: &[Work]) -> String {
        let kind = |work: &Work| match work {
            Work::Write(Task::Absorb { .. }, _) => 'p',
            _ => 'l',
        };
        batch.iter().map(kind).collect()
    }

    fn local() -> Work {
        let command = Command {
            group: GroupName::parse("lobby").unwrap(),
            action: Action::Join {
                user: User {
                    id: UserId("u".to_owned()),
                    name: "ann".to_owned(),
                },
            },
            above: None,
        };
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Work::Write(
            Task::Submit(Box::new(command)),
            Asker::Submit(oneshot::channel().0, place),
        )
    }

    fn piece(count: usize) -> Work {
        piece_sent_in(count, count)
    }

    fn piece_sent_in(count: usize, sent_at_once: usize) -> Work {
        let event = |at: usize| {
            let text = format!(
                r#"{{"stamp":{{"origin":"1.00000007","seq":1,"hlc":1,"past":{{}}}},"level":1,"aggregate":"post","id":"m","type":"Odd","at":{at},"event":{{}}}}"#
            );
            RawEvent::parse(text.into(), Hash::START).unwrap()
        };
        let task = Task::Absorb {
            events: (0..count).map(event).collect(),
            forked: BTreeSet::new(),
        };
        Work::Write(task, Asker::Absorb(oneshot::channel().0, sent_at_once))
    }
}
