//! A group: its members. Its name is its id; it exists from its first join.
//!
//! Joins and leaves on both sides of a cut merge without a coordinator: for each user the event
//! with the highest order key decides, in whatever order the events are delivered.

mod event;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use event::GroupEvent;

use crate::names::{User, UserId};
use crate::register::Register;
use crate::stamp::OrderKey;

/// A command on a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupCommand {
    /// Become a member. Idempotent.
    Join {
        /// The user.
        user: User,
    },
    /// End the membership. Idempotent.
    Leave {
        /// The user.
        user: User,
    },
}

impl GroupCommand {
    /// The user who gives the command.
    pub fn user(&self) -> &User {
        match self {
            Self::Join { user } | Self::Leave { user } => user,
        }
    }
}

/// A user's membership of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// This replica knows of no join to a group of this name.
    NoSuchGroup,
    /// The group exists; the user is not a member.
    NotAMember,
    /// The user is a member.
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
    /// Decides a command. A join or leave without effect on this replica is still an event: it must
    /// overrule an earlier event that another replica may have accepted.
    pub(crate) fn decide(command: GroupCommand) -> GroupEvent {
        match command {
            GroupCommand::Join { user } => GroupEvent::MemberJoined { user },
            GroupCommand::Leave { user } => GroupEvent::MemberLeft { user },
        }
    }

    /// Folds one event, in any order and any number of times.
    pub(crate) fn fold(&mut self, key: OrderKey, event: &GroupEvent) {
        let (user, is_member) = match event {
            GroupEvent::MemberJoined { user } => (user, true),
            GroupEvent::MemberLeft { user } => (user, false),
            GroupEvent::Unknown => return,
        };
        self.exists |= is_member;
        Register::write_at(&mut self.members, user.id.clone(), key, is_member);
    }

    /// Returns the membership of a user.
    pub fn membership(&self, user: &UserId) -> Membership {
        match self.members.get(user) {
            _ if !self.exists => Membership::NoSuchGroup,
            Some(member) if member.value => Membership::Member,
            _ => Membership::NotAMember,
        }
    }

    /// The number of users in it, members or not, as a measure of its memory.
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
        let only_left = folded(&[(1, left("anna"))]);
        let joined = folded(&[(1, joined("anna"))]);

        assert_eq!(
            Group::default().membership(&id("anna")),
            Membership::NoSuchGroup
        );
        assert_eq!(only_left.membership(&id("anna")), Membership::NoSuchGroup);
        assert_eq!(joined.membership(&id("anna")), Membership::Member);
        assert_eq!(joined.membership(&id("bert")), Membership::NotAMember);
    }

    #[test]
    fn a_group_outlives_its_last_member() {
        let group = folded(&[(1, joined("anna")), (2, left("anna"))]);

        assert_eq!(group.membership(&id("anna")), Membership::NotAMember);
    }

    #[test]
    fn the_highest_key_decides_in_any_order() {
        let group = folded(&[(5, joined("anna")), (4, left("anna"))]);
        assert_eq!(group.membership(&id("anna")), Membership::Member);

        let group = folded(&[(5, left("anna")), (4, joined("anna"))]);
        assert_eq!(group.membership(&id("anna")), Membership::NotAMember);
    }

    #[test]
    fn users_do_not_affect_each_other() {
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
