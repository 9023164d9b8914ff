//! The feed: one entry per event that concerns a group's readers, in log order.

use crate::names::{GroupName, User};
use crate::stamp::OrderKey;

/// The kind of an entry in a group's feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Message,
    /// A copy of a known message that sorts before it: the message moves.
    Moved,
    /// A like.
    Like,
    /// A withdrawn like.
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

    /// Whether the entry is a copy of a message, not a write to a user's register.
    pub fn is_copy(self) -> bool {
        matches!(self, Self::Message | Self::Moved)
    }

    /// Whether the entry is about a membership, not about a message.
    pub fn is_membership(self) -> bool {
        matches!(self, Self::Join | Self::Leave)
    }

    /// Whether the entry sets a user's register: a join or a like.
    pub fn is_in(self) -> bool {
        matches!(self, Self::Like | Self::Join)
    }

    /// The opposite write: `leave` for `join`. A copy of a message has none and yields itself.
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

    /// Parses the name of a frame.
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

/// The effect of an event on this replica's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// None: a write with a higher key set the same value, or a lower copy is known.
    Lost,
    /// None: a write with a higher key set the opposite value. A frame from another replica may
    /// have shown this event's value, so readers are sent the current value again.
    Overruled,
    /// The register holds this event's write now; its value is unchanged.
    Won,
    /// The history changes visibly.
    Shown,
}

impl Effect {
    /// Whether the register holds this event's write now.
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

/// One event in the feed of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its offset in this replica's log.
    pub offset: i64,
    /// The group whose readers it concerns.
    pub group: GroupName,
    /// Its kind.
    pub kind: Kind,
    /// The id of the message, or of the user who joined or left.
    pub subject: String,
    /// The acting user.
    pub user: User,
    /// Its order key, which includes its dot.
    pub position: OrderKey,
    /// The API level of its event type.
    pub level: u32,
    /// Its effect on this replica's history.
    pub effect: Effect,
}

impl FeedEntry {
    /// The kind of its frame for a reader who was delivered exactly the entries before it; `None`
    /// if it needs no frame.
    pub fn shown_as(&self) -> Option<Kind> {
        match self.effect {
            Effect::Shown => Some(self.kind),
            Effect::Overruled => Some(self.kind.contrary()),
            Effect::Won | Effect::Lost => None,
        }
    }
}
