//! A group: who is a member. The name is its id; it exists from its first join.
//!
//! Joins and leaves on both sides of a cut merge without a coordinator: for each user the event
//! with the highest order key says whether the user is a member, in whatever order events arrive.

mod event;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use event::GroupEvent;

use crate::names::{User, UserId};
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
    users: BTreeMap<UserId, Standing>,
    exists: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    since: OrderKey,
    is_member: bool,
}

impl Group {
    /// Says what follows from a command. A join or leave that changes nothing here is still an
    /// event: its order key must beat what another replica accepted before it.
    pub fn decide(&self, command: GroupCommand) -> GroupEvent {
        match command {
            GroupCommand::Join { user } => GroupEvent::MemberJoined { user },
            GroupCommand::Leave { user } => GroupEvent::MemberLeft { user },
        }
    }

    /// Folds one event in, known or not, in any order.
    pub fn apply(&mut self, key: OrderKey, event: &GroupEvent) {
        let (user, is_member) = match event {
            GroupEvent::MemberJoined { user } => (user, true),
            GroupEvent::MemberLeft { user } => (user, false),
            GroupEvent::Unknown => return,
        };
        self.exists |= is_member;
        let standing = self.users.entry(user.id.clone()).or_insert(Standing {
            since: key,
            is_member,
        });
        if key > standing.since {
            *standing = Standing {
                since: key,
                is_member,
            };
        }
    }

    /// Tells where a user stands.
    pub fn membership(&self, user: &UserId) -> Membership {
        match self.users.get(user) {
            _ if !self.exists => Membership::NoSuchGroup,
            Some(standing) if standing.is_member => Membership::Member,
            _ => Membership::NotAMember,
        }
    }

    /// How many users it remembers, members or not: what it costs to keep.
    pub fn weight(&self) -> usize {
        self.users.len()
    }
}
