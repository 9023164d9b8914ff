//! Events of peers: which can be stored now, and what of them the log keeps beside their bytes.

use std::collections::BTreeSet;

use crate::envelope::{MAX_FRAME_NAME_BYTES, RawEvent};
use crate::event::Event;
use crate::group::GroupEvent;
use crate::ids::Origin;
use crate::names::key_digest;
use crate::post::PostEvent;
use crate::rule::{self, Rule};
use crate::writing::Absorbed;

use super::{Batch, GROUP, POST};

impl Batch<'_> {
    /// Takes a peer's events in, in the order given: each one after all in its past, with the
    /// next number of its origin, and with the chain that follows from the former one (F10, F11).
    /// What the past names of a `known_forks` origin is excused: a fork stops that origin, not all
    /// that was written since in the knowledge of it.
    pub(super) fn absorb(
        &mut self,
        events: &[RawEvent],
        known_forks: &BTreeSet<Origin>,
    ) -> Absorbed {
        let mut stored = 0;
        let mut missing = BTreeSet::new();
        let mut forked = BTreeSet::new();
        let mut unknown_own = None;
        for event in events {
            let stamp = &event.envelope.stamp;
            if self.head.vector.covers(stamp.dot()) {
                continue;
            }
            if stamp.origin == self.head.origin {
                unknown_own = unknown_own.max(Some(stamp.dot()));
                continue;
            }
            let mut needed = stamp.past.beyond(&self.head.vector);
            needed.retain(|range| {
                if range.origin == stamp.origin {
                    rule::holds(Rule::NextIsAsked)
                } else {
                    !known_forks.contains(&range.origin) && rule::holds(Rule::PastIsAsked)
                }
            });
            if !needed.is_empty() {
                missing.extend(needed);
                continue;
            }
            let chain = self.chain_of(stamp.origin).then(event.bytes.as_bytes());
            if chain != event.hash && rule::holds(Rule::ChainIsChecked) {
                forked.insert(stamp.origin);
                continue;
            }
            let digest = key_of(event);
            self.fold_in(event.clone(), digest);
            stored += 1;
        }
        Absorbed {
            stored,
            missing: missing.into_iter().collect(),
            forked: forked.into_iter().collect(),
            unknown_own,
        }
    }
}

/// Whose membership an event is about.
pub(super) fn member_of(event: &RawEvent) -> Option<String> {
    let envelope = &event.envelope;
    if envelope.aggregate != GROUP {
        return None;
    }
    match GroupEvent::read(&envelope.kind, envelope.event.get()) {
        Ok(GroupEvent::MemberJoined { user } | GroupEvent::MemberLeft { user }) => {
            // Nobody can log in under an id that no index holds, so nobody asks for it.
            let id = user.id.0;
            (id.len() <= MAX_FRAME_NAME_BYTES && !id.contains('\0')).then_some(id)
        }
        Ok(GroupEvent::Unknown) | Err(_) => None,
    }
}

/// The key a peer's message was sent under.
pub(super) fn key_of(event: &RawEvent) -> Option<[u8; 16]> {
    let envelope = &event.envelope;
    if envelope.aggregate != POST {
        return None;
    }
    match PostEvent::read(&envelope.kind, envelope.event.get()) {
        Ok(PostEvent::MessagePosted {
            author,
            key: Some(key),
            ..
        }) => Some(key_digest(&author.id, &key)),
        _ => None,
    }
}
