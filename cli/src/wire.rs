//! The bodies of the public API, as far as a terminal shows them.
//!
//! Written from `openapi.yaml` alone. Fields this program does not use are left out, and a field
//! that a server does not send has its empty value, so that a newer or older server is no failure.
//! Used by `client` and `feed`.

pub mod lists;

use serde::{Deserialize, Serialize};

use crate::sse::RawFrame;

/// Somebody, as messages and lists name them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Opaque.
    #[serde(default)]
    pub id: String,
    /// As shown.
    pub name: String,
}

/// What a log-in gives.
#[derive(Debug, Clone, Deserialize)]
pub struct Session {
    /// Sent as `Authorization: Bearer`.
    pub token: String,
    /// Who one is now.
    pub user: User,
}

/// A message with its likes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// Opaque; the same on every replica.
    pub id: String,
    /// Who wrote it.
    pub author: User,
    /// As written: not yet harmless for a terminal.
    pub text: String,
    /// The clock of the author's program.
    #[serde(default)]
    pub sent_at: Option<String>,
    /// The clock of the replica that accepted it.
    #[serde(default)]
    pub received_at: Option<String>,
    /// How many like it.
    #[serde(default)]
    pub likes: u64,
    /// The place in the one order; sorts as text.
    pub position: String,
    /// The replicas known to hold it.
    #[serde(default)]
    pub stored_on: Vec<u64>,
}

/// A group as it stands: what is shown on joining.
#[derive(Debug, Clone, Deserialize)]
pub struct Snapshot {
    /// The group's name as the server writes it.
    pub group: String,
    /// The first of those online, by name.
    #[serde(default)]
    pub online: Vec<User>,
    /// How many are online.
    #[serde(default)]
    pub online_count: u64,
    /// How many are members.
    #[serde(default)]
    pub members_count: u64,
    /// The newest, in order.
    pub messages: Vec<Message>,
    /// Where the stream goes on.
    pub cursor: String,
}

/// A part of the history, in order.
#[derive(Debug, Clone, Deserialize)]
pub struct Page<T = Message> {
    /// In order.
    pub messages: Vec<T>,
    /// Whether earlier ones come before.
    #[serde(default)]
    pub has_before: bool,
    /// Whether later ones follow.
    #[serde(default)]
    pub has_after: bool,
    /// Where the stream goes on after this page.
    #[serde(default)]
    pub cursor: String,
}

/// What the connected replica is.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// Its number.
    pub replica: u64,
    /// The numbers of all replicas.
    #[serde(default)]
    pub replicas: Vec<u64>,
    /// The cluster's name.
    #[serde(default)]
    pub cluster: String,
}

/// The servers, as the connected one sees them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct View {
    /// The connected one.
    #[serde(rename = "self")]
    pub own: OwnView,
    /// All others.
    pub peers: Vec<PeerView>,
    /// What its operator must know.
    #[serde(default)]
    pub alarms: Vec<Alarm>,
}

/// Something that the operator of a replica must know.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Alarm {
    /// A sentence.
    pub detail: String,
}

/// The connected replica in its own view.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OwnView {
    /// Its number.
    pub replica: u64,
    /// Its address for clients.
    pub public_url: String,
    /// How many events of each replica it holds.
    #[serde(default)]
    pub vector: Vec<u64>,
}

/// Another replica, as the connected one sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PeerView {
    /// Its number.
    pub replica: u64,
    /// Its address for clients.
    pub public_url: String,
    /// `up`, `suspect` or `down`.
    pub status: String,
    /// `ok` or `failing`: whether it can be called.
    #[serde(default)]
    pub out: String,
    /// Since when it is so.
    #[serde(default)]
    pub since: Option<String>,
    /// How long ago it was heard of.
    #[serde(default)]
    pub last_heard_ms: Option<u64>,
    /// How long a call to it takes.
    #[serde(default)]
    pub rtt_ms: Option<f64>,
    /// Events it has that the connected one lacks, where that is known.
    #[serde(default)]
    pub missing_here: Option<u64>,
    /// Events it lacks, where that is known.
    #[serde(default)]
    pub missing_there: Option<u64>,
}

/// A refusal, as RFC 9457 writes it.
#[derive(Debug, Default, Deserialize)]
pub struct Problem {
    /// What to do.
    #[serde(default)]
    pub detail: String,
    /// In few words.
    #[serde(default)]
    pub title: String,
    /// Stable.
    #[serde(default)]
    pub code: String,
}

/// What is posted.
#[derive(Debug, Serialize)]
pub struct NewMessage<'a> {
    /// The text.
    pub text: &'a str,
    /// Our clock.
    pub sent_at: &'a str,
    /// What the author had read and written, so that the message stands after it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub seen: &'a [String],
}

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
    /// A kind that this program does not know.
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

/// Changes in who is online.
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
