use std::collections::BTreeSet;
use std::sync::Arc;

use causeway_domain::chain::Hash;
use causeway_domain::group::GroupCommand;
use causeway_domain::hlc::Hlc;
use causeway_domain::names::{GroupName, User, UserId};
use causeway_domain::writing::{Action, Command};
use tokio::sync::{Semaphore, oneshot};

use super::*;

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
        action: Action::Group(GroupCommand::Join {
            user: User {
                id: UserId("u".to_owned()),
                name: "ann".to_owned(),
            },
        }),
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
