//! A post: one message and the likes it has.
//!
//! Two replicas may accept the same message (a retry with its key on both sides of a cut): of the
//! copies, the one with the lowest order key is the message. Likes merge like memberships: for each
//! user the event with the highest order key wins.

mod event;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use event::PostEvent;

use crate::group::Membership;
use crate::names::{GroupName, User, UserId};
use crate::stamp::OrderKey;
use crate::text::{IdempotencyKey, MessageText};

/// What may be asked of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostCommand {
    /// Write the message.
    Post {
        /// Who writes.
        author: User,
        /// What.
        text: MessageText,
        /// When the client says it was written, milliseconds since 1970.
        sent_at_ms: Option<i64>,
        /// The key under which it may be sent again.
        key: Option<IdempotencyKey>,
    },
    /// Like it.
    Like {
        /// Who likes.
        user: User,
    },
    /// Take the like back.
    Unlike {
        /// Whose like.
        user: User,
    },
}

/// Why the rules say no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No group of this name here.
    #[error("no such group")]
    NoSuchGroup,
    /// Writing and liking need membership.
    #[error("not a member of this group")]
    NotAMember,
    /// No such message in this group here.
    #[error("no such message in this group")]
    NoSuchMessage,
    /// Nobody likes the own message.
    #[error("one's own message")]
    OwnMessage,
    /// There is no like to take back.
    #[error("not liked")]
    NotLiked,
    /// The key was used before for another text or group.
    #[error("idempotency key used for another message")]
    KeyReused,
}

/// One message, as far as the rules need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    original: Option<Original>,
    likes: BTreeMap<UserId, Like>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Original {
    place: OrderKey,
    author: UserId,
    group: Option<GroupName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Like {
    since: OrderKey,
    is_liked: bool,
}

impl Post {
    /// Says what follows from a command, given where the asking user stands in `group`.
    pub fn decide(
        &self,
        group: &GroupName,
        membership: Membership,
        command: PostCommand,
    ) -> Result<PostEvent, Refusal> {
        match membership {
            Membership::NoSuchGroup => return Err(Refusal::NoSuchGroup),
            Membership::NotAMember => return Err(Refusal::NotAMember),
            Membership::Member => {}
        }
        match command {
            PostCommand::Post {
                author,
                text,
                sent_at_ms,
                key,
            } => Ok(PostEvent::MessagePosted {
                author,
                text: text.into_string(),
                sent_at: sent_at_ms,
                key: key.map(|key| key.as_str().to_owned()),
            }),
            PostCommand::Like { user } => {
                if self.author_in(group)? == &user.id {
                    return Err(Refusal::OwnMessage);
                }
                Ok(PostEvent::MessageLiked { user })
            }
            PostCommand::Unlike { user } => {
                self.author_in(group)?;
                if !self.is_liked_by(&user.id) {
                    return Err(Refusal::NotLiked);
                }
                Ok(PostEvent::MessageUnliked { user })
            }
        }
    }

    fn author_in(&self, group: &GroupName) -> Result<&UserId, Refusal> {
        self.original
            .as_ref()
            .filter(|original| original.group.as_ref() == Some(group))
            .map(|original| &original.author)
            .ok_or(Refusal::NoSuchMessage)
    }

    fn is_liked_by(&self, user: &UserId) -> bool {
        self.likes.get(user).is_some_and(|like| like.is_liked)
    }

    /// Folds one event in, in any order. `group` is the one its envelope names.
    pub fn apply(&mut self, key: OrderKey, group: Option<GroupName>, event: &PostEvent) {
        match event {
            PostEvent::MessagePosted { author, .. } => {
                if self
                    .original
                    .as_ref()
                    .is_none_or(|original| key < original.place)
                {
                    self.original = Some(Original {
                        place: key,
                        author: author.id.clone(),
                        group,
                    });
                }
            }
            PostEvent::MessageLiked { user } => self.apply_like(key, user, true),
            PostEvent::MessageUnliked { user } => self.apply_like(key, user, false),
            PostEvent::Unknown => {}
        }
    }

    fn apply_like(&mut self, since: OrderKey, user: &User, is_liked: bool) {
        let like = self
            .likes
            .entry(user.id.clone())
            .or_insert(Like { since, is_liked });
        if since > like.since {
            *like = Like { since, is_liked };
        }
    }

    /// How many users it remembers: what it costs to keep.
    pub fn weight(&self) -> usize {
        1 + self.likes.len()
    }
}
