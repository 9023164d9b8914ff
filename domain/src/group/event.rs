//! The events of a group. Their stored form is frozen.

use serde::{Deserialize, Serialize};

use crate::envelope::MAX_FRAME_NAME_BYTES;
use crate::event::Event;
use crate::names::User;

/// An event of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum GroupEvent {
    /// A user joined.
    MemberJoined {
        /// The user, with the name at that time.
        user: User,
    },
    /// A user left.
    MemberLeft {
        /// The user, with the name at that time.
        user: User,
    },
    /// A type unknown to this version: stored and relayed, without effect on the state.
    Unknown,
}

impl GroupEvent {
    /// The id of the user whose membership it writes. `None` if the id cannot be indexed:
    /// nobody can log in with such an id, so nothing asks for it.
    pub(crate) fn member(&self) -> Option<&str> {
        let (Self::MemberJoined { user } | Self::MemberLeft { user }) = self else {
            return None;
        };
        let id = user.id.0.as_str();
        (id.len() <= MAX_FRAME_NAME_BYTES && !id.contains('\0')).then_some(id)
    }
}

impl Event for GroupEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::MemberJoined { .. } => "MemberJoined",
            Self::MemberLeft { .. } => "MemberLeft",
            Self::Unknown => "Unknown",
        }
    }

    fn unknown() -> Self {
        Self::Unknown
    }

    fn read(kind: &str, event: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct About {
            user: User,
        }
        match kind {
            "MemberJoined" => {
                serde_json::from_str(event).map(|About { user }| Self::MemberJoined { user })
            }
            "MemberLeft" => {
                serde_json::from_str(event).map(|About { user }| Self::MemberLeft { user })
            }
            _ => Ok(Self::Unknown),
        }
    }
}
