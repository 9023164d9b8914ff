use std::collections::BTreeSet;

use super::super::pace::PAUSE_FACTOR;
use super::*;
use crate::chain::Hash;
use crate::group::GroupCommand;
use crate::hlc::Hlc;
use crate::names::{GroupName, MessageId, User, UserId};
use crate::post::PostCommand;
use crate::text::MessageText;
use crate::writing::{Action, Command};

const NOW: Duration = Duration::from_secs(100);
const BACKLOG: usize = 256;
const SHARED: Duration = Duration::from_secs(1);
const ONE_CHUNK: usize = CHUNK_EVENTS;
const FULL: usize = ALONE_EVENTS / CHUNK_EVENTS;

#[test]
fn what_people_write_goes_before_what_peers_sent_and_none_is_left() {
    let mut queue = queue_of((0..4).map(|_| chunk(ONE_CHUNK)));
    queue.push(local());

    assert_eq!(
        kinds(queue.take(NOW)),
        "lp",
        "one chunk beside the local write"
    );
    queue.push(local());
    assert_eq!(kinds(queue.take(NOW)), "lp");
    assert_eq!(kinds(queue.take(NOW)), "p", "clients still have precedence");
    assert_eq!(kinds(queue.take(NOW + SHARED)), "p");
    assert!(!queue.is_ready(NOW, true));
}

#[test]
fn without_clients_a_transaction_takes_as_many_chunks_as_fit() {
    let sizes = [vec![ONE_CHUNK; FULL], vec![1, ALONE_EVENTS + 1]].concat();
    let mut queue = queue_of(sizes.into_iter().map(chunk));

    assert_eq!(kinds(queue.take(NOW)), "p".repeat(FULL));
    assert_eq!(kinds(queue.take(NOW)), "p");
    assert_eq!(
        kinds(queue.take(NOW)),
        "p",
        "an oversized chunk is taken alone"
    );
}

#[test]
fn chunks_are_whole_and_in_order() {
    for count in [0, 1, ONE_CHUNK, ONE_CHUNK + 1, 3 * ONE_CHUNK] {
        let chunks = chunks(events(count));

        assert_eq!(chunks.iter().map(Vec::len).sum::<usize>(), count);
        assert!(chunks.iter().all(|chunk| chunk.len() <= ONE_CHUNK));
        let ids: Vec<_> = chunks.concat().into_iter().map(|e| e.envelope.at).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids.len().div_ceil(ONE_CHUNK).max(1), chunks.len());
    }
}

#[test]
fn a_backlog_pauses_between_its_chunks_while_people_write_and_only_then() {
    let sent_at_once = [BACKLOG, BACKLOG, BACKLOG, BACKLOG - 1, BACKLOG];
    let mut queue = queue_of(sent_at_once.map(|sent| chunk_sent_in(ONE_CHUNK, sent)));
    queue.push(local());
    let took = Duration::from_millis(3);
    let mut now = NOW;
    let mut next = |queue: &mut Queue<()>| {
        if let Some(end) = queue.wakes_at() {
            assert!(!queue.is_ready(now, false));
            now = end;
        }
        assert!(queue.is_ready(now, false));
        let begun = now;
        let kinds = kinds(queue.take(now));
        now += took;
        queue.written(now);
        (kinds, begun)
    };

    assert_eq!(next(&mut queue), ("lp".to_owned(), NOW));
    queue.push(local());
    let second = NOW + took;
    assert_eq!(next(&mut queue), ("l".to_owned(), second));
    queue.push(chunk(1));
    let paused = NOW + (1 + PAUSE_FACTOR) * took;
    assert_eq!(next(&mut queue), ("p".to_owned(), paused));
    let paused_again = paused + (1 + PAUSE_FACTOR) * took;
    assert_eq!(next(&mut queue).1, paused_again);
    let few = paused_again + (1 + PAUSE_FACTOR) * took;
    assert_eq!(next(&mut queue).1, few);
    assert_eq!(
        next(&mut queue).1,
        few + took,
        "no pause after live traffic"
    );
}

#[test]
fn a_pause_ends_when_the_queue_is_closed() {
    let mut queue = queue_of([local(), chunk(BACKLOG), chunk(BACKLOG)]);
    queue.take(NOW);
    queue.written(NOW + Duration::from_millis(1));

    assert!(!queue.is_ready(NOW, false));
    assert!(queue.is_ready(NOW, true));
}

