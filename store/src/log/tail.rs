//! A cache of the newest committed events. Readers near the end of the log are served from here and
//! not from Postgres.
//!
//! Every event is also in the table. A read is served only if the cache holds the whole answer; any
//! other read goes to the table.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use causeway_domain::envelope::RawEvent;
use causeway_domain::version_vector::Range;
use causeway_domain::writing::NewRow;

/// Maximum cached events.
const EVENTS: usize = 4_096;
/// Maximum cached bytes, unless the newest event alone is larger.
const BYTES: usize = 1 << 20;

/// An event with its numbers in this database.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Its offset in this log.
    pub offset: i64,
    /// Its sequence among the events of its aggregate, in this log.
    pub sequence: i64,
    /// The event.
    pub event: RawEvent,
}

impl From<NewRow> for Stored {
    fn from(row: NewRow) -> Self {
        Self {
            offset: row.offset,
            sequence: row.sequence,
            event: row.event,
        }
    }
}

/// The end of the log. Its offsets are contiguous.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    events: VecDeque<Stored>,
    bytes: usize,
}

impl Tail {
    /// Adds events that were just committed, in the order of the log.
    pub fn push(&self, committed: impl IntoIterator<Item = Stored>) {
        let mut window = self.window();
        for stored in committed {
            let next = window.events.back().map(|last| last.offset + 1);
            if next.is_some_and(|next| next != stored.offset) {
                *window = Window::default();
            }
            window.bytes += stored.event.bytes.len();
            window.events.push_back(stored);
        }
        while window.events.len() > EVENTS || window.bytes > BYTES && window.events.len() > 1 {
            if let Some(oldest) = window.events.pop_front() {
                window.bytes -= oldest.event.bytes.len();
            }
        }
    }

    /// Returns the events above an offset, at most `limit`; `None` if the first of them is not
    /// cached any more or not yet.
    pub fn after(&self, offset: i64, limit: usize) -> Option<Vec<Stored>> {
        let window = self.window();
        let skipped = usize::try_from(offset + 1 - window.events.front()?.offset).ok()?;
        let wanted = window.events.iter().skip(skipped).take(limit);
        let events: Vec<Stored> = wanted.cloned().collect();
        (!events.is_empty()).then_some(events)
    }

    /// Returns ranges of origins in the order of the log: at most `limit` events, and at most
    /// `max_bytes` unless the first alone is larger. `None` unless the ranges are cached
    /// completely.
    pub fn ranges(
        &self,
        ranges: &[Range],
        limit: usize,
        max_bytes: usize,
    ) -> Option<Vec<RawEvent>> {
        let wanted = ranges.iter().map(Range::count).fold(0, u64::saturating_add);
        let wanted = usize::try_from(wanted).ok()?;
        let window = self.window();
        if wanted > window.events.len() {
            return None;
        }
        let is_wanted = |stored: &&Stored| {
            let dot = stored.event.envelope.stamp.dot();
            ranges.iter().any(|range| range.holds(dot))
        };
        // From the end: most reads are for the last event.
        let newest_first = window.events.iter().rev().filter(is_wanted).take(wanted);
        let found: Vec<&Stored> = newest_first.collect();
        if found.len() < wanted {
            return None;
        }
        let mut bytes = 0;
        let in_order = found.into_iter().rev().map(|stored| &stored.event);
        let fitting = in_order.take(limit).enumerate().take_while(|(at, event)| {
            bytes += event.bytes.len();
            *at == 0 || bytes <= max_bytes
        });
        Some(fitting.map(|(_, event)| event.clone()).collect())
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        // A panic under the lock can at worst lose the newest event.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use causeway_domain::chain::Hash;
    use causeway_domain::ids::{Epoch, Origin, ReplicaId};
    use causeway_domain::version_vector::VersionVector;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_answers_what_the_whole_log_would_answer_or_nothing(
            origins in proptest::collection::vec(1_u16..4, 1..40),
            sizes in proptest::collection::vec(1_usize..9, 1..9),
            from in 0_usize..40,
            held in proptest::collection::vec(0_u64..20, 3),
            (limit, max_bytes) in (1_usize..9, 1_usize..2_000),
        ) {
            let log = log_of(&origins);
            let tail = Tail::default();
            let mut sizes = sizes.into_iter().cycle();
            // The cache may begin in the middle of the log.
            let mut rest = &log[from.min(log.len())..];
            while !rest.is_empty() {
                let (batch, later) = rest.split_at(sizes.next().unwrap().min(rest.len()));
                tail.push(batch.to_vec());
                rest = later;
            }

            for offset in 0..=log.len() {
                let all = log.iter().skip(offset).take(limit);
                let all: Vec<i64> = all.map(|stored| stored.offset).collect();
                let answer = tail.after(i64::try_from(offset).unwrap(), limit);
                let is_held = offset >= from && offset < log.len();
                prop_assert_eq!(answer.is_some(), is_held);
                if let Some(answer) = answer {
                    let answer: Vec<i64> = answer.iter().map(|stored| stored.offset).collect();
                    prop_assert_eq!(answer, all);
                }
            }
            let head: VersionVector = log.last().unwrap().event.envelope.stamp.vector();
            let held: VersionVector = (1..).map(origin).zip(held).collect();
            let lacking = head.beyond(&held);
            let all = log.iter().filter(|s| !held.covers(s.event.envelope.stamp.dot()));
            let is_held = all.clone().all(|stored| usize::try_from(stored.offset).unwrap() > from);
            let mut bytes = 0;
            let all: Vec<String> = all
                .map(|stored| stored.event.bytes.to_string())
                .enumerate()
                .take(limit)
                .take_while(|(at, text)| { bytes += text.len(); *at == 0 || bytes <= max_bytes })
                .map(|(_, text)| text)
                .collect();
            let answer = tail.ranges(&lacking, limit, max_bytes);
            prop_assert_eq!(answer.is_some(), is_held);
            if let Some(answer) = answer {
                let answer: Vec<String> = answer.iter().map(|e| e.bytes.to_string()).collect();
                prop_assert_eq!(answer, all);
            }
        }
    }

