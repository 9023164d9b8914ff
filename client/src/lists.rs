//! Lists whose entries callers may pass on as they are: each entry stays as the server wrote it.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A page of groups.
#[derive(Debug, Deserialize)]
pub struct Groups {
    /// As the server wrote them.
    pub groups: Vec<Box<RawValue>>,
    /// Where the next page begins.
    #[serde(default)]
    pub next: Option<String>,
}

/// A page of members.
#[derive(Debug, Deserialize)]
pub struct Members {
    /// As the server wrote them.
    pub members: Vec<Box<RawValue>>,
    /// Where the next page begins.
    #[serde(default)]
    pub next: Option<String>,
}

/// What has happened in a group.
#[derive(Debug, Deserialize)]
pub struct Changes {
    /// As the server wrote them.
    pub events: Vec<Box<RawValue>>,
    /// Where to go on.
    pub cursor: String,
    /// Whether this is all for now.
    pub caught_up: bool,
}

/// One change, as far as it is read.
#[derive(Debug, Deserialize)]
pub struct Change<'a> {
    /// What kind.
    pub event: &'a str,
    /// Where to go on after it.
    #[serde(default)]
    pub cursor: Option<&'a str>,
    /// The message or member.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

/// A group in the list.
#[derive(Debug, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many members.
    #[serde(default)]
    pub members: u64,
    /// How many of them are online.
    #[serde(default)]
    pub online: u64,
    /// Whether one is a member.
    #[serde(default)]
    pub joined: bool,
}

/// A member.
#[derive(Debug, Deserialize)]
pub struct Member {
    /// What the user is called.
    pub name: String,
    /// Whether the member is online.
    #[serde(default)]
    pub online: bool,
}
