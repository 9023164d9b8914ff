//! What a reader is told of one entry: pure functions of the entry, of what the reader was
//! delivered, and of the entries that compete with it.
//!
//! Replicas hold the same events in different orders, so a reader who comes from another replica may
//! have been shown what decides here against an event that this replica showed to others.

use std::collections::BTreeSet;

use crate::ids::Origin;
use crate::rule::{self, Rule};
use crate::version_vector::VersionVector;

use super::{FeedEntry, Kind};

/// Returns as what an undelivered entry is told to a reader who was delivered events that arrived
/// here after it: as what changes the outcome of all that was delivered. `rivals`: every entry of
/// the same register.
pub(super) fn deliver(
    entry: &FeedEntry,
    rivals: &[FeedEntry],
    delivered: &VersionVector,
) -> Option<Kind> {
    let known = rivals
        .iter()
        .filter(|rival| rival.is_of_the_register_of(entry))
        .filter(|rival| delivered.covers(rival.position.dot()));
    if entry.kind.is_copy() {
        return match known.map(|copy| copy.position).min() {
            None => Some(Kind::Message),
            Some(lowest) => (entry.position < lowest).then_some(Kind::Moved),
        };
    }
    match known.max_by_key(|rival| rival.position) {
        None => entry.kind.is_in().then_some(entry.kind),
        Some(decides) => {
            let winner = if decides.position > entry.position {
                decides
            } else {
                entry
            };
            (decides.kind != entry.kind).then_some(winner.kind)
        }
    }
}

/// Returns as what a stale entry is told again, if at all. `rivals`: every entry of its register,
/// and every stale entry about its object.
///
/// A frame about the object was made without this entry only if that frame was for a concurrent
/// event, which was then stale too, and of another origin. So the object is told again when the
/// entry is the last of its origin while stale entries of exactly one other origin are left: once
/// for each object and each register, however the reader's calls cut the log. Where stale events are
/// lost (`has_lost`), each may have been about the object: it is told again with its last entry.
pub(super) fn recheck(
    entry: &FeedEntry,
    rivals: &[FeedEntry],
    delivered: &VersionVector,
    acknowledged: &VersionVector,
    has_lost: bool,
) -> Option<Kind> {
    let others = || {
        rivals.iter().filter(|rival| {
            let dot = rival.position.dot();
            dot != entry.position.dot() && delivered.covers(dot) && !acknowledged.covers(dot)
        })
    };
    let of_register = others().filter(|rival| rival.is_of_the_register_of(entry));
    let of_object = others().filter(|rival| rival.is_about_the_object_of(entry));
    let is_of_object =
        rule::holds(Rule::RecheckIsOfTheObject) && ends_a_doubt(entry, of_object, has_lost);
    let is_told = is_of_object || ends_a_doubt(entry, of_register, has_lost);
    if !is_told || entry.kind.is_copy() {
        return is_told.then_some(Kind::Moved);
    }
    let known = rivals
        .iter()
        .filter(|rival| rival.is_of_the_register_of(entry))
        .filter(|rival| delivered.covers(rival.position.dot()));
    let decides = known.chain([entry]).max_by_key(|rival| rival.position);
    decides.map(|decides| decides.kind)
}

/// Tells whether concurrent events may be among these, this one and the lost ones, and none without
/// this one.
fn ends_a_doubt<'a>(
    entry: &FeedEntry,
    others: impl Iterator<Item = &'a FeedEntry>,
    has_lost: bool,
) -> bool {
    let origin_of = |entry: &FeedEntry| entry.position.dot().origin;
    let origins: BTreeSet<Origin> = others.map(origin_of).collect();
    if has_lost {
        return origins.is_empty();
    }
    origins.len() == 1 && !origins.contains(&origin_of(entry))
}
