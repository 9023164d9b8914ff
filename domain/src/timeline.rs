//! The read model's fold: what events, in any causal order of arrival, change in the history that
//! people see. Pure; reading the former state and writing the new one is left to the store.

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
pub use progress::{Fate, Progress, Search, Told};

use crate::names::{GroupName, User};
use crate::register::Register;
use crate::stamp::OrderKey;
use crate::version_vector::VersionVector;
use fact::What;

/// A message, as history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which.
    pub id: String,
    /// In which group.
    pub group: GroupName,
    /// Its place in the one order.
    pub position: OrderKey,
    /// Who wrote it.
    pub author: User,
    /// What.
    pub text: String,
    /// The client's time, milliseconds since 1970.
    pub sent_at_ms: Option<i64>,
    /// The origin's time, milliseconds since 1970.
    pub received_at_ms: i64,
    /// What the origin held with this message.
    pub vector: VersionVector,
    /// How many users like it.
    pub likes_count: i64,
}

/// What a user declared of a group or message: to be a member of it or not, to like it or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The name the user had then.
    pub user_name: String,
    /// Member, or liked.
    pub is_in: bool,
}

/// Which former rows a step must know.
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
    /// Collects what some facts touch.
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

/// What is known of a message before a step.
#[derive(Clone, Debug)]
pub struct Former {
    /// Its place.
    pub position: OrderKey,
    /// Its likes.
    pub likes_count: i64,
}

/// The rows a step touches: the former ones are put in, the facts folded, the changed ones taken
/// out.
#[derive(Debug, Default)]
pub struct Step {
    /// Messages known before, by id.
    pub former: BTreeMap<String, Former>,
    /// How many like a message that is not known yet: beside a forked origin a like may come first.
    pub early_likes: BTreeMap<String, i64>,
    /// Messages that are new or have moved.
    pub messages: BTreeMap<String, Message>,
    /// Messages known before whose number of likes changed.
    pub likes_counts: BTreeMap<String, i64>,
    /// Likes by (message, user). Former ones are put in.
    pub likes: BTreeMap<(String, String), Register<Declaration>>,
    /// Memberships by (group, user). Former ones are put in.
    pub members: BTreeMap<(String, String), Register<Declaration>>,
    /// Which of these registers have changed.
    pub changed_likes: BTreeSet<(String, String)>,
    /// Which of these registers have changed.
    pub changed_members: BTreeSet<(String, String)>,
    /// By how much each group grew or shrank; 0 for a group that merely exists now.
    pub growth: BTreeMap<GroupName, i64>,
    /// One entry for each fact.
    pub feed: Vec<FeedEntry>,
    /// Vectors of the log to be kept, by arrival: see [`VECTOR_EVERY`].
    pub vectors: Vec<(i64, VersionVector)>,
}

impl Step {
    /// Tells whether a message that was known before is to be written: all others are new.
    pub fn moves_a_message(&self) -> bool {
        let mut written = self.messages.keys();
        written.any(|id| self.former.contains_key(id))
    }

    /// Folds one fact in.
    pub fn fold(&mut self, fact: Fact) {
        let Fact {
            arrival,
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
                let word = Word::new(&user, position, is_in);
                let effect = self.fold_like(&message, &word);
                let kind = if is_in { Kind::Like } else { Kind::Unlike };
                (kind, message, user, effect)
            }
            What::Joined { user, is_in } => {
                let word = Word::new(&user, position, is_in);
                let effect = self.fold_member(&group, &word);
                let kind = if is_in { Kind::Join } else { Kind::Leave };
                (kind, user.id.0.clone(), user, effect)
            }
        };
        self.feed.push(FeedEntry {
            arrival,
            group,
            kind,
            subject,
            user,
            position,
            level,
            effect,
        });
    }

    /// Of the copies of a message the one with the lowest key is the message.
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
        // From here on the message carries its count itself.
        self.likes_counts.remove(&message.id);
        self.messages.insert(message.id.clone(), message);
        (Kind::Moved, Effect::Shown)
    }

    fn fold_like(&mut self, id: &str, word: &Word) -> Effect {
        let key = (id.to_owned(), word.user.id.0.clone());
        let effect = write(&mut self.likes, &key, word);
        if effect == Effect::Shown {
            self.count_like(id, word.change());
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

    fn fold_member(&mut self, group: &GroupName, word: &Word) -> Effect {
        let key = (group.as_str().to_owned(), word.user.id.0.clone());
        let effect = write(&mut self.members, &key, word);
        // A group exists from its first join, also one that lost against a later leave.
        if word.is_in {
            self.growth.entry(group.clone()).or_default();
        }
        if effect == Effect::Shown {
            *self.growth.entry(group.clone()).or_default() += word.change();
        }
        if effect.decides() {
            self.changed_members.insert(key);
        }
        effect
    }
}

/// A declaration as an event makes it.
struct Word<'a> {
    user: &'a User,
    since: OrderKey,
    is_in: bool,
}

impl<'a> Word<'a> {
    fn new(user: &'a User, since: OrderKey, is_in: bool) -> Self {
        Self { user, since, is_in }
    }

    fn change(&self) -> i64 {
        if self.is_in { 1 } else { -1 }
    }
}

/// Writes a user's register. Returns what that did here.
fn write(
    registers: &mut BTreeMap<(String, String), Register<Declaration>>,
    key: &(String, String),
    word: &Word,
) -> Effect {
    let former = registers.get(key);
    let was_in = former.is_some_and(|former| former.value.is_in);
    let is_contrary = was_in != word.is_in;
    let declared = Declaration {
        user_name: word.user.name.clone(),
        is_in: word.is_in,
    };
    let wins = Register::write_at(registers, key.clone(), word.since, declared);
    match (wins, is_contrary) {
        (true, true) => Effect::Shown,
        (true, false) => Effect::Won,
        (false, true) => Effect::Overruled,
        (false, false) => Effect::Lost,
    }
}
