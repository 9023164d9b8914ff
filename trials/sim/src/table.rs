//! The read model's tables in memory: what `timelines` does with SQL, by the folds of production.
//! And the same tables worked out without any fold.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use causeway_domain::envelope::RawEvent;
use causeway_domain::event::Event;
use causeway_domain::group::GroupEvent;
use causeway_domain::post::PostEvent;
use causeway_domain::register::Register;
use causeway_domain::timeline::{
    Checkpoint, Declaration, Fact, FeedEntry, Former, Message, Needs, Search, Step,
};
use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::NewRow;

/// (message or group, user).
type Pair = (String, String);

/// All that people can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub messages: BTreeMap<String, Message>,
    pub likes: BTreeMap<Pair, Register<Declaration>>,
    pub members: BTreeMap<Pair, Register<Declaration>>,
    /// Group → number of members.
    pub groups: BTreeMap<String, i64>,
}

/// The tables of one replica.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub seen: Seen,
    pub feed: Vec<FeedEntry>,
    pub checkpoint: Arc<Checkpoint>,
    /// Vectors of the log, by arrival: after every few events, as runs are short.
    pub vectors: Vec<(i64, VersionVector)>,
}

/// After so many events the vector of the log is kept.
const VECTOR_EVERY: i64 = 16;

impl Table {
    /// Folds the next events of the log in, as one step. What cannot be read is set aside.
    pub fn take(&mut self, rows: &[Rc<NewRow>]) {
        let mut facts = Vec::new();
        for row in rows {
            let checkpoint = Arc::make_mut(&mut self.checkpoint);
            let arrival = checkpoint.arrival + 1;
            checkpoint.advance(arrival, &row.event.envelope.stamp);
            if arrival % VECTOR_EVERY == 0 {
                self.vectors.push((arrival, checkpoint.vector.clone()));
            }
            let fact = Fact::read(arrival, &row.event);
            let fact = fact.ok().flatten().map(|fact| match row.sequence {
                1 => fact.with_nothing_before(),
                _ => fact,
            });
            facts.extend(fact);
        }
        let mut step = self.load(&Needs::of(&facts));
        for fact in facts {
            step.fold(fact);
        }
        self.store(step);
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
        let former = |id: &String| {
            let message = self.seen.messages.get(id)?;
            let former = Former {
                position: message.position,
                likes_count: message.likes_count,
            };
            Some((id.clone(), former))
        };
        // Beside a forked origin a like may come before its message.
        let early = |id: &String| {
            let of_message = self.seen.likes.range((id.clone(), String::new())..);
            let of_message = of_message.take_while(|((of, _), _)| of == id);
            let count = of_message.filter(|(_, like)| like.value.is_in).count();
            let is_early = !self.seen.messages.contains_key(id) && count > 0;
            is_early.then(|| (id.clone(), i64::try_from(count).expect("a few")))
        };
        Step {
            early_likes: needs.messages.iter().filter_map(early).collect(),
            former: needs.messages.iter().filter_map(former).collect(),
            likes: only(&self.seen.likes, &needs.likes),
            members: only(&self.seen.members, &needs.members),
            ..Step::default()
        }
    }

    fn store(&mut self, step: Step) {
        self.seen.messages.extend(step.messages);
        for (id, count) in step.likes_counts {
            if let Some(message) = self.seen.messages.get_mut(&id) {
                message.likes_count = count;
            }
        }
        let likes = only(&step.likes, &step.changed_likes);
        self.seen.likes.extend(likes);
        let members = only(&step.members, &step.changed_members);
        self.seen.members.extend(members);
        for (group, by) in step.growth {
            *self.seen.groups.entry(group.to_string()).or_default() += by;
        }
        self.feed.extend(step.feed);
    }
}

fn only(
    of: &BTreeMap<Pair, Register<Declaration>>,
    wanted: &BTreeSet<Pair>,
) -> BTreeMap<Pair, Register<Declaration>> {
    let found = |pair: &Pair| Some((pair.clone(), of.get(pair)?.clone()));
    wanted.iter().filter_map(found).collect()
}

/// What the rules say people see of a set of events, in whatever order they are given: per pair the
/// highest key decides, of the copies of a message the lowest is the message.
pub(crate) fn expected<'a>(events: impl IntoIterator<Item = &'a RawEvent>) -> Seen {
    let mut seen = Seen::default();
    let mut by_key: Vec<&RawEvent> = events.into_iter().collect();
    by_key.sort_by_key(|event| event.envelope.stamp.order_key());
    for event in by_key {
        let Ok(Some(fact)) = Fact::read(0, event) else {
            continue;
        };
        let envelope = &event.envelope;
        let (id, since) = (envelope.id.clone(), envelope.stamp.order_key());
        if let Some(message) = fact.into_message() {
            seen.messages.entry(id).or_insert(message);
            continue;
        }
        let stand = |user_name, is_in| Register {
            since,
            value: Declaration { user_name, is_in },
        };
        let content = envelope.event.get();
        match GroupEvent::read(&envelope.kind, content) {
            Ok(GroupEvent::MemberJoined { user }) => {
                seen.groups.entry(id.clone()).or_default();
                let pair = (id, user.id.0);
                seen.members.insert(pair, stand(user.name, true));
                continue;
            }
            Ok(GroupEvent::MemberLeft { user }) => {
                let pair = (id, user.id.0);
                seen.members.insert(pair, stand(user.name, false));
                continue;
            }
            _ => {}
        }
        match PostEvent::read(&envelope.kind, content) {
            Ok(PostEvent::MessageLiked { user }) => {
                seen.likes.insert((id, user.id.0), stand(user.name, true));
            }
            Ok(PostEvent::MessageUnliked { user }) => {
                seen.likes.insert((id, user.id.0), stand(user.name, false));
            }
            _ => {}
        }
    }
    for ((group, _), member) in &seen.members {
        if let Some(count) = seen.groups.get_mut(group) {
            *count += i64::from(member.value.is_in);
        }
    }
    for ((message, _), like) in &seen.likes {
        if let Some(message) = seen.messages.get_mut(message) {
            message.likes_count += i64::from(like.value.is_in);
        }
    }
    seen
}
