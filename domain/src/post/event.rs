//! What has happened to a post. The stored shape is frozen.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::names::{User, key_digest};

/// A fact about one message. Its group is named by the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PostEvent {
    /// The message was written.
    MessagePosted {
        /// By whom, with the name at that time.
        author: User,
        /// What; at most the bound of the replica that accepted it, which may be another here.
        text: String,
        /// When the client says it was written, milliseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_at: Option<i64>,
        /// The key under which it may be sent again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// Somebody likes it.
    MessageLiked {
        /// Who, with the name at that time.
        user: User,
    },
    /// Somebody took a like back.
    MessageUnliked {
        /// Who, with the name at that time.
        user: User,
    },
    /// A type this version does not know: kept and passed on, changes nothing.
    Unknown,
}

impl PostEvent {
    /// The type of [`PostEvent::MessagePosted`].
    pub(crate) const POSTED: &str = "MessagePosted";

    /// What the message is looked up by, where it was sent under a key.
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
