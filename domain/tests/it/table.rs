//! The read model's tables in memory: what `timelines` does with SQL, so that folds can be tried
//! by the thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use causeway_domain::envelope::RawEvent;
use causeway_domain::register::Register;
use causeway_domain::timeline::{
    Checkpoint, Declaration, Fact, FeedEntry, Former, Needs, Search, Step,
};
use causeway_domain::version_vector::VersionVector;

use crate::expected::{Pair, Seen};

/// The tables of one replica.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub seen: Seen,
    pub feed: Vec<FeedEntry>,
    /// Vectors of the log, by arrival.
    pub vectors: Vec<(i64, VersionVector)>,
    checkpoint: Arc<Checkpoint>,
}

impl Table {
    /// Folds events in, as one step.
    pub fn take(&mut self, events: &[RawEvent]) {
        let mut facts = Vec::new();
        let checkpoint = Arc::make_mut(&mut self.checkpoint);
        let mut vectors = Vec::new();
        for event in events {
            let arrival = checkpoint.arrival + 1;
            vectors.extend(checkpoint.advance(arrival, &event.envelope.stamp));
            facts.extend(Fact::read(arrival, event).unwrap());
        }
        let mut step = self.load(&Needs::of(&facts));
        step.vectors = vectors;
        for fact in facts {
            step.fold(fact);
        }
        self.store(step);
    }

    /// Folds events in, in steps of the given sizes over and over.
    pub fn take_in_steps(&mut self, mut events: &[RawEvent], sizes: &[usize]) {
        let mut sizes = sizes.iter().copied().cycle();
        while !events.is_empty() {
            let size = sizes.next().unwrap_or(1).clamp(1, events.len());
            let (now, later) = events.split_at(size);
            self.take(now);
            events = later;
        }
    }

    /// How far it has followed.
    pub fn checkpoint(&self) -> Arc<Checkpoint> {
        self.checkpoint.clone()
    }

    /// The entries that came after a place in the log.
    pub fn after(&self, arrival: i64) -> &[FeedEntry] {
        let first = self.feed.partition_point(|entry| entry.arrival <= arrival);
        &self.feed[first..]
    }

    /// The place in the log before the first entry that a search is for, and that of the last one
    /// that was delivered.
    pub fn search(&self, search: &Search) -> (i64, i64) {
        let lacks = |entry: &&FeedEntry| !search.beyond.covers(entry.position.dot());
        let has = |entry: &&FeedEntry| search.within.covers(entry.position.dot());
        let first = self.feed.iter().find(lacks);
        let last = self.feed.iter().rev().find(has);
        (
            first.map_or(self.checkpoint.arrival, |entry| entry.arrival - 1),
            last.map_or(0, |entry| entry.arrival),
        )
    }

    fn load(&self, needs: &Needs) -> Step {
        let messages = self.seen.messages.iter();
        Step {
            former: messages
                .filter(|(id, _)| needs.messages.contains(*id))
                .map(|(id, message)| {
                    let former = Former {
                        position: message.position,
                        likes_count: message.likes_count,
                    };
                    (id.clone(), former)
                })
                .collect(),
            likes: only(&self.seen.likes, &needs.likes),
            members: only(&self.seen.members, &needs.members),
            ..Step::default()
        }
    }

    fn store(&mut self, step: Step) {
        self.seen.messages.extend(step.messages);
        for (id, count) in step.likes_counts {
            self.seen.messages.get_mut(&id).unwrap().likes_count = count;
        }
        self.seen
            .likes
            .extend(only(&step.likes, &step.changed_likes));
        self.seen
            .members
            .extend(only(&step.members, &step.changed_members));
        for (group, by) in step.growth {
            *self.seen.groups.entry(group.to_string()).or_default() += by;
        }
        self.feed.extend(step.feed);
        self.vectors.extend(step.vectors);
    }
}

fn only(
    of: &BTreeMap<Pair, Register<Declaration>>,
    wanted: &BTreeSet<Pair>,
) -> BTreeMap<Pair, Register<Declaration>> {
    let of = of.iter().filter(|(pair, _)| wanted.contains(pair));
    of.map(|(pair, register)| (pair.clone(), register.clone()))
        .collect()
}
