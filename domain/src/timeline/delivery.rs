//! Which frame a reader is sent for an entry, given the entries that compete with it.
//!
//! Logs order the same events differently. A reader who comes from another replica may already have
//! been shown a write that overrules an entry which this replica has shown to its other readers.

use std::collections::BTreeMap;

use crate::ids::Origin;
use crate::mutant;
use crate::names::{GroupName, UserId};
use crate::stamp::OrderKey;
use crate::version_vector::VersionVector;

use super::{FeedEntry, Kind};

/// The content of a frame: a message with its copies and likes, or one user's membership of a
/// group.
type Object = (bool, GroupName, String);
/// The register that an event writes: a message's position, one user's like of it, or a membership.
type RegisterKey = (Object, Option<UserId>);
/// Number of stale entries per origin.
type StaleCounts = BTreeMap<Origin, usize>;

/// The delivered entries that compete with those of a step. The cost of a lookup does not depend on
/// their number.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// The winning write of each register among the delivered entries.
    outcomes: BTreeMap<RegisterKey, (OrderKey, Kind)>,
    stale_of_object: BTreeMap<Object, StaleCounts>,
    stale_of_register: BTreeMap<RegisterKey, StaleCounts>,
    is_empty: bool,
}

impl Rivals {
    /// Indexes entries. `acknowledged` is `None` if nothing is stale.
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

    /// Records an entry as delivered.
    pub fn record(&mut self, entry: &FeedEntry) {
        if self.is_empty {
            return;
        }
        let this = (entry.position, entry.kind);
        let outcome = self.outcomes.entry(register(entry)).or_insert(this);
        let wins = if entry.kind.is_copy() {
            this.0 < outcome.0
        } else {
            this.0 > outcome.0
        };
        if wins {
            *outcome = this;
        }
    }

    /// The kind of the frame for an undelivered entry, where the reader was delivered entries that
    /// follow it in this log. `None` if the entry does not change the outcome of the delivered
    /// ones.
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

    /// Acknowledges a stale entry. Returns the kind of the frame that shows its object again,
    /// `None` if no frame is needed.
    ///
    /// A frame about the object lacks this entry only if it was sent for a concurrent event, which
    /// then became stale too and has another origin. So the object is shown again when the entry is
    /// the last of its origin and stale entries of exactly one other origin remain: once per object
    /// and per register, wherever the reader's calls split the log. Stale events that cannot be
    /// looked up (`has_hidden`: lost, or of a forked origin) may have been about the object; then
    /// it is shown again with its last stale entry too.
    pub fn recheck(&mut self, entry: &FeedEntry, has_hidden: bool) -> Option<Kind> {
        let origin = entry.position.dot().origin;
        let (object, register) = (object(entry), register(entry));
        let of_register = self.stale_of_register.get_mut(&register);
        let of_register = of_register.is_some_and(|it| ends_conflict(it, origin, has_hidden));
        let of_object = self.ends_conflict_about(&object, origin, has_hidden);
        if !of_register && !of_object {
            return None;
        }
        if entry.kind.is_copy() {
            return Some(Kind::Moved);
        }
        self.outcomes.get(&register).map(|&(_, kind)| kind)
    }

    /// Whether this entry of an origin ends a possible conflict about the whole object.
    fn ends_conflict_about(&mut self, object: &Object, origin: Origin, has_hidden: bool) -> bool {
        mutant!(RecheckIsOfTheObject => false);
        let stale = self.stale_of_object.get_mut(object);
        stale.is_some_and(|it| ends_conflict(it, origin, has_hidden))
    }
}

/// Removes an entry of an origin from the stale ones. Returns whether this ends a possible conflict
/// between concurrent stale events.
fn ends_conflict(stale: &mut StaleCounts, origin: Origin, has_hidden: bool) -> bool {
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
