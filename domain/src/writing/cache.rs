//! The writer's cache of aggregates, which lets it decide a post without reading from the database.
//!
//! The cache is bounded and evicts the least recently used entries first. A failed statement clears
//! it, because only the rows are known to be valid then (F14).

use std::collections::{BTreeMap, BTreeSet};

use cqrs_es::Aggregate;

use crate::aggregate::{self, Asked, Stamped};
use crate::group::{Group, GroupCommand, GroupEvent, Membership};
use crate::post::{Post, PostCommand, PostEvent, Refusal};

/// Maximum number of cached members of all groups together.
const MEMBERS: usize = 100_000;
/// Maximum number of cached posts and likes.
const POSTS: usize = 8_192;

/// The cached aggregates.
#[derive(Debug)]
pub(super) struct Cache {
    pub groups: Groups,
    pub posts: Posts,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            groups: Groups::new(MEMBERS),
            posts: Posts::new(POSTS),
        }
    }
}

impl Cache {
    /// The sequence of the last event of a fully cached aggregate.
    pub fn sequence(&self, aggregate: &str, id: &str) -> Option<i64> {
        if aggregate != <Post as Aggregate>::TYPE {
            return None;
        }
        self.posts.sequence(id)
    }

    /// Evicts entries beyond the limits.
    pub fn trim(&mut self) {
        self.groups.trim();
        self.posts.trim();
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.groups.clear();
        self.posts.clear();
    }
}

/// An LRU cache by id, bounded by the total cost of its entries.
#[derive(Debug)]
struct Lru<T> {
    entries: BTreeMap<String, Entry<T>>,
    cost: usize,
    limit: usize,
    uses: u64,
    cost_of: fn(&T) -> usize,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    cost: usize,
    used: u64,
}

impl<T: Default> Lru<T> {
    fn new(limit: usize, cost_of: fn(&T) -> usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            cost: 0,
            limit,
            uses: 0,
            cost_of,
        }
    }

    fn get(&self, id: &str) -> Option<&T> {
        self.entries.get(id).map(|entry| &entry.value)
    }

    /// Returns an entry and marks it as used.
    fn used(&mut self, id: &str) -> Option<&T> {
        self.uses += 1;
        let entry = self.entries.get_mut(id)?;
        entry.used = self.uses;
        Some(&entry.value)
    }

    /// Inserts a default entry, unless one is cached. Its cost is computed at its first change.
    fn insert(&mut self, id: &str) {
        self.uses += 1;
        let entry = self.entries.entry(id.to_owned()).or_insert_with(|| Entry {
            value: T::default(),
            cost: 0,
            used: 0,
        });
        entry.used = self.uses;
    }

    /// Changes a cached entry, or else a default value that is dropped afterwards.
    fn change<R>(&mut self, id: &str, change: impl FnOnce(&mut T) -> R) -> R {
        let Some(entry) = self.entries.get_mut(id) else {
            return change(&mut T::default());
        };
        let returned = change(&mut entry.value);
        let cost = (self.cost_of)(&entry.value);
        self.cost = self.cost - entry.cost + cost;
        entry.cost = cost;
        returned
    }

    /// Evicts the least recently used entries once the limit is exceeded, down to half of it, so
    /// that not every batch evicts.
    fn trim(&mut self) {
        if self.cost <= self.limit {
            return;
        }
        let mut by_use: Vec<(u64, String)> = self
            .entries
            .iter()
            .map(|(id, entry)| (entry.used, id.clone()))
            .collect();
        by_use.sort_unstable();
        for (_, id) in by_use {
            if self.cost <= self.limit / 2 {
                break;
            }
            if let Some(entry) = self.entries.remove(&id) {
                self.cost -= entry.cost;
            }
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.cost = 0;
    }
}

/// Cached groups, each with only some of its members: the cost of a group depends on its active
/// users, not on its size.
#[derive(Debug)]
pub(super) struct Groups(Lru<(Group, BTreeSet<String>)>);

