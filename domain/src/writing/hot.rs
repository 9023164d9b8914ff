//! The aggregates that the writer has at hand, so that a post reads nothing from the database.
//!
//! Bounded: what was not used for longest goes first. Dropped whole after any failed commit,
//! because then the rows alone are true (F14).

use std::collections::{BTreeMap, BTreeSet};

use cqrs_es::Aggregate;

use crate::aggregate::{self, Asked, Stamped};
use crate::group::{Group, GroupCommand, GroupEvent, Membership};
use crate::post::{Post, PostCommand, PostEvent, Refusal};

/// Users of groups, and posts with those who like them, at hand.
const MEMBERS: usize = 100_000;
const POSTS: usize = 8_192;

/// The aggregates at hand.
#[derive(Debug)]
pub(super) struct Hot {
    pub groups: Groups,
    pub posts: Posts,
}

impl Default for Hot {
    fn default() -> Self {
        Self {
            groups: Groups::new(MEMBERS),
            posts: Posts::new(POSTS),
        }
    }
}

impl Hot {
    /// The sequence of the last event of an aggregate that is at hand whole.
    pub fn sequence(&self, aggregate: &str, id: &str) -> Option<i64> {
        if aggregate != <Post as Aggregate>::TYPE {
            return None;
        }
        self.posts.sequence(id)
    }

    /// Keeps the bounds.
    pub fn trim(&mut self) {
        self.groups.trim();
        self.posts.trim();
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.groups.clear();
        self.posts.clear();
    }
}

/// Things at hand, by id, each with what it costs to keep.
#[derive(Debug)]
struct Shelf<T> {
    slots: BTreeMap<String, Slot<T>>,
    cost: usize,
    limit: usize,
    uses: u64,
    cost_of: fn(&T) -> usize,
}

#[derive(Debug)]
struct Slot<T> {
    kept: T,
    cost: usize,
    used: u64,
}

impl<T: Default> Shelf<T> {
    fn new(limit: usize, cost_of: fn(&T) -> usize) -> Self {
        Self {
            slots: BTreeMap::new(),
            cost: 0,
            limit,
            uses: 0,
            cost_of,
        }
    }

    fn get(&self, id: &str) -> Option<&T> {
        self.slots.get(id).map(|slot| &slot.kept)
    }

    /// Uses what is at hand, if it is.
    fn used(&mut self, id: &str) -> Option<&T> {
        self.uses += 1;
        let slot = self.slots.get_mut(id)?;
        slot.used = self.uses;
        Some(&slot.kept)
    }

    /// Puts something up, unless it is at hand; what it costs is asked at its first change.
    fn put(&mut self, id: &str) {
        self.uses += 1;
        let slot = self.slots.entry(id.to_owned()).or_insert_with(|| Slot {
            kept: T::default(),
            cost: 0,
            used: 0,
        });
        slot.used = self.uses;
    }

    /// Changes what is at hand, or else a default that is not kept.
    fn change<R>(&mut self, id: &str, change: impl FnOnce(&mut T) -> R) -> R {
        let Some(slot) = self.slots.get_mut(id) else {
            return change(&mut T::default());
        };
        let returned = change(&mut slot.kept);
        let cost = (self.cost_of)(&slot.kept);
        self.cost = self.cost - slot.cost + cost;
        slot.cost = cost;
        returned
    }

    /// Drops what was not used for longest, when the bound is passed: down to half, so that this
    /// is not done for every batch.
    fn trim(&mut self) {
        if self.cost <= self.limit {
            return;
        }
        let mut by_use: Vec<(u64, String)> = self
            .slots
            .iter()
            .map(|(id, slot)| (slot.used, id.clone()))
            .collect();
        by_use.sort_unstable();
        for (_, id) in by_use {
            if self.cost <= self.limit / 2 {
                break;
            }
            if let Some(slot) = self.slots.remove(&id) {
                self.cost -= slot.cost;
            }
        }
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.cost = 0;
    }
}

/// Groups at hand, each as far as some users are concerned: a group of any size costs what its
/// writers cost.
#[derive(Debug)]
pub(super) struct Groups(Shelf<(Group, BTreeSet<String>)>);

impl Groups {
    /// Keeps about `limit` users of all groups together.
    pub fn new(limit: usize) -> Self {
        Self(Shelf::new(limit, |(group, users)| {
            1 + group.weight() + users.len()
        }))
    }

