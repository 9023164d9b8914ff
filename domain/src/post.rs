//! A post: one message and its likes.
//!
//! Two replicas may accept the same message (a retry with its key on both sides of a cut). Of the
//! copies, the one with the lowest order key is the message. Likes merge like memberships: for each
//! user the event with the highest order key wins.

mod event;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use event::PostEvent;

use crate::group::Membership;
use crate::names::{GroupName, User, UserId, key_digest};
use crate::register::Register;
use crate::stamp::OrderKey;
use crate::text::{IdempotencyKey, MessageText};

/// A command on a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostCommand {
    /// Write the message.
    Post {
        /// The author.
        author: User,
        /// The text.
        text: MessageText,
        /// The client's wall time, milliseconds since 1970.
        sent_at_ms: Option<i64>,
        /// The key that makes a retry harmless.
        key: Option<IdempotencyKey>,
    },
    /// Like the message.
    Like {
        /// The user.
        user: User,
    },
    /// Withdraw the like.
    Unlike {
        /// The user.
        user: User,
    },
}

impl PostCommand {
    /// The user who gives the command.
    pub fn user(&self) -> &User {
        match self {
            Self::Post { author, .. } => author,
            Self::Like { user } | Self::Unlike { user } => user,
        }
    }

    /// The digest by which an idempotency key is looked up, if the message has one.
    pub fn key_digest(&self) -> Option<[u8; 16]> {
        match self {
            Self::Post { author, key, .. } => {
                let key = key.as_ref()?;
                Some(key_digest(&author.id, key.as_str()))
            }
            Self::Like { .. } | Self::Unlike { .. } => None,
        }
    }
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The group does not exist on this replica.
    #[error("no such group")]
    NoSuchGroup,
    /// The user is not a member; posting and liking require membership.
    #[error("not a member of this group")]
    NotAMember,
    /// The message does not exist in this group on this replica.
    #[error("no such message in this group")]
    NoSuchMessage,
    /// The user is the author; authors cannot like their own messages.
    #[error("one's own message")]
    OwnMessage,
    /// The user does not like the message.
    #[error("not liked")]
    NotLiked,
    /// The key was used for another text or group.
    #[error("idempotency key used for another message")]
    KeyReused,
}

/// The state of one message, as far as the rules need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    original: Option<Original>,
    /// Whether a user likes it.
    likes: BTreeMap<UserId, Register<bool>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Original {
    place: OrderKey,
    author: UserId,
    /// As spelled in its envelope.
    group: Option<String>,
}

impl Original {
    fn is_in(&self, group: &GroupName) -> bool {
        self.group.as_deref() == Some(group.as_str())
    }
}

impl Post {
    /// Decides a command, given the user's membership of `group`.
    pub(crate) fn decide(
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
            .filter(|original| original.is_in(group))
            .map(|original| &original.author)
            .ok_or(Refusal::NoSuchMessage)
    }

    fn is_liked_by(&self, user: &UserId) -> bool {
        self.likes.get(user).is_some_and(|like| like.value)
    }

