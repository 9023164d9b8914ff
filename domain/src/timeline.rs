//! The read model's fold: how events, delivered in any causal order, change the history that users
//! see. Pure: the store reads the rows before a step and writes the changed ones after it.

mod checkpoint;
mod delivery;
mod fact;
mod feed;
mod overtaking;
mod progress;

use std::collections::{BTreeMap, BTreeSet};

pub use checkpoint::{Checkpoint, VECTOR_EVERY};
pub use fact::{Fact, Unfoldable};
pub use feed::{Effect, FeedEntry, Kind};
pub use overtaking::is_overtaken;
pub use progress::{Fate, Framed, Progress, Search};

use crate::names::{GroupName, User};
use crate::register::Register;
use crate::stamp::OrderKey;
use crate::version_vector::VersionVector;
use fact::What;

/// A message in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its group.
    pub group: GroupName,
    /// Its order key.
    pub position: OrderKey,
    /// Its author.
    pub author: User,
    /// Its text.
    pub text: String,
    /// The client's wall time, milliseconds since 1970.
    pub sent_at_ms: Option<i64>,
    /// The origin's wall time, milliseconds since 1970.
    pub received_at_ms: i64,
    /// The origin's version vector, this message included.
    pub vector: VersionVector,
    /// The number of users who like it.
    pub likes_count: i64,
}

/// The value of a user's register: membership of a group, or a like of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The user's name at that time.
    pub user_name: String,
    /// Whether the user is a member, or likes the message.
    pub is_in: bool,
}

/// The keys of the rows that a step reads.
#[derive(Debug, Default)]
pub struct Needs {
    /// Ids of messages.
    pub messages: BTreeSet<String>,
    /// (message, user).
    pub likes: BTreeSet<(String, String)>,
    /// (group, user).
    pub members: BTreeSet<(String, String)>,
}

impl Needs {
    /// Collects the keys of the rows that the facts may change.
    pub fn of(facts: &[Fact]) -> Self {
        let mut needs = Self::default();
        for fact in facts {
            match &fact.what {
                What::Posted(_) if !fact.may_be_known => {}
                What::Posted(message) => {
                    needs.messages.insert(message.id.clone());
                }
                What::Liked { message, user, .. } => {
                    needs.messages.insert(message.clone());
                    needs.likes.insert((message.clone(), user.id.0.clone()));
                }
                What::Joined { user, .. } => {
                    needs
                        .members
                        .insert((fact.group.as_str().to_owned(), user.id.0.clone()));
                }
            }
        }
        needs
    }
}

/// A message's row before a step.
#[derive(Clone, Debug)]
pub struct Former {
    /// Its order key.
    pub position: OrderKey,
    /// Its number of likes.
    pub likes_count: i64,
}

/// The rows of a step. The caller loads the rows of [`Needs`], folds the facts, and stores what has
/// changed.
#[derive(Debug, Default)]
pub struct Step {
    /// Stored messages, by id. Input.
    pub former: BTreeMap<String, Former>,
    /// Likes of messages that are not stored yet, by id: beside a forked origin a like may be
    /// delivered before its message.
    pub early_likes: BTreeMap<String, i64>,
    /// Messages that are new, or whose position has changed.
    pub messages: BTreeMap<String, Message>,
    /// New like counts of stored messages that are otherwise unchanged.
    pub likes_counts: BTreeMap<String, i64>,
    /// Likes by (message, user). The stored ones are input.
    pub likes: BTreeMap<(String, String), Register<Declaration>>,
    /// Memberships by (group, user). The stored ones are input.
    pub members: BTreeMap<(String, String), Register<Declaration>>,
    /// Keys of the changed `likes`.
    pub changed_likes: BTreeSet<(String, String)>,
    /// Keys of the changed `members`.
    pub changed_members: BTreeSet<(String, String)>,
    /// Change of each group's number of members; 0 for a group that exists without growing.
    pub growth: BTreeMap<GroupName, i64>,
    /// One entry for each fact.
    pub feed: Vec<FeedEntry>,
    /// Vectors of the log to store, by offset: see [`VECTOR_EVERY`].
    pub vectors: Vec<(i64, VersionVector)>,
}

impl Step {
    /// Whether the step replaces a stored message: all other messages in it are new.
    pub fn moves_a_message(&self) -> bool {
        let mut written = self.messages.keys();
        written.any(|id| self.former.contains_key(id))
    }

