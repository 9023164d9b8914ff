//! The `data` of each frame of a stream, also for the document of the API.

use poem_openapi::Object;
use serde::Serialize;

use crate::bodies::{MessageBody, UserBody};

/// A message that was liked, or is liked by one user less.
#[derive(Object, Serialize)]
#[oai(rename = "Like")]
pub struct LikeBody {
    /// The message as it is now.
    #[oai(flatten)]
    #[serde(flatten)]
    pub message: MessageBody,
    /// Who likes it, or no longer does.
    pub by: UserBody,
}

/// Who came and went, and how many are online now
///
/// Up to 100 members online are named, beyond that only counted. A stream starts with nobody
/// online. A frame that names somebody: remove `offline`, then add `online`. One that names nobody:
/// only `count` is known; the next frame with names lists everybody in `online`.
#[derive(Object, Serialize)]
#[oai(rename = "Presence")]
pub struct PresenceBody {
    /// Who came: everybody who is online in the first frame of a stream, and in the first one with
    /// names after one without.
    pub online: Vec<UserBody>,
    /// Who went.
    pub offline: Vec<UserBody>,
    /// How many members are online now.
    pub count: usize,
}

/// Which replicas store a message of the reader now.
#[derive(Object, Serialize)]
#[oai(rename = "Stored")]
pub struct StoredBody {
    /// The message.
    pub id: String,
    /// The numbers of the replicas known to hold it, ascending.
    pub stored_on: Vec<u16>,
    /// No message that sorts before it can arrive any more.
    pub settled: bool,
}

/// Messages follow that sort well before the newest one sent: a partition has healed.
#[derive(Object, Serialize)]
#[oai(rename = "Merged")]
pub struct MergedBody {
    /// How many.
    pub count: usize,
    /// The replica that wrote them.
    pub from: u16,
}