#[test]
fn only_a_backlog_is_taken_alone_and_returns_to_its_place() {
    let sent_at_once = std::iter::repeat_n(BACKLOG, FULL + 1).chain([1]);
    let mut queue = queue_of(sent_at_once.map(|sent| chunk_sent_in(ONE_CHUNK, sent)));

    let batch = queue.take_backlog(NOW).unwrap();
    assert_eq!(batch.tasks.len(), FULL);
    queue.put_back(batch);
    assert_eq!(queue.len(), FULL + 2);
    assert_eq!(queue.take_backlog(NOW).unwrap().tasks.len(), FULL, "again");
    let rest = queue.take_backlog(NOW).unwrap();
    assert_eq!(rest.tasks.len(), 2, "the next chunk fits too");
    queue.put_back(rest);
    queue.push(local());
    assert!(queue.take_backlog(NOW).is_none(), "local work precedes it");
    assert_eq!(kinds(queue.take(NOW)), "lp");
    assert!(queue.take_backlog(NOW).is_none(), "clients have precedence");
    assert!(
        queue.take_backlog(NOW + SHARED).is_none(),
        "the next chunk is no backlog"
    );
}

#[test]
fn local_work_other_than_commands_does_not_limit_peers() {
    let raise = Work::Write {
        task: Task::Raise(Hlc::default()),
        reply: (),
        sent_at_once: 0,
    };
    let mut queue = queue_of(
        [raise]
            .into_iter()
            .chain((0..FULL).map(|_| chunk(ONE_CHUNK))),
    );

    assert_eq!(kinds(queue.take(NOW)), format!("l{}", "p".repeat(FULL)));
}

#[test]
fn a_user_alone_fills_a_batch_and_others_get_one_turn_each() {
    let quantum = usize::try_from(Pacing::default().quantum).unwrap();
    let mut queue = queue_of((0..64).map(|_| local_of("flooder")));
    assert_eq!(kinds(queue.take(NOW)).len(), 64, "alone");

    for _ in 0..64 {
        queue.push(local_of("flooder"));
    }
    queue.push(local_of("calm"));
    assert_eq!(kinds(queue.take(NOW)).len(), quantum + 1);
    let later = NOW + Duration::from_millis(900);
    assert_eq!(kinds(queue.take(later)).len(), quantum, "still contended");
    let later = later + Duration::from_secs(1);
    assert_eq!(kinds(queue.take(later)).len(), 64 - 2 * quantum);
    assert!(queue.is_empty());
}

#[test]
fn a_long_text_counts_as_several_rows() {
    let mut queue = queue_of((0..8).map(|_| long_of("flooder")));
    queue.push(local_of("calm"));

    assert_eq!(kinds(queue.take(NOW)).len(), 1 + 16 / 5);
}

/// Clients write 80 times a second here, and 400 events a second come in, while a transaction takes
/// 8 ms and 1 ms more for each 16 events, as on a busy machine.
#[test]
fn a_backlog_shrinks_ten_times_as_fast_as_events_come_in_and_clients_do_not_wait_long() {
    let inflow = 400;
    for (backlog, longest_ms) in [(Backlog::AtLeast(10 * inflow), 60), (Backlog::First, 100)] {
        let mut queue = queue_of([]);
        queue.set_conditions(Conditions {
            backlog,
            ..Conditions::default()
        });
        let (mut stored, mut now, mut posted_at) = (0, NOW, NOW);
        let mut longest = Duration::ZERO;
        let mut oldest = None;
        let end = NOW + Duration::from_secs(10);
        while now < end {
            while posted_at <= now {
                queue.push(local());
                oldest = oldest.or(Some(posted_at));
                posted_at += Duration::from_micros(12_500);
            }
            while queue.room() > MAX_TASKS / 2 {
                queue.push(chunk_sent_in(ONE_CHUNK, BACKLOG));
            }
            if !queue.is_ready(now, false) {
                now = queue.wakes_at().unwrap().min(posted_at);
                continue;
            }
            let taken = kinds(queue.take(now));
            let events = taken.matches('p').count() * ONE_CHUNK;
            now += Duration::from_millis(8 + u64::try_from(events / 16).unwrap());
            if taken.contains('l') {
                longest = longest.max(now.saturating_sub(oldest.take().unwrap()));
            }
            queue.written(now);
            stored += events;
        }

        assert!(stored >= 38_000, "{backlog:?}: {stored}");
        assert!(longest.as_millis() < longest_ms, "{backlog:?}: {longest:?}");
    }
}

#[test]
fn a_replica_that_is_not_ready_stores_a_backlog_as_if_no_client_wrote() {
    let mut queue = queue_of((0..2 * FULL).map(|_| chunk(BACKLOG)));
    queue.set_conditions(Conditions {
        backlog: Backlog::First,
        ..Conditions::default()
    });
    queue.push(local());

    assert_eq!(kinds(queue.take(NOW)), format!("l{}", "p".repeat(2)));
    queue.written(NOW + Duration::from_millis(9));
    assert!(
        queue.is_ready(NOW + Duration::from_millis(9), false),
        "no pause"
    );
    queue.set_conditions(Conditions::default());
    assert_eq!(kinds(queue.take(NOW + Duration::from_millis(9))), "p");
}

