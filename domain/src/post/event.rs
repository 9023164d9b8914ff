//! The events of a post. Their stored form is frozen.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::names::{User, key_digest};

/// An event of one message. The envelope names its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PostEvent {
    /// The message was written.
    MessagePosted {
        /// The author, with the name at that time.
        author: User,
        /// The text, within the length limit of the accepting replica, which may differ from ours.
        text: String,
        /// The client's wall time, milliseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_at: Option<i64>,
        /// The key that makes a retry harmless.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// A user likes the message.
    MessageLiked {
        /// The user, with the name at that time.
        user: User,
    },
    /// A user has withdrawn a like.
    MessageUnliked {
        /// The user, with the name at that time.
        user: User,
    },
    /// A type unknown to this version: stored and relayed, without effect on the state.
    Unknown,
}

impl PostEvent {
    /// The type of [`PostEvent::MessagePosted`].
    pub(crate) const POSTED: &str = "MessagePosted";

    /// The digest by which the message is looked up, if it was sent with a key.
    pub(crate) fn key_digest(&self) -> Option<[u8; 16]> {
        match self {
            Self::MessagePosted { author, key, .. } => {
                let key = key.as_ref()?;
                Some(key_digest(&author.id, key))
            }
            _ => None,
        }
    }
}

impl Event for PostEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::MessagePosted { .. } => Self::POSTED,
            Self::MessageLiked { .. } => "MessageLiked",
            Self::MessageUnliked { .. } => "MessageUnliked",
            Self::Unknown => "Unknown",
        }
    }

    fn unknown() -> Self {
        Self::Unknown
    }

    fn read(kind: &str, event: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Posted {
            author: User,
            text: String,
            sent_at: Option<i64>,
            key: Option<String>,
        }
        #[derive(Deserialize)]
        struct About {
            user: User,
        }
        match kind {
            Self::POSTED => {
                let Posted {
                    author,
                    text,
                    sent_at,
                    key,
                } = serde_json::from_str(event)?;
                Ok(Self::MessagePosted {
                    author,
                    text,
                    sent_at,
                    key,
                })
            }
            "MessageLiked" => {
                serde_json::from_str(event).map(|About { user }| Self::MessageLiked { user })
            }
            "MessageUnliked" => {
                serde_json::from_str(event).map(|About { user }| Self::MessageUnliked { user })
            }
            _ => Ok(Self::Unknown),
        }
    }
}
