//! The feed: one entry per event that concerns a group's readers, in order of arrival.

use crate::names::{GroupName, User};
use crate::stamp::OrderKey;

/// What an event was about, for those who read a group's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Message,
    /// An earlier copy of a message that was known already.
    Moved,
    /// A like.
    Like,
    /// A like taken back.
    Unlike,
    /// A user joined.
    Join,
    /// A user left.
    Leave,
}

impl Kind {
    /// The name of the frame.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Moved => "moved",
            Self::Like => "like",
            Self::Unlike => "unlike",
            Self::Join => "join",
            Self::Leave => "leave",
        }
    }

    /// Tells whether it is a copy of a message, not a user's standing.
    pub fn is_copy(self) -> bool {
        matches!(self, Self::Message | Self::Moved)
    }

    /// Tells whether it is about a membership, not about a message.
    pub fn is_membership(self) -> bool {
        matches!(self, Self::Join | Self::Leave)
    }

    /// Tells whether it says that a user is a member, or likes a message.
    pub fn is_in(self) -> bool {
        matches!(self, Self::Like | Self::Join)
    }

    /// Returns what says the contrary: `leave` of `join`. A copy of a message has no contrary.
    #[must_use]
    pub fn contrary(self) -> Self {
        match self {
            Self::Like => Self::Unlike,
            Self::Unlike => Self::Like,
            Self::Join => Self::Leave,
            Self::Leave => Self::Join,
            Self::Message | Self::Moved => self,
        }
    }

    /// Reads the name of a frame.
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Message,
            Self::Moved,
            Self::Like,
            Self::Unlike,
            Self::Join,
            Self::Leave,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == name)
    }
}

/// What an event did here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: a higher key had decided the same already, or a lower copy was known.
    Lost,
    /// Nothing: a higher key had decided the contrary already. A frame that another replica made
    /// may show this event's outcome, so readers are given what decides once more.
    Overruled,
    /// It decides now, but nobody sees a difference.
    Won,
    /// People see it.
    Shown,
}

impl Effect {
    /// Tells whether the event decides its register now.
    pub fn decides(self) -> bool {
        matches!(self, Self::Won | Self::Shown)
    }

    /// Parses the name in the table.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Lost, Self::Overruled, Self::Won, Self::Shown]
            .into_iter()
            .find(|effect| effect.as_str() == name)
    }

    /// The name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Overruled => "overruled",
            Self::Won => "won",
            Self::Shown => "shown",
        }
    }
}

/// One event as the streams of its group see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its place in this replica's log.
    pub arrival: i64,
    /// Whose readers it concerns.
    pub group: GroupName,
    /// What it was about.
    pub kind: Kind,
    /// The message's id, or that of the user who joined or left.
    pub subject: String,
    /// Who did it.
    pub user: User,
    /// Its place in the one order, and with it its dot.
    pub position: OrderKey,
    /// The api level of its type.
    pub level: u32,
    /// What it did here.
    pub effect: Effect,
}

impl FeedEntry {
    /// Returns as what every reader is given it who was delivered exactly what arrived before it,
    /// if at all.
    pub fn shown_as(&self) -> Option<Kind> {
        match self.effect {
            Effect::Shown => Some(self.kind),
            Effect::Overruled => Some(self.kind.contrary()),
            Effect::Won | Effect::Lost => None,
        }
    }
}
