//! The read model's tables in memory. They replace the SQL of `timelines`, so that a test can run
//! thousands of folds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use causeway_domain::envelope::RawEvent;
use causeway_domain::register::Register;
use causeway_domain::timeline::{
    Checkpoint, Declaration, Fact, FeedEntry, Former, Needs, Search, Step,
};
use causeway_domain::version_vector::VersionVector;

use crate::expected::{Pair, ReadModel};

/// The tables of one replica.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub model: ReadModel,
    pub feed: Vec<FeedEntry>,
    /// Stored vectors of the log, by offset.
    pub vectors: Vec<(i64, VersionVector)>,
    checkpoint: Arc<Checkpoint>,
}

impl Table {
    /// Folds events, as one step.
    pub fn fold_step(&mut self, events: &[RawEvent]) {
        let mut facts = Vec::new();
        let checkpoint = Arc::make_mut(&mut self.checkpoint);
        let mut vectors = Vec::new();
        for event in events {
            let offset = checkpoint.offset + 1;
            vectors.extend(checkpoint.advance(offset, &event.envelope.stamp));
            facts.extend(Fact::read(offset, event).unwrap());
        }
        let mut step = self.load(&Needs::of(&facts));
        step.vectors = vectors;
        for fact in facts {
            step.fold(fact);
        }
        self.store(step);
    }

    /// Folds events in steps whose sizes cycle through the given ones.
    pub fn fold_in_steps(&mut self, mut events: &[RawEvent], sizes: &[usize]) {
        let mut sizes = sizes.iter().copied().cycle();
        while !events.is_empty() {
            let size = sizes.next().unwrap_or(1).clamp(1, events.len());
            let (now, later) = events.split_at(size);
            self.fold_step(now);
            events = later;
        }
    }

    /// The checkpoint of the projection.
    pub fn checkpoint(&self) -> Arc<Checkpoint> {
        self.checkpoint.clone()
    }

    /// The entries after an offset.
    pub fn after(&self, offset: i64) -> &[FeedEntry] {
        let first = self.feed.partition_point(|entry| entry.offset <= offset);
        &self.feed[first..]
    }

    /// Runs a search. Returns the offset before the first entry to read, and the offset of the last
    /// delivered entry.
    pub fn search(&self, search: &Search) -> (i64, i64) {
        let lacks = |entry: &&FeedEntry| !search.beyond.covers(entry.position.dot());
        let has = |entry: &&FeedEntry| search.within.covers(entry.position.dot());
        let first = self.feed.iter().find(lacks);
        let last = self.feed.iter().rev().find(has);
        (
            first.map_or(self.checkpoint.offset, |entry| entry.offset - 1),
            last.map_or(0, |entry| entry.offset),
        )
    }

    fn load(&self, needs: &Needs) -> Step {
        let messages = self.model.messages.iter();
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
            likes: only(&self.model.likes, &needs.likes),
            members: only(&self.model.members, &needs.members),
            ..Step::default()
        }
    }

    fn store(&mut self, step: Step) {
        self.model.messages.extend(step.messages);
        for (id, count) in step.likes_counts {
            self.model.messages.get_mut(&id).unwrap().likes_count = count;
        }
        self.model
            .likes
            .extend(only(&step.likes, &step.changed_likes));
        self.model
            .members
            .extend(only(&step.members, &step.changed_members));
        for (group, by) in step.growth {
            *self.model.groups.entry(group.to_string()).or_default() += by;
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
