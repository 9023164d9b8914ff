//! What a reader is told of one entry, given the entries that compete with it.
//!
//! Replicas hold the same events in different orders, so a reader who comes from another replica may
//! have been shown what decides here against an event that this replica showed to others.

use std::collections::BTreeMap;

use crate::ids::Origin;
use crate::names::{GroupName, UserId};
use crate::rule::{self, Rule};
use crate::stamp::OrderKey;
use crate::version_vector::VersionVector;

use super::{FeedEntry, Kind};

/// What the frames about one thing carry: a message with its copies and likes, or one user's
/// membership of a group.
type Object = (bool, GroupName, String);
/// What one event decides: the place of a message, or one user's like of it or membership.
type RegisterKey = (Object, Option<UserId>);
/// How many stale entries there are of each origin.
type Origins = BTreeMap<Origin, usize>;

/// The entries that compete with those of a step, as far as they were delivered. Each look-up costs
/// the same, however many there are.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// What decides each register among all that was delivered.
    outcomes: BTreeMap<RegisterKey, (OrderKey, Kind)>,
    stale_of_object: BTreeMap<Object, Origins>,
    stale_of_register: BTreeMap<RegisterKey, Origins>,
    is_empty: bool,
}

impl Rivals {
    /// Sorts entries. `acknowledged`: none when nothing is stale.
    pub fn of(
        entries: &[FeedEntry],
        delivered: &VersionVector,
        acknowledged: Option<&VersionVector>,
    ) -> Self {
        let mut rivals = Self {
            is_empty: entries.is_empty(),
            ..Self::default()
        };
        for entry in entries {
            let dot = entry.position.dot();
            if !delivered.covers(dot) {
                continue;
            }
            rivals.record(entry);
            if acknowledged.is_some_and(|acknowledged| !acknowledged.covers(dot)) {
                let of_object = rivals.stale_of_object.entry(object(entry)).or_default();
                *of_object.entry(dot.origin).or_default() += 1;
                let of_register = rivals.stale_of_register.entry(register(entry)).or_default();
                *of_register.entry(dot.origin).or_default() += 1;
            }
        }
        rivals
    }

    /// Takes in an entry that is delivered now.
    pub fn record(&mut self, entry: &FeedEntry) {
        if self.is_empty {
            return;
        }
        let this = (entry.position, entry.kind);
        let outcome = self.outcomes.entry(register(entry)).or_insert(this);
        let decides = if entry.kind.is_copy() {
            this.0 < outcome.0
        } else {
            this.0 > outcome.0
        };
        if decides {
            *outcome = this;
        }
    }

    /// Returns as what an undelivered entry is told to a reader who was delivered events that
    /// arrived here after it: as what changes the outcome of all that was delivered.
    pub fn deliver(&self, entry: &FeedEntry) -> Option<Kind> {
        let outcome = self.outcomes.get(&register(entry)).copied();
        match outcome {
            None if entry.kind.is_copy() => Some(Kind::Message),
            None => entry.kind.is_in().then_some(entry.kind),
            Some((lowest, _)) if entry.kind.is_copy() => {
                (entry.position < lowest).then_some(Kind::Moved)
            }
            Some((_, kind)) if kind == entry.kind => None,
            Some((position, kind)) if position > entry.position => Some(kind),
            Some(_) => Some(entry.kind),
        }
    }

    /// Takes in that a stale entry is acknowledged. Returns as what it is told again, if at all.
    ///
    /// A frame about the object was made without this entry only if that frame was for a concurrent
    /// event, which was then stale too, and of another origin. So the object is told again when the
    /// entry is the last of its origin while stale entries of exactly one other origin are left:
    /// once for each object and each register, however the reader's calls cut the log. Where stale
    /// events cannot be looked up (`has_hidden`: they are lost, or kept back), each may have been
    /// about the object: it is told again with its last entry too.
    pub fn recheck(&mut self, entry: &FeedEntry, has_hidden: bool) -> Option<Kind> {
        let origin = entry.position.dot().origin;
        let (object, register) = (object(entry), register(entry));
        let of_register = self.stale_of_register.get_mut(&register);
        let of_register = of_register.is_some_and(|it| ends_a_doubt(it, origin, has_hidden));
        let of_object = self.stale_of_object.get_mut(&object);
        let of_object = of_object.is_some_and(|it| ends_a_doubt(it, origin, has_hidden))
            && rule::holds(Rule::RecheckIsOfTheObject);
        if !of_register && !of_object {
            return None;
        }
        if entry.kind.is_copy() {
            return Some(Kind::Moved);
        }
        self.outcomes.get(&register).map(|&(_, kind)| kind)
    }
}

/// Takes an entry of an origin out of the stale ones. Tells whether concurrent events may have been
/// among them, and are no more.
fn ends_a_doubt(stale: &mut Origins, origin: Origin, has_hidden: bool) -> bool {
    if let Some(count) = stale.get_mut(&origin) {
        *count -= 1;
        if *count == 0 {
            stale.remove(&origin);
        }
    }
    let is_last = has_hidden && stale.is_empty();
    is_last || (stale.len() == 1 && !stale.contains_key(&origin))
}

fn object(entry: &FeedEntry) -> Object {
    let is_membership = entry.kind.is_membership();
    (is_membership, entry.group.clone(), entry.subject.clone())
}

fn register(entry: &FeedEntry) -> RegisterKey {
    let user = (!entry.kind.is_copy()).then(|| entry.user.id.clone());
    (object(entry), user)
}
