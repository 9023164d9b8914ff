//! The read model's tables in memory: `timelines` without SQL, with the production folds. And a
//! specification that computes the same tables without folds.

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

/// The state that users can see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VisibleState {
    pub messages: BTreeMap<String, Message>,
    pub likes: BTreeMap<Pair, Register<Declaration>>,
    pub members: BTreeMap<Pair, Register<Declaration>>,
    /// Group → number of members.
    pub groups: BTreeMap<String, i64>,
}

/// The tables of one replica.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub visible: VisibleState,
    pub feed: Vec<FeedEntry>,
    pub checkpoint: Arc<Checkpoint>,
    /// Version vectors of the log by offset, at short intervals because runs are short.
    pub vectors: Vec<(i64, VersionVector)>,
}

/// The interval, in events, at which the vector of the log is stored.
const VECTOR_EVERY: i64 = 16;

impl Table {
    /// Folds the next events of the log in one step. Unreadable events are skipped.
    pub fn fold(&mut self, rows: &[Rc<NewRow>]) {
        let mut facts = Vec::new();
        for row in rows {
            let checkpoint = Arc::make_mut(&mut self.checkpoint);
            let offset = checkpoint.offset + 1;
            checkpoint.advance(offset, &row.event.envelope.stamp);
            if offset % VECTOR_EVERY == 0 {
                self.vectors.push((offset, checkpoint.vector.clone()));
            }
            let fact = Fact::read(offset, &row.event);
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

    /// The feed entries after an offset.
    pub fn after(&self, offset: i64) -> &[FeedEntry] {
        let first = self.feed.partition_point(|entry| entry.offset <= offset);
        &self.feed[first..]
    }

    /// The offset just before the first undelivered entry, and the offset of the last delivered
    /// one.
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
        let former = |id: &String| {
            let message = self.visible.messages.get(id)?;
            let former = Former {
                position: message.position,
                likes_count: message.likes_count,
            };
            Some((id.clone(), former))
        };
        // Beside a forked origin, a like may arrive before its message.
        let early = |id: &String| {
            let of_message = self.visible.likes.range((id.clone(), String::new())..);
            let of_message = of_message.take_while(|((of, _), _)| of == id);
            let count = of_message.filter(|(_, like)| like.value.is_in).count();
            let is_early = !self.visible.messages.contains_key(id) && count > 0;
            is_early.then(|| (id.clone(), i64::try_from(count).expect("a few")))
        };
        Step {
            early_likes: needs.messages.iter().filter_map(early).collect(),
            former: needs.messages.iter().filter_map(former).collect(),
            likes: only(&self.visible.likes, &needs.likes),
            members: only(&self.visible.members, &needs.members),
            ..Step::default()
        }
    }

    fn store(&mut self, step: Step) {
        self.visible.messages.extend(step.messages);
        for (id, count) in step.likes_counts {
            if let Some(message) = self.visible.messages.get_mut(&id) {
                message.likes_count = count;
            }
        }
        let likes = only(&step.likes, &step.changed_likes);
        self.visible.likes.extend(likes);
        let members = only(&step.members, &step.changed_members);
        self.visible.members.extend(members);
        for (group, by) in step.growth {
            *self.visible.groups.entry(group.to_string()).or_default() += by;
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

/// The state that a set of events must yield in any order: the event with the highest order key
/// decides each like and membership, and the copy with the lowest one is the message.
pub(crate) fn expected<'a>(events: impl IntoIterator<Item = &'a RawEvent>) -> VisibleState {
    let mut visible = VisibleState::default();
    let mut by_key: Vec<&RawEvent> = events.into_iter().collect();
    by_key.sort_by_key(|event| event.envelope.stamp.order_key());
    for event in by_key {
        let Ok(Some(fact)) = Fact::read(0, event) else {
            continue;
        };
        let envelope = &event.envelope;
        let (id, since) = (envelope.id.clone(), envelope.stamp.order_key());
        if let Some(message) = fact.into_message() {
            visible.messages.entry(id).or_insert(message);
            continue;
        }
        let stand = |user_name, is_in| Register {
            since,
            value: Declaration { user_name, is_in },
        };
        let content = envelope.event.get();
        match GroupEvent::read(&envelope.kind, content) {
            Ok(GroupEvent::MemberJoined { user }) => {
                visible.groups.entry(id.clone()).or_default();
                let pair = (id, user.id.0);
                visible.members.insert(pair, stand(user.name, true));
                continue;
            }
            Ok(GroupEvent::MemberLeft { user }) => {
                let pair = (id, user.id.0);
                visible.members.insert(pair, stand(user.name, false));
                continue;
            }
            _ => {}
        }
        match PostEvent::read(&envelope.kind, content) {
            Ok(PostEvent::MessageLiked { user }) => {
                visible
                    .likes
                    .insert((id, user.id.0), stand(user.name, true));
            }
            Ok(PostEvent::MessageUnliked { user }) => {
                visible
                    .likes
                    .insert((id, user.id.0), stand(user.name, false));
            }
            _ => {}
        }
    }
    for ((group, _), member) in &visible.members {
        if let Some(count) = visible.groups.get_mut(group) {
            *count += i64::from(member.value.is_in);
        }
    }
    for ((message, _), like) in &visible.likes {
        if let Some(message) = visible.messages.get_mut(message) {
            message.likes_count += i64::from(like.value.is_in);
        }
    }
    visible
}
