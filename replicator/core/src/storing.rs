//! Events of a peer on their way into the log.
//!
//! An event that the database refuses must not cost the others: the events are cut in two until it
//! stands alone, and it alone is left out. What its origin wrote after it waits, all else is stored
//! (F27).

use std::collections::BTreeSet;
use std::mem;

use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::{Dot, Origin};
use causeway_domain::writing::Absorbed;

/// Keeps what stays true when the same events, or later ones of the same peer, are stored next.
pub(crate) fn lasting(absorbed: Absorbed) -> Absorbed {
    Absorbed {
        forked: absorbed.forked,
        unknown_own: absorbed.unknown_own,
        ..Absorbed::default()
    }
}

/// Events that are being stored, part by part where the log refuses one of them.
#[derive(Debug)]
pub(crate) struct Storing {
    /// What the events name of these origins is not awaited.
    pub orphaned: BTreeSet<Origin>,
    /// The part that the log was given; nothing when it has had everything.
    part: Option<Vec<RawEvent>>,
    /// The parts after it, the next one last.
    later: Vec<Vec<RawEvent>>,
    done: Vec<RawEvent>,
    absorbed: Absorbed,
}

impl Storing {
    pub fn new(events: Vec<RawEvent>, orphaned: BTreeSet<Origin>) -> Self {
        Self {
            orphaned,
            part: Some(events),
            later: Vec::new(),
            done: Vec::new(),
            absorbed: Absorbed::default(),
        }
    }

    /// What the log is to be given now; nothing when it has had everything.
    pub fn part(&self) -> Option<&[RawEvent]> {
        self.part.as_deref()
    }

    /// The log took a part in.
    pub fn absorbed(&mut self, absorbed: Absorbed) {
        self.absorbed = mem::take(&mut self.absorbed).and(absorbed);
        self.finish_part();
    }

    /// The log refuses the part because of one of its events. Returns that event where it stands
    /// alone: it is left out.
    pub fn refused(&mut self) -> Option<Dot> {
        let part = self.part.as_mut()?;
        if part.len() < 2 {
            let left_out = part.first().map(|event| event.envelope.stamp.dot());
            self.finish_part();
            return left_out;
        }
        let later = part.split_off(part.len() / 2);
        self.later.push(later);
        None
    }

    fn finish_part(&mut self) {
        let part = mem::replace(&mut self.part, self.later.pop()).unwrap_or_default();
        if self.done.is_empty() {
            self.done = part;
        } else {
            self.done.extend(part);
        }
    }

    /// What became of all events, and the events.
    pub fn into_absorbed(self) -> (Absorbed, Vec<RawEvent>) {
        (self.absorbed, self.done)
    }
}

#[cfg(test)]
mod tests {
    use crate::orphans::tests::event;

    use super::*;

    #[test]
    fn an_event_that_is_refused_is_found_and_left_out_alone() {
        let events = (1..=5).map(|seq| event(1, seq, &[])).collect();
        let mut storing = Storing::new(events, BTreeSet::new());
        let (mut stored, mut left_out) = (Vec::new(), Vec::new());

        while let Some(part) = storing.part() {
            let seqs: Vec<u64> = part.iter().map(|e| e.envelope.stamp.seq).collect();
            if seqs.contains(&3) {
                left_out.extend(storing.refused().map(|dot| dot.seq));
            } else {
                storing.absorbed(Absorbed {
                    stored: seqs.len(),
                    ..Absorbed::default()
                });
                stored.extend(seqs);
            }
        }

        assert_eq!((stored, left_out), (vec![1, 2, 4, 5], vec![3]));
        let (absorbed, events) = storing.into_absorbed();
        assert_eq!((absorbed.stored, events.len()), (4, 5));
    }
}