    /// Folds one event, in any order. `group` is the group name in its envelope.
    pub(crate) fn fold(&mut self, key: OrderKey, group: Option<&str>, event: &PostEvent) {
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
                        group: group.map(str::to_owned),
                    });
                }
            }
            PostEvent::MessageLiked { user } => self.apply_like(key, user, true),
            PostEvent::MessageUnliked { user } => self.apply_like(key, user, false),
            PostEvent::Unknown => {}
        }
    }

    fn apply_like(&mut self, since: OrderKey, user: &User, is_liked: bool) {
        Register::write_at(&mut self.likes, user.id.clone(), since, is_liked);
    }

    /// The number of users in it, as a measure of its memory.
    pub fn weight(&self) -> usize {
        1 + self.likes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlc::Hlc;
    use crate::ids::{Epoch, ReplicaId};

    #[test]
    fn the_group_is_checked_first_then_the_membership_then_the_message() {
        let unposted = Post::default();
        let posted = folded(&[(1, posted("anna"))]);
        let mut liked = posted.clone();
        liked.fold(key(2), None, &like("bert"));
        let all = [post_as("anna"), like_as("anna"), unlike_as("anna")];

        for post in [&unposted, &posted, &liked] {
            for command in &all {
                let no_group = post.decide(&lobby(), Membership::NoSuchGroup, command.clone());
                let stranger = post.decide(&lobby(), Membership::NotAMember, command.clone());
                assert_eq!(no_group, Err(Refusal::NoSuchGroup));
                assert_eq!(stranger, Err(Refusal::NotAMember));
            }
        }
        assert_eq!(
            unposted.decide_as_member(like_as("bert")),
            Err(Refusal::NoSuchMessage)
        );
        assert_eq!(
            unposted.decide_as_member(unlike_as("bert")),
            Err(Refusal::NoSuchMessage)
        );
    }

    #[test]
    fn a_message_is_liked_only_in_its_group() {
        let post = folded(&[(1, posted("anna"))]);
        let attic = GroupName::parse("attic").unwrap();

        let liked = post.decide(&attic, Membership::Member, like_as("bert"));

        assert_eq!(liked, Err(Refusal::NoSuchMessage));
    }

    #[test]
    fn an_author_cannot_like_the_message() {
        let post = folded(&[(1, posted("anna"))]);

        assert_eq!(
            post.decide_as_member(like_as("anna")),
            Err(Refusal::OwnMessage)
        );
        assert_eq!(
            post.decide_as_member(unlike_as("anna")),
            Err(Refusal::NotLiked)
        );
        assert_eq!(post.decide_as_member(like_as("bert")), Ok(like("bert")));
    }

    #[test]
    fn a_like_that_changes_nothing_here_is_still_an_event() {
        let post = folded(&[(1, posted("anna")), (2, like("bert"))]);

        assert_eq!(post.decide_as_member(like_as("bert")), Ok(like("bert")));
    }

    #[test]
    fn a_user_withdraws_only_an_existing_like_and_only_once() {
        let liked = folded(&[(1, posted("anna")), (2, like("bert"))]);
        let unliked = folded(&[(1, posted("anna")), (2, like("bert")), (3, unlike("bert"))]);

        assert_eq!(
            liked.decide_as_member(unlike_as("bert")),
            Ok(unlike("bert"))
        );
        assert_eq!(
            liked.decide_as_member(unlike_as("carl")),
            Err(Refusal::NotLiked)
        );
        assert_eq!(
            unliked.decide_as_member(unlike_as("bert")),
            Err(Refusal::NotLiked)
        );
    }

    #[test]
    fn the_highest_key_decides_whether_a_message_is_liked() {
        let late_like = folded(&[(1, posted("anna")), (5, unlike("bert")), (4, like("bert"))]);
        let late_unlike = folded(&[(1, posted("anna")), (5, like("bert")), (4, unlike("bert"))]);

        assert_eq!(
            late_like.decide_as_member(unlike_as("bert")),
            Err(Refusal::NotLiked)
        );
        assert_eq!(
            late_unlike.decide_as_member(unlike_as("bert")),
            Ok(unlike("bert"))
        );
    }

    #[test]
    fn of_several_copies_the_lowest_is_the_message() {
        let higher_first = folded(&[(5, posted("bert")), (4, posted("anna"))]);
        let lower_first = folded(&[(4, posted("anna")), (5, posted("bert"))]);

        assert_eq!(higher_first, lower_first);
        assert_eq!(
            lower_first.decide_as_member(like_as("anna")),
            Err(Refusal::OwnMessage)
        );
    }

    #[test]
    fn a_like_that_precedes_its_message_is_kept() {
        let post = folded(&[(2, like("bert")), (1, posted("anna"))]);

        assert_eq!(post, folded(&[(1, posted("anna")), (2, like("bert"))]));
    }

    #[test]
    fn an_unknown_event_changes_nothing() {
        assert_eq!(folded(&[(1, PostEvent::Unknown)]), Post::default());
    }

    impl Post {
        fn decide_as_member(&self, command: PostCommand) -> Result<PostEvent, Refusal> {
            self.decide(&lobby(), Membership::Member, command)
        }
    }

    fn folded(events: &[(u64, PostEvent)]) -> Post {
        let mut post = Post::default();
        for (hlc, event) in events {
            post.fold(key(*hlc), Some("lobby"), event);
        }
        post
    }

    fn lobby() -> GroupName {
        GroupName::parse("lobby").unwrap()
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

    fn post_as(name: &str) -> PostCommand {
        PostCommand::Post {
            author: user(name),
            text: MessageText::parse("hello", 10).unwrap(),
            sent_at_ms: None,
            key: None,
        }
    }

    fn like_as(name: &str) -> PostCommand {
        PostCommand::Like { user: user(name) }
    }

    fn unlike_as(name: &str) -> PostCommand {
        PostCommand::Unlike { user: user(name) }
    }

    fn posted(name: &str) -> PostEvent {
        PostEvent::MessagePosted {
            author: user(name),
            text: "hello".to_owned(),
            sent_at: None,
            key: None,
        }
    }

    fn like(name: &str) -> PostEvent {
        PostEvent::MessageLiked { user: user(name) }
    }

    fn unlike(name: &str) -> PostEvent {
        PostEvent::MessageUnliked { user: user(name) }
    }
}
