//! The bodies of responses and frames: the schemas of `openapi.yaml`, serialised by serde.

use std::fmt::{self, Write as _};

use causeway_domain::ids::ReplicaId;
use causeway_domain::names::User;
use causeway_domain::timeline::Message;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator_core::view::Knowledge;
use causeway_store::timelines::MessageView;
use jiff::Timestamp;
use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;

/// A JSON response, serialised straight to bytes.
pub struct Reply<T>(pub T);

impl<T: Type> Payload for Reply<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Serialize + Send> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        // Room for one message: most responses need no more.
        let mut json = Vec::with_capacity(1024);
        serde_json::to_writer(&mut json, &self.0).expect("responses have only text keys");
        Response::builder()
            .content_type("application/json")
            .body(json)
    }
}

impl<T: Type + Serialize + Send> ApiResponse for Reply<T> {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "Done.",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: Self::CONTENT_TYPE,
                    schema: Self::schema_ref(),
                }],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Object, Serialize)]
#[oai(rename = "User")]
pub struct UserBody {
    /// Identifies the user, whatever the name. Opaque.
    pub id: String,
    /// The user's name.
    pub name: String,
}

impl From<&User> for UserBody {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0.clone(),
            name: user.name.clone(),
        }
    }
}

/// A member of a group.
#[derive(Clone, Debug, Object, Serialize)]
#[oai(rename = "Member")]
pub struct MemberBody {
    /// Identifies the user. Opaque.
    pub id: String,
    /// The user's name.
    pub name: String,
    /// Whether the member has a live stream on the group, on any replica.
    pub online: bool,
}

/// A message.
#[derive(Clone, Debug, Object, Serialize)]
#[oai(rename = "Message")]
pub struct MessageBody {
    /// Identifies the message. Opaque.
    pub id: String,
    /// The group it was posted to.
    pub group: String,
    /// Who wrote it.
    pub author: UserBody,
    /// What was written.
    pub text: String,
    /// When it was written by the client's clock; `received_at` if the client did not say. RFC 3339, UTC.
    pub sent_at: String,
    /// When the origin accepted it, by its clock. RFC 3339, UTC. For display: `position` orders.
    pub received_at: String,
    /// How many users like it.
    pub likes: u64,
    /// The first 50 of them, by name.
    pub liked_by: Vec<UserBody>,
    /// Whether the caller likes it. Not in streams, which are the same for everybody.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liked: Option<bool>,
    /// The number of the replica that accepted it.
    pub origin: u16,
    /// How many events of each replica, by ascending number, the origin held with this message,
    /// the message itself counted.
    pub vector: Vec<u64>,
    /// Its order key: messages sort by this text, which has the same length for all. The first 16
    /// digits are time: with 16 zeros in their place it sorts before all messages.
    pub position: String,
    /// The numbers of the replicas known to hold it, ascending.
    pub stored_on: Vec<u16>,
    /// No message that sorts before it can arrive any more.
    pub settled: bool,
}

/// Renders rows as bodies, with what is known of the replicas now.
pub struct Renderer<'a> {
    /// The configured replicas, ascending.
    pub replicas: &'a [ReplicaId],
    /// What is known of the peers.
    pub knowledge: &'a Knowledge,
    /// What is held here.
    pub held: &'a VersionVector,
}

impl Renderer<'_> {
    /// Returns a message as shown to one reader.
    pub fn message(&self, seen: &MessageView) -> MessageBody {
        let mut body = self.shared_message(&seen.message, &seen.liked_by);
        body.liked = Some(seen.is_liked);
        body
    }

    /// Returns a message as shown to every reader of a stream.
    pub fn shared_message(&self, message: &Message, liked_by: &[User]) -> MessageBody {
        let received_at = rfc3339(message.received_at_ms);
        let dot = message.position.dot();
        MessageBody {
            id: message.id.clone(),
            group: message.group.to_string(),
            author: UserBody::from(&message.author),
            text: message.text.clone(),
            sent_at: message
                .sent_at_ms
                .map_or_else(|| received_at.clone(), rfc3339),
            received_at,
            likes: u64::try_from(message.likes_count).unwrap_or(0),
            liked_by: liked_by.iter().map(UserBody::from).collect(),
            liked: None,
            origin: dot.origin.replica.get(),
            vector: self.counts(&message.vector),
            position: written(POSITION_BYTES, &message.position),
            stored_on: numbers(&self.knowledge.stored_on(dot, self.held)),
            settled: self.knowledge.is_settled(message.position.hlc, self.held),
        }
    }

    /// Returns a vector as counts by replica.
    pub fn counts(&self, vector: &VersionVector) -> Vec<u64> {
        self.replicas
            .iter()
            .map(|&replica| vector.count_of(replica))
            .collect()
    }
}

/// Returns the numbers of replicas.
pub fn numbers(replicas: &[ReplicaId]) -> Vec<u16> {
    replicas.iter().map(|replica| replica.get()).collect()
}

/// Formats milliseconds since 1970 as RFC 3339 in UTC. Times out of range become the nearest in range.
pub fn rfc3339(ms: i64) -> String {
    let moment = Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    written(RFC_3339_BYTES, &format_args!("{moment:.3}"))
}

/// The length of a position.
const POSITION_BYTES: usize = 16 + 4 + 8 + 16;
/// The length of a time stamp of these centuries.
const RFC_3339_BYTES: usize = "2026-01-31T12:00:00.000Z".len();

/// Formats a value into a string of known length, with one allocation.
fn written(bytes: usize, what: &dyn fmt::Display) -> String {
    let mut text = String::with_capacity(bytes);
    write!(text, "{what}").expect("writing to a String cannot fail");
    text
}
