//! The bodies of requests and answers.
//!
//! Fields that no caller reads are left out, and a field that a server does not send has its empty
//! value, so that a newer or an older server is no failure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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

/// A message to post.
#[derive(Debug, Default, Serialize)]
pub struct NewMessage<'a> {
    /// The text.
    pub text: &'a str,
    /// The author's clock, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<&'a str>,
    /// Marks and cursors of what the author had read and written: the message stands after it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub seen: &'a [String],
    /// The idempotency key: the same key again is the same message.
    #[serde(skip)]
    pub key: Option<&'a str>,
    /// Answer only when this many replicas, or these, hold it; but after this time in any case.
    #[serde(skip)]
    pub wait_for: Option<(&'a str, Duration)>,
}
