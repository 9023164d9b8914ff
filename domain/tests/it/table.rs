//! The read model's tables in memory: what `timelines` does with SQL, so that folds can be tried
//! by the thousand. And the same tables worked out without any fold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use causeway_domain::envelope::RawEvent;
use causeway_domain::event::Event;
use causeway_domain::group::GroupEvent;
use causeway_domain::post::PostEvent;
use causeway_domain::stamp::OrderKey;
use causeway_domain::timeline::{
    Checkpoint, Fact, FeedEntry, Former, Message, Needs, Search, Standing, Step,
};
use causeway_domain::version_vector::VersionVector;

/// (message or group, user).
pub type Pair = (String, String);

/// All that people can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub messages: BTreeMap<String, Message>,
    pub likes: BTreeMap<Pair, Standing>,
    pub members: BTreeMap<Pair, Standing>,
    /// Group → number of members.
    pub groups: BTreeMap<String, i64>,
}

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

fn only(of: &BTreeMap<Pair, Standing>, wanted: &BTreeSet<Pair>) -> BTreeMap<Pair, Standing> {
    let of = of.iter().filter(|(pair, _)| wanted.contains(pair));
    of.map(|(pair, standing)| (pair.clone(), standing.clone()))
        .collect()
}

/// What the rules say people see of a set of events, in whatever order they are given: per pair the
/// highest key decides, of the copies of a message the lowest is the message.
pub fn expected(events: &[RawEvent]) -> Seen {
    let mut seen = Seen::default();
    let mut by_key: Vec<&RawEvent> = events.iter().collect();
    by_key.sort_by_key(|event| event.envelope.stamp.order_key());
    for event in by_key {
        let envelope = &event.envelope;
        let (id, key) = (envelope.id.clone(), envelope.stamp.order_key());
        let content = envelope.event.get();
        match envelope.aggregate.as_str() {
            "group" => {
                let (user, is_in) = match GroupEvent::read(&envelope.kind, content).unwrap() {
                    GroupEvent::MemberJoined { user } => (user, true),
                    GroupEvent::MemberLeft { user } => (user, false),
                    GroupEvent::Unknown => unreachable!("not made here"),
                };
                if is_in {
                    seen.groups.entry(id.clone()).or_default();
                }
                seen.members
                    .insert((id, user.id.0), standing(user.name, key, is_in));
            }
            _ => match PostEvent::read(&envelope.kind, content).unwrap() {
                PostEvent::MessagePosted { .. } => {
                    let message = Fact::read(0, event).unwrap().unwrap().into_message();
                    seen.messages.entry(id).or_insert(message.unwrap());
                }
                PostEvent::MessageLiked { user } => {
                    let liked = standing(user.name, key, true);
                    seen.likes.insert((id, user.id.0), liked);
                }
                PostEvent::MessageUnliked { user } => {
                    let unliked = standing(user.name, key, false);
                    seen.likes.insert((id, user.id.0), unliked);
                }
                PostEvent::Unknown => unreachable!("not made here"),
            },
        }
    }
    for ((group, _), member) in &seen.members {
        if let Some(count) = seen.groups.get_mut(group) {
            *count += i64::from(member.is_in);
        }
    }
    for ((message, _), like) in &seen.likes {
        if let Some(message) = seen.messages.get_mut(message) {
            message.likes_count += i64::from(like.is_in);
        }
    }
    seen
}

fn standing(user_name: String, since: OrderKey, is_in: bool) -> Standing {
    Standing {
        user_name,
        since,
        is_in,
    }
}