    #[test]
    fn it_keeps_its_bounds_and_the_newest_event_however_large() {
        let tail = Tail::default();
        let many = log_of(&vec![1; EVENTS + 10]);

        tail.push(many);
        let bytes = {
            let window = tail.window();
            assert!(window.events.len() <= EVENTS && window.bytes <= BYTES);
            window.bytes
        };
        assert!(bytes > 0);
        assert!(tail.after(0, 1).is_none(), "the oldest events are evicted");

        let mut large = log_of(&vec![1; EVENTS + 11]).pop().unwrap();
        large.event.bytes = "x".repeat(BYTES + 1).into();
        let before = large.offset - 1;
        tail.push(vec![large]);
        assert_eq!(tail.after(before, 9).map(|events| events.len()), Some(1));
        assert_eq!(tail.window().events.len(), 1);
    }

    #[test]
    fn it_forgets_what_a_gap_separates() {
        let tail = Tail::default();
        let log = log_of(&[1, 1, 1, 1]);

        tail.push(log[..2].to_vec());
        tail.push(log[3..].to_vec());

        assert!(tail.after(0, 9).is_none());
        assert!(tail.after(2, 9).is_none());
        assert_eq!(tail.after(3, 9).map(|events| events.len()), Some(1));
    }

    fn origin(replica: u16) -> Origin {
        Origin {
            replica: ReplicaId::new(replica).unwrap(),
            epoch: Epoch(7),
        }
    }

    /// A log of events of these replicas, each with all earlier events in its past.
    fn log_of(replicas: &[u16]) -> Vec<Stored> {
        let mut held = VersionVector::default();
        let mut log = Vec::new();
        for (&replica, offset) in replicas.iter().zip(1..) {
            let origin = origin(replica);
            let seq = held.get(origin) + 1;
            let past = serde_json::to_string(&held).unwrap();
            let text = format!(
                r#"{{"stamp":{{"origin":"{origin}","seq":{seq},"hlc":{offset},"past":{past}}},"level":1,"aggregate":"post","id":"m","type":"Odd","at":0,"event":{{}}}}"#
            );
            let event = RawEvent::parse(text.into(), Hash::START).unwrap();
            held.record(event.envelope.stamp.dot());
            log.push(Stored {
                offset,
                sequence: offset,
                event,
            });
        }
        log
    }
}
