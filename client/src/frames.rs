//! What the stream of a group tells.

use serde::Deserialize;

use crate::bodies::{Message, User, View};
use crate::sse::RawFrame;

/// What a stream tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A message, in the order of arrival.
    Message(Message),
    /// Somebody likes a message.
    Like(Liked),
    /// Somebody no longer does.
    Unlike(Liked),
    /// A new member.
    Join(User),
    /// A former member.
    Leave(User),
    /// An earlier copy of a message already given has come.
    Moved(Message),
    /// Who came online and who went.
    Presence(Presence),
    /// The servers have changed.
    View(View),
    /// An own message is held by these replicas.
    Stored(Stored),
    /// Messages follow that sort before the newest one given.
    Merged(Merged),
    /// All that was missed has been given.
    CaughtUp,
    /// The cursor is of no use: start again from the snapshot.
    Reset,
    /// A kind that this version does not know.
    Unknown,
}

/// The message liked, as it stands now, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Liked {
    /// Who liked or unliked.
    pub by: User,
    /// With the likes it has now.
    #[serde(flatten)]
    pub message: Message,
}

/// Changes in who is online. Without names: a crowd, of which only the number is known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Presence {
    /// Who came.
    #[serde(default)]
    pub online: Vec<User>,
    /// Who went.
    #[serde(default)]
    pub offline: Vec<User>,
    /// How many are online now.
    #[serde(default)]
    pub count: u64,
}

/// How safe an own message is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stored {
    /// The message's id.
    pub id: String,
    /// The replicas known to hold it.
    pub stored_on: Vec<u64>,
}

/// Earlier messages are about to come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Merged {
    /// How many.
    pub count: u64,
    /// The replica they were accepted by.
    pub from: u64,
}

impl Frame {
    /// Reads a frame.
    ///
    /// # Errors
    /// A known kind whose data is not of its shape.
    pub fn parse(raw: &RawFrame) -> Result<Self, serde_json::Error> {
        fn read<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, serde_json::Error> {
            serde_json::from_str(data)
        }
        Ok(match raw.event.as_str() {
            "message" => Self::Message(read(&raw.data)?),
            "like" => Self::Like(read(&raw.data)?),
            "unlike" => Self::Unlike(read(&raw.data)?),
            "join" => Self::Join(read(&raw.data)?),
            "leave" => Self::Leave(read(&raw.data)?),
            "moved" => Self::Moved(read(&raw.data)?),
            "presence" => Self::Presence(read(&raw.data)?),
            "view" => Self::View(read(&raw.data)?),
            "stored" => Self::Stored(read(&raw.data)?),
            "merged" => Self::Merged(read(&raw.data)?),
            "caught_up" => Self::CaughtUp,
            "reset" => Self::Reset,
            _ => Self::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(event: &str, data: &str) -> Result<Frame, serde_json::Error> {
        Frame::parse(&RawFrame {
            event: event.into(),
            data: data.into(),
            id: String::new(),
            has_own_id: false,
        })
    }

    #[test]
    fn a_like_carries_the_message_and_who_liked_it() {
        let data = r#"{"id":"m1","group":"lobby","author":{"id":"u1","name":"ann"},"text":"hi","likes":2,
            "liked_by":[],"origin":1,"vector":[1],"position":"0a","stored_on":[1],"settled":false,"by":{"id":"u2","name":"bob"}}"#;

        let Ok(Frame::Like(liked)) = parse("like", data) else {
            panic!("no like")
        };

        assert_eq!((liked.by.name.as_str(), liked.message.likes), ("bob", 2));
    }

    #[test]
    fn a_kind_of_a_newer_server_is_passed_over() {
        assert_eq!(parse("sticker", "not even JSON").unwrap(), Frame::Unknown);
    }

    #[test]
    fn a_known_kind_of_another_shape_is_refused() {
        assert!(parse("message", "{}").is_err());
    }

    #[test]
    fn a_view_is_read_with_the_fields_a_terminal_shows() {
        let data = r#"{"self":{"replica":1,"epoch":"9f3c07aa","public_url":"http://a","vector":[5,0]},"peers":[{"replica":2,
            "public_url":"http://b","internal_url":"http://c","status":"down","out":"failing","since":"2026-01-01T00:00:00Z",
            "last_heard_ms":null,"rtt_ms":0.4,"missing_here":null,"missing_there":3}]}"#;

        let Ok(Frame::View(view)) = parse("view", data) else {
            panic!("no view")
        };

        assert_eq!(
            (
                view.own.replica,
                view.peers[0].status.as_str(),
                view.peers[0].missing_there
            ),
            (1, "down", Some(3))
        );
    }
}