#[test]
fn commands_wait_after_a_transaction_while_readers_are_behind_and_peers_do_not() {
    let behind = |lag_ms| Conditions {
        lag: Duration::from_millis(lag_ms),
        max_lag: Duration::from_secs(1),
        ..Conditions::default()
    };
    let mut queue = queue_of([local()]);
    queue.set_conditions(behind(625));
    assert!(queue.is_ready(NOW, false), "the first one does not wait");
    assert_eq!(kinds(queue.take(NOW)), "l");
    queue.written(NOW);

    let end = NOW + Duration::from_millis(125);
    queue.push(local());
    assert!(!queue.is_ready(NOW, false));
    assert_eq!(queue.wakes_at(), Some(end));
    queue.push(chunk(1));
    assert!(queue.is_ready(NOW, false));
    assert_eq!(kinds(queue.take(NOW)), "p");
    queue.written(NOW + SHARED / 20);
    assert_eq!(queue.wakes_at(), Some(end), "a chunk does not prolong it");
    assert!(queue.is_ready(end, false));
    assert_eq!(kinds(queue.take(end)), "l");
    queue.written(end);
    queue.push(local());
    assert!(queue.is_ready(end, true), "no wait before the end");

    queue.set_conditions(behind(100));
    assert_eq!(kinds(queue.take(end)), "l");
    queue.written(end);
    queue.push(local());
    assert!(queue.is_ready(end, false), "readers keep up");
}

#[test]
fn a_post_waits_no_longer_than_the_longest_wait_however_far_readers_are_behind() {
    let mut queue = queue_of([local()]);
    queue.set_conditions(Conditions {
        lag: Duration::from_secs(1_000_000),
        max_lag: Duration::from_millis(1),
        ..Conditions::default()
    });
    queue.take(NOW);
    queue.written(NOW);
    queue.push(local());

    assert!(queue.is_ready(NOW + throttle::LONGEST, false));
    assert_eq!(kinds(queue.take(NOW + throttle::LONGEST)), "l");
}

fn queue_of(works: impl IntoIterator<Item = Work<()>>) -> Queue<()> {
    let mut queue = Queue::new(Pacing::default());
    works.into_iter().for_each(|work| queue.push(work));
    queue
}

fn kinds(taken: Taken<()>) -> String {
    let kind = |(task, _): (Task, Waiter<()>)| match task {
        Task::Absorb { .. } => 'p',
        _ => 'l',
    };
    taken.batch.into_tasks().map(kind).collect()
}

fn local() -> Work<()> {
    local_of("u")
}

fn local_of(user: &str) -> Work<()> {
    let user = user_of(user);
    command(Action::Group(GroupCommand::Join { user }))
}

/// A post of a text that costs as much as four rows, and its own row.
fn long_of(user: &str) -> Work<()> {
    let post = PostCommand::Post {
        author: user_of(user),
        text: MessageText::parse(&"x".repeat(4_096), 8_192).unwrap(),
        sent_at_ms: None,
        key: None,
    };
    command(Action::Post(MessageId("m".to_owned()), post))
}

fn user_of(id: &str) -> User {
    User {
        id: UserId(id.to_owned()),
        name: "ann".to_owned(),
    }
}

fn command(action: Action) -> Work<()> {
    let command = Command {
        group: GroupName::parse("lobby").unwrap(),
        action,
        above: None,
    };
    Work::Write {
        task: Task::Submit(Box::new(command)),
        reply: (),
        sent_at_once: 0,
    }
}

fn chunk(count: usize) -> Work<()> {
    chunk_sent_in(count, count)
}

fn chunk_sent_in(count: usize, sent_at_once: usize) -> Work<()> {
    let task = Task::Absorb {
        events: events(count),
        forked: BTreeSet::new(),
    };
    Work::Write {
        task,
        reply: (),
        sent_at_once,
    }
}

fn events(count: usize) -> Vec<RawEvent> {
    let event = |at: usize| {
        let text = format!(
            r#"{{"stamp":{{"origin":"1.00000007","seq":1,"hlc":1,"past":{{}}}},"level":1,"aggregate":"post","id":"m","type":"Odd","at":{at},"event":{{}}}}"#
        );
        RawEvent::parse(text.into(), Hash::START).unwrap()
    };
    (0..count).map(event).collect()
}
