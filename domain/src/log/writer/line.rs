//! Who waits for the writer, and who is next: what people write does not wait behind all that peers
//! send.
//!
//! While people write, a transaction takes one piece of what peers sent; a post that comes in the
//! middle of catching up waits for such a piece, not for the whole backlog. Alone, peers are served as
//! fast as it goes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::envelope::RawEvent;
use crate::writing::Task;

use super::Work;

/// Most pieces of work in one transaction.
const BATCH: usize = 512;
/// Most events of peers in one transaction while nobody else writes.
const ALONE: usize = 512;
/// Most events of peers that are one piece of work: some milliseconds for Postgres.
const PIECE: usize = 64;
/// How long after somebody wrote peers are served piece by piece.
const SHARED: Duration = Duration::from_secs(1);

/// What has come and is not written yet.
#[derive(Default)]
pub(super) struct Line {
    locals: VecDeque<Work>,
    /// What peers sent, with the number of events.
    pieces: VecDeque<(Work, usize)>,
    written_at: Option<Instant>,
}

impl Line {
    /// Waits for work; takes in what else has come. Tells whether there is any: none comes any more
    /// otherwise.
    pub async fn fill(&mut self, inbox: &mut mpsc::Receiver<Work>) -> bool {
        let mut come = Vec::new();
        if self.is_empty() && inbox.recv_many(&mut come, BATCH).await == 0 {
            return false;
        }
        while come.len() + self.len() < BATCH
            && let Ok(work) = inbox.try_recv()
        {
            come.push(work);
        }
        for work in come {
            match &work {
                Work::Write(Task::Absorb { events, .. }, _) => {
                    let count = events.len();
                    self.pieces.push_back((work, count));
                }
                _ => self.locals.push_back(work),
            }
        }
        true
    }

    /// Takes what the next transaction writes.
    pub fn take(&mut self, now: Instant) -> Vec<Work> {
        let count = self.locals.len().min(BATCH);
        let mut batch: Vec<Work> = self.locals.drain(..count).collect();
        if !batch.is_empty() {
            self.written_at = Some(now);
        }
        let is_shared = self.written_at.is_some_and(|at| now - at < SHARED);
        let mut room = if is_shared { PIECE } else { ALONE };
        let mut is_first = true;
        while let Some((work, events)) = self.pieces.pop_front() {
            if events > room && !is_first {
                self.pieces.push_front((work, events));
                break;
            }
            is_first = false;
            room = room.saturating_sub(events);
            batch.push(work);
        }
        batch
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.locals.len() + self.pieces.len()
    }
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

    use tokio::sync::oneshot;

    use super::*;
    use crate::chain::Hash;
    use crate::hlc::Hlc;
    use crate::log::Asker;

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

    fn kinds(batch: &[Work]) -> String {
        let kind = |work: &Work| match work {
            Work::Write(Task::Absorb { .. }, _) => 'p',
            _ => 'l',
        };
        batch.iter().map(kind).collect()
    }

    fn local() -> Work {
        Work::Write(
            Task::Raise(Hlc::default()),
            Asker::Raise(oneshot::channel().0),
        )
    }

    fn piece(count: usize) -> Work {
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
        Work::Write(task, Asker::Absorb(oneshot::channel().0))
    }
}