    /// Folds one fact.
    pub fn fold(&mut self, fact: Fact) {
        let Fact {
            offset,
            group,
            position,
            level,
            what,
            may_be_known: _,
        } = fact;
        let (kind, subject, user, effect) = match what {
            What::Posted(message) => {
                let (id, author) = (message.id.clone(), message.author.clone());
                let (kind, effect) = self.fold_message(*message);
                (kind, id, author, effect)
            }
            What::Liked {
                message,
                user,
                is_in,
            } => {
                let write = RegisterWrite::new(&user, position, is_in);
                let effect = self.fold_like(&message, &write);
                let kind = if is_in { Kind::Like } else { Kind::Unlike };
                (kind, message, user, effect)
            }
            What::Joined { user, is_in } => {
                let write = RegisterWrite::new(&user, position, is_in);
                let effect = self.fold_member(&group, &write);
                let kind = if is_in { Kind::Join } else { Kind::Leave };
                (kind, user.id.0.clone(), user, effect)
            }
        };
        self.feed.push(FeedEntry {
            offset,
            group,
            kind,
            subject,
            user,
            position,
            level,
            effect,
        });
    }

    /// Keeps the copy with the lowest order key.
    fn fold_message(&mut self, mut message: Message) -> (Kind, Effect) {
        let known = match (self.messages.get(&message.id), self.former.get(&message.id)) {
            (Some(known), _) => Some((known.position, known.likes_count)),
            (None, Some(known)) => {
                let likes = self.likes_counts.get(&message.id);
                Some((known.position, *likes.unwrap_or(&known.likes_count)))
            }
            (None, None) => None,
        };
        let Some((position, likes_count)) = known else {
            message.likes_count = self.early_likes.remove(&message.id).unwrap_or(0);
            self.messages.insert(message.id.clone(), message);
            return (Kind::Message, Effect::Shown);
        };
        if message.position >= position {
            return (Kind::Message, Effect::Lost);
        }
        message.likes_count = likes_count;
        // The row in `messages` holds the count now.
        self.likes_counts.remove(&message.id);
        self.messages.insert(message.id.clone(), message);
        (Kind::Moved, Effect::Shown)
    }

    fn fold_like(&mut self, id: &str, write: &RegisterWrite) -> Effect {
        let key = (id.to_owned(), write.user.id.0.clone());
        let effect = apply(&mut self.likes, &key, write);
        if effect == Effect::Shown {
            self.count_like(id, write.change());
        }
        if effect.decides() {
            self.changed_likes.insert(key);
        }
        effect
    }

    fn count_like(&mut self, id: &str, by: i64) {
        if let Some(message) = self.messages.get_mut(id) {
            message.likes_count += by;
        } else if let Some(known) = self.former.get(id) {
            *self
                .likes_counts
                .entry(id.to_owned())
                .or_insert(known.likes_count) += by;
        } else {
            *self.early_likes.entry(id.to_owned()).or_default() += by;
        }
    }

    fn fold_member(&mut self, group: &GroupName, write: &RegisterWrite) -> Effect {
        let key = (group.as_str().to_owned(), write.user.id.0.clone());
        let effect = apply(&mut self.members, &key, write);
        // A group exists from its first join, even if a later leave overrules that join.
        if write.is_in {
            self.growth.entry(group.clone()).or_default();
        }
        if effect == Effect::Shown {
            *self.growth.entry(group.clone()).or_default() += write.change();
        }
        if effect.decides() {
            self.changed_members.insert(key);
        }
        effect
    }
}

/// A write of an event to a user's register.
struct RegisterWrite<'a> {
    user: &'a User,
    since: OrderKey,
    is_in: bool,
}

impl<'a> RegisterWrite<'a> {
    fn new(user: &'a User, since: OrderKey, is_in: bool) -> Self {
        Self { user, since, is_in }
    }

    fn change(&self) -> i64 {
        if self.is_in { 1 } else { -1 }
    }
}

/// Applies a write to a user's register and returns its effect.
fn apply(
    registers: &mut BTreeMap<(String, String), Register<Declaration>>,
    key: &(String, String),
    write: &RegisterWrite,
) -> Effect {
    let held = registers.get(key);
    let was_in = held.is_some_and(|held| held.value.is_in);
    let is_change = was_in != write.is_in;
    let declared = Declaration {
        user_name: write.user.name.clone(),
        is_in: write.is_in,
    };
    let wins = Register::write_at(registers, key.clone(), write.since, declared);
    match (wins, is_change) {
        (true, true) => Effect::Shown,
        (true, false) => Effect::Won,
        (false, true) => Effect::Overruled,
        (false, false) => Effect::Lost,
    }
}
