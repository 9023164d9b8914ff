//! Decodes an event as far as the read model needs it.

use crate::envelope::{Envelope, RawEvent};
use crate::event::Event;
use crate::group::GroupEvent;
use crate::names::{GroupName, User};
use crate::post::PostEvent;
use crate::stamp::OrderKey;

use super::Message;

/// A decoded event, as the fold needs it.
#[derive(Clone, Debug)]
pub struct Fact {
    pub(super) offset: i64,
    pub(super) group: GroupName,
    pub(super) position: OrderKey,
    pub(super) level: u32,
    /// Whether an earlier event of its aggregate may have been folded.
    pub(super) may_be_known: bool,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Posted(Box<Message>),
    Liked {
        message: String,
        user: User,
        is_in: bool,
    },
    Joined {
        user: User,
        is_in: bool,
    },
}

/// Why an event cannot be folded. It is quarantined, and the projection continues (F27).
#[derive(Debug, thiserror::Error)]
pub enum Unfoldable {
    /// The content does not match the event type.
    #[error("the content does not match the event type: {0}")]
    Content(#[from] serde_json::Error),
    /// The group is missing, or its name is invalid.
    #[error("the event has no valid group name")]
    Group,
    /// A text contains a character that Postgres cannot store.
    #[error("the event contains a NUL character")]
    Nul,
    /// The user's id or name exceeds the size of an index entry.
    #[error("the id or name of the user is too long")]
    TooLong,
}

/// Maximum length of a user's id or name, in bytes.
const MAX_USER_BYTES: usize = 512;

impl Fact {
    /// Decodes an event. Returns `None` if this version does not know its type.
    pub fn read(offset: i64, event: &RawEvent) -> Result<Option<Self>, Unfoldable> {
        let envelope = &event.envelope;
        let what = match envelope.aggregate.as_str() {
            "group" => read_group(envelope)?,
            "post" => read_post(envelope)?,
            _ => None,
        };
        let Some(what) = what else { return Ok(None) };
        Ok(Some(Self {
            offset,
            group: group_of(envelope)?,
            position: envelope.stamp.order_key(),
            level: envelope.level,
            may_be_known: true,
            what,
        }))
    }

    /// Marks the fact as the first event of its aggregate in this log: no earlier copy of its
    /// message is stored, so none has to be read.
    #[must_use]
    pub fn with_nothing_before(self) -> Self {
        Self {
            may_be_known: false,
            ..self
        }
    }

    /// The message, if the event posts one.
    pub fn into_message(self) -> Option<Message> {
        match self.what {
            What::Posted(message) => Some(*message),
            What::Liked { .. } | What::Joined { .. } => None,
        }
    }
}

fn group_of(envelope: &Envelope) -> Result<GroupName, Unfoldable> {
    envelope.group_name().ok_or(Unfoldable::Group)
}

fn read_group(envelope: &Envelope) -> Result<Option<What>, Unfoldable> {
    let (user, is_in) = match GroupEvent::read(&envelope.kind, envelope.event.get())? {
        GroupEvent::MemberJoined { user } => (user, true),
        GroupEvent::MemberLeft { user } => (user, false),
        GroupEvent::Unknown => return Ok(None),
    };
    check_storable(&user, "")?;
    Ok(Some(What::Joined { user, is_in }))
}

fn read_post(envelope: &Envelope) -> Result<Option<What>, Unfoldable> {
    let id = envelope.id.clone();
    let (user, is_in) = match PostEvent::read(&envelope.kind, envelope.event.get())? {
        PostEvent::MessagePosted {
            author,
            text,
            sent_at,
            ..
        } => {
            check_storable(&author, &text)?;
            return Ok(Some(What::Posted(Box::new(Message {
                id,
                group: group_of(envelope)?,
                position: envelope.stamp.order_key(),
                author,
                text,
                sent_at_ms: sent_at,
                received_at_ms: envelope.at,
                vector: envelope.stamp.vector(),
                likes_count: 0,
            }))));
        }
        PostEvent::MessageLiked { user } => (user, true),
        PostEvent::MessageUnliked { user } => (user, false),
        PostEvent::Unknown => return Ok(None),
    };
    check_storable(&user, "")?;
    Ok(Some(What::Liked {
        message: id,
        user,
        is_in,
    }))
}

fn check_storable(user: &User, text: &str) -> Result<(), Unfoldable> {
    let names = [user.id.0.as_str(), user.name.as_str()];
    if text.contains('\0') || names.iter().any(|name| name.contains('\0')) {
        return Err(Unfoldable::Nul);
    }
    if names.iter().any(|name| name.len() > MAX_USER_BYTES) {
        return Err(Unfoldable::TooLong);
    }
    Ok(())
}