    /// Tells whether it is known here where a user stands in a group.
    pub fn knows(&self, group: &str, user: &str) -> bool {
        self.0
            .get(group)
            .is_some_and(|(_, users)| users.contains(user))
    }

    /// The group, for users that are known.
    pub fn get(&mut self, group: &str) -> Option<&Group> {
        self.0.used(group).map(|(group, _)| group)
    }

    /// Makes a user known whose deciding events are folded in next.
    pub fn learn(&mut self, group: &str, user: &str) {
        self.0.put(group);
        self.0.change(group, |(_, users)| {
            users.insert(user.to_owned());
        });
    }

    /// Decides a command to a group. A group refuses nothing, so it need not be at hand.
    pub fn decide(
        &mut self,
        id: &str,
        asked: Asked<GroupCommand>,
    ) -> Result<Stamped<GroupEvent>, Refusal> {
        self.0
            .change(id, |(group, _)| aggregate::decide(group, asked))
    }

    /// Folds an event of a group in, if the group is at hand.
    pub fn fold(&mut self, id: &str, event: Stamped<GroupEvent>) {
        if self.0.get(id).is_some() {
            self.0.change(id, |(group, _)| group.apply(event));
        }
    }

    /// Keeps the bound.
    pub fn trim(&mut self) {
        self.0.trim();
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Posts at hand, whole, with the sequence of their last event.
#[derive(Debug)]
pub(super) struct Posts(Shelf<(Post, i64)>);

impl Posts {
    /// Keeps posts and users who like them up to about `limit`.
    pub fn new(limit: usize) -> Self {
        Self(Shelf::new(limit, |(post, _)| post.weight()))
    }

    /// Tells whether a post is at hand.
    pub fn holds(&self, id: &str) -> bool {
        self.0.get(id).is_some()
    }

    /// The sequence of the last event of a post at hand.
    pub fn sequence(&self, id: &str) -> Option<i64> {
        self.0.get(id).map(|(_, sequence)| *sequence)
    }

    /// Puts a post up whose events are folded in next, if it has any.
    pub fn put(&mut self, id: &str) {
        self.0.put(id);
        self.0.change(id, |_| ());
    }

    /// Decides a command to a post: a new one where it is not at hand. `sequence` is that of the
    /// event.
    pub fn decide(
        &mut self,
        id: &str,
        sequence: i64,
        membership: Membership,
        asked: Asked<PostCommand>,
    ) -> Result<Stamped<PostEvent>, Refusal> {
        self.0.used(id);
        self.0.change(id, |(post, last)| {
            let event = aggregate::decide(post, (membership, asked))?;
            *last = sequence;
            Ok(event)
        })
    }

    /// Folds an event of a post in, if the post is at hand.
    pub fn fold(&mut self, id: &str, sequence: i64, event: Stamped<PostEvent>) {
        if self.holds(id) {
            self.0.change(id, |(post, last)| {
                post.apply(event);
                *last = sequence;
            });
        }
    }

    /// Keeps the bound.
    pub fn trim(&mut self) {
        self.0.trim();
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut posts = Posts::new(4);
        for id in ["a", "b", "c", "d"] {
            posts.put(id);
        }
        posts.trim();
        assert!(posts.holds("a"), "within the bound");

        posts.put("e");
        posts.put("a");
        posts.trim();

        let held = ["a", "b", "c", "d", "e"].map(|id| posts.holds(id));
        assert_eq!(held, [true, false, false, false, true]);
    }

    #[test]
    fn what_is_not_at_hand_is_neither_folded_nor_numbered() {
        let mut posts = Posts::new(4);
        let liked: Stamped<PostEvent> = serde_json::from_str(
            r#"{"stamp":{"origin":"1.00000007","seq":1,"hlc":1,"past":{}},"level":1,
                "aggregate":"post","id":"a","type":"MessageLiked","at":0,
                "event":{"user":{"id":"u1","name":"anna"}}}"#,
        )
        .unwrap();

        posts.fold("a", 1, liked.clone());
        assert!(!posts.holds("a"));
        posts.put("a");
        posts.fold("a", 1, liked.clone());

        assert_eq!(posts.sequence("a"), Some(1));
        posts.clear();
        assert_eq!(posts.sequence("a"), None);
    }
}