impl Groups {
    /// Creates a cache of about `limit` users of all groups together.
    pub fn new(limit: usize) -> Self {
        Self(Lru::new(limit, |(group, users)| {
            1 + group.weight() + users.len()
        }))
    }

    /// Whether a user's membership of a group is cached.
    pub fn knows(&self, group: &str, user: &str) -> bool {
        self.0
            .get(group)
            .is_some_and(|(_, users)| users.contains(user))
    }

    /// The group, valid for users whose membership is cached.
    pub fn get(&mut self, group: &str) -> Option<&Group> {
        self.0.used(group).map(|(group, _)| group)
    }

    /// Marks a user's membership as cached. The caller folds its events next.
    pub fn insert_member(&mut self, group: &str, user: &str) {
        self.0.insert(group);
        self.0.change(group, |(_, users)| {
            users.insert(user.to_owned());
        });
    }

    /// Decides a command on a group. A group refuses no command, so it need not be cached.
    pub fn decide(
        &mut self,
        id: &str,
        asked: Asked<GroupCommand>,
    ) -> Result<Stamped<GroupEvent>, Refusal> {
        self.0
            .change(id, |(group, _)| aggregate::decide(group, asked))
    }

    /// Folds an event of a group, if the group is cached.
    pub fn fold(&mut self, id: &str, event: Stamped<GroupEvent>) {
        if self.0.get(id).is_some() {
            self.0.change(id, |(group, _)| group.apply(event));
        }
    }

    /// Evicts entries beyond the limit.
    pub fn trim(&mut self) {
        self.0.trim();
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Cached posts, complete, with the sequence of their last event.
#[derive(Debug)]
pub(super) struct Posts(Lru<(Post, i64)>);

impl Posts {
    /// Creates a cache of about `limit` posts and likes together.
    pub fn new(limit: usize) -> Self {
        Self(Lru::new(limit, |(post, _)| post.weight()))
    }

    /// Whether a post is cached.
    pub fn holds(&self, id: &str) -> bool {
        self.0.get(id).is_some()
    }

    /// The sequence of the last event of a cached post.
    pub fn sequence(&self, id: &str) -> Option<i64> {
        self.0.get(id).map(|(_, sequence)| *sequence)
    }

    /// Caches an empty post. The caller folds its events next.
    pub fn insert(&mut self, id: &str) {
        self.0.insert(id);
        self.0.change(id, |_| ());
    }

    /// Decides a command on a post, or on a new one if it is not cached. `sequence` is that of the
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

    /// Folds an event of a post, if the post is cached.
    pub fn fold(&mut self, id: &str, sequence: i64, event: Stamped<PostEvent>) {
        if self.holds(id) {
            self.0.change(id, |(post, last)| {
                post.apply(event);
                *last = sequence;
            });
        }
    }

    /// Evicts entries beyond the limit.
    pub fn trim(&mut self) {
        self.0.trim();
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entries_are_evicted_first() {
        let mut posts = Posts::new(4);
        for id in ["a", "b", "c", "d"] {
            posts.insert(id);
        }
        posts.trim();
        assert!(posts.holds("a"), "within the limit");

        posts.insert("e");
        posts.insert("a");
        posts.trim();

        let held = ["a", "b", "c", "d", "e"].map(|id| posts.holds(id));
        assert_eq!(held, [true, false, false, false, true]);
    }

    #[test]
    fn events_of_uncached_posts_are_not_folded() {
        let mut posts = Posts::new(4);
        let liked: Stamped<PostEvent> = serde_json::from_str(
            r#"{"stamp":{"origin":"1.00000007","seq":1,"hlc":1,"past":{}},"level":1,
                "aggregate":"post","id":"a","type":"MessageLiked","at":0,
                "event":{"user":{"id":"u1","name":"anna"}}}"#,
        )
        .unwrap();

        posts.fold("a", 1, liked.clone());
        assert!(!posts.holds("a"));
        posts.insert("a");
        posts.fold("a", 1, liked.clone());

        assert_eq!(posts.sequence("a"), Some(1));
        posts.clear();
        assert_eq!(posts.sequence("a"), None);
    }
}
