//! A group: who is a member. The name is its id; it exists from its first join.
//!
//! Joins and leaves on both sides of a cut merge without a coordinator: for each user the event
//! with the highest order key says whether the user is a member, in whatever order events arrive.

mod event;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use event::GroupEvent;

use crate::names::{User, UserId};
use crate::register::Register;
use crate::stamp::OrderKey;

/// What may be asked of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupCommand {
    /// Become a member. Harmless when one is.
    Join {
        /// Who.
        user: User,
    },
    /// End the membership. Harmless when there is none.
    Leave {
        /// Who.
        user: User,
    },
}

/// What a group says to somebody who wants to write in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Nobody ever joined a group of this name, as far as this replica knows.
    NoSuchGroup,
    /// The group exists; this user is not in it.
    NotAMember,
    /// The user is in it.
    Member,
}

/// The members of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Whether a user is a member.
    members: BTreeMap<UserId, Register<bool>>,
    exists: bool,
}

impl Group {
    /// Says what follows from a command. A join or leave that changes nothing here is still an
    /// event: its order key must beat what another replica accepted before it.
    pub(crate) fn decide(command: GroupCommand) -> GroupEvent {
        match command {
            GroupCommand::Join { user } => GroupEvent::MemberJoined { user },
            GroupCommand::Leave { user } => GroupEvent::MemberLeft { user },
        }
    }

    /// Folds one event in, known or not, in any order.
    pub(crate) fn fold(&mut self, key: OrderKey, event: &GroupEvent) {
        let (user, is_member) = match event {
            GroupEvent::MemberJoined { user } => (user, true),
            GroupEvent::MemberLeft { user } => (user, false),
            GroupEvent::Unknown => return,
        };
        self.exists |= is_member;
        Register::write_at(&mut self.members, user.id.clone(), key, is_member);
    }

    /// Tells where a user stands.
    pub fn membership(&self, user: &UserId) -> Membership {
        match self.members.get(user) {
            _ if !self.exists => Membership::NoSuchGroup,
            Some(member) if member.value => Membership::Member,
            _ => Membership::NotAMember,
        }
    }

    /// How many users it remembers, members or not: what it costs to keep.
    pub fn weight(&self) -> usize {
        self.members.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlc::Hlc;
    use crate::ids::{Epoch, ReplicaId};

    #[test]
    fn a_group_exists_from_its_first_join() {
        let nobody_joined = folded(&[(1, left("anna"))]);
        let joined = folded(&[(1, joined("anna"))]);

        assert_eq!(
            Group::default().membership(&id("anna")),
            Membership::NoSuchGroup
        );
        assert_eq!(
            nobody_joined.membership(&id("anna")),
            Membership::NoSuchGroup
        );
        assert_eq!(joined.membership(&id("anna")), Membership::Member);
        assert_eq!(joined.membership(&id("bert")), Membership::NotAMember);
    }

    #[test]
    fn a_group_outlives_its_last_member() {
        let group = folded(&[(1, joined("anna")), (2, left("anna"))]);

        assert_eq!(group.membership(&id("anna")), Membership::NotAMember);
    }

    #[test]
    fn the_highest_key_decides_whatever_arrives_last() {
        let group = folded(&[(5, joined("anna")), (4, left("anna"))]);
        assert_eq!(group.membership(&id("anna")), Membership::Member);

        let group = folded(&[(5, left("anna")), (4, joined("anna"))]);
        assert_eq!(group.membership(&id("anna")), Membership::NotAMember);
    }

    #[test]
    fn each_user_stands_alone() {
        let group = folded(&[(1, joined("anna")), (2, joined("bert")), (3, left("anna"))]);

        assert_eq!(group.membership(&id("anna")), Membership::NotAMember);
        assert_eq!(group.membership(&id("bert")), Membership::Member);
    }

    #[test]
    fn an_unknown_event_changes_nothing() {
        assert_eq!(folded(&[(1, GroupEvent::Unknown)]), Group::default());
    }

    fn folded(events: &[(u64, GroupEvent)]) -> Group {
        let mut group = Group::default();
        for (hlc, event) in events {
            group.fold(key(*hlc), event);
        }
        group
    }

    fn joined(name: &str) -> GroupEvent {
        GroupEvent::MemberJoined { user: user(name) }
    }

    fn left(name: &str) -> GroupEvent {
        GroupEvent::MemberLeft { user: user(name) }
    }

    fn id(name: &str) -> UserId {
        user(name).id
    }

    fn key(hlc: u64) -> OrderKey {
        OrderKey {
            hlc: Hlc::at_ms(hlc),
            replica: ReplicaId::new(1).unwrap(),
            epoch: Epoch(7),
            seq: hlc,
        }
    }

    fn user(name: &str) -> User {
        User {
            id: UserId(name.to_owned()),
            name: name.to_owned(),
        }
    }
}
