//! A group's stream, as server-sent events and as JSON.

use std::time::Duration;

use bytes::Bytes;
use causeway_domain::names::{GroupName, UserId};
use causeway_store::log::ReadError;
use futures_util::{Stream, stream};
use poem::{Body, IntoResponse, Response};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{Any, Type};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout, timeout_at};

use super::Tag;
use super::parameters::{AtLeast, bounded, page_size, text};
use crate::bodies::{MemberBody, MessageBody};
use crate::context::{Context, group_name, read_problem, unknown_group};
use crate::cursor::CursorError;
use crate::feeds::{
    Frame, LikeBody, MergedBody, OpenStream, PresenceBody, Reader, Resume, StoredBody,
};
use crate::limits::{Call, LargeReply, PAGE_BYTES, Turn};
use crate::problem::Problem;
use crate::token::Caller;
use crate::view::ViewBody;

/// Interval of the comments on a quiet stream, from which proxies and clients see that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a call may search the log for events of its group: well below the time-out of any client.
const SEARCH_TIME: Duration = Duration::from_secs(2);

pub struct Feed(pub Context);

/// One change of a group.
#[derive(Object, Serialize)]
struct Change {
    /// `message`, `moved`, `like`, `unlike`, `join`, `leave` or `reset`.
    event: String,
    /// Where to resume after it.
    cursor: String,
    /// The message (`like` and `unlike`: with `by`) or the member.
    #[serde(serialize_with = "raw")]
    data: Data,
}

/// Changes of a group.
#[derive(Object, Serialize)]
struct Changes {
    /// The changes, in order.
    events: Vec<Change>,
    /// Where to resume.
    cursor: String,
    /// Whether this is all there is for now.
    caught_up: bool,
}

/// What a change carries: the JSON of the frame, unchanged.
type Data = Any<Box<RawValue>>;

fn data_of(frame: &Frame) -> Data {
    let data = RawValue::from_string(frame.data.to_string());
    Any(data.expect("frames carry JSON"))
}

fn raw<S: Serializer>(data: &Data, serializer: S) -> Result<S::Ok, S::Error> {
    data.0.serialize(serializer)
}

/// A stream of frames.
struct Frames(Response);

impl Payload for Frames {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn schema_ref() -> MetaSchemaRef {
        // What a frame carries; `document::frames` makes frames of it.
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            one_of: vec![
                MessageBody::schema_ref(),
                LikeBody::schema_ref(),
                MemberBody::schema_ref(),
                PresenceBody::schema_ref(),
                StoredBody::schema_ref(),
                MergedBody::schema_ref(),
                ViewBody::schema_ref(),
            ],
            ..MetaSchema::ANY
        }))
    }

    fn register(registry: &mut Registry) {
        MessageBody::register(registry);
        LikeBody::register(registry);
        MemberBody::register(registry);
        PresenceBody::register(registry);
        StoredBody::register(registry);
        MergedBody::register(registry);
        ViewBody::register(registry);
    }
}

impl IntoResponse for Frames {
    fn into_response(self) -> Response {
        self.0
    }
}

#[derive(ApiResponse)]
enum Streamed {
    /// Frames, as they come.
    #[oai(status = 200)]
    Open(Frames),
}

#[OpenApi(tag = "Tag::Streams")]
impl Feed {
    /// Follows a group as server-sent events
    ///
    /// Frames `caught_up`, `message`, `moved`, `like`, `unlike`, `join`, `leave` carry an `id`,
    /// the cursor after them, valid on every replica; `presence`, `view`, `stored`, `merged` and
    /// `reset` carry none. A generated client that waits for the whole body should use
    /// `/changes` instead.
    #[oai(
        path = "/v1/groups/:group/events",
        method = "get",
        operation_id = "follow_group"
    )]
    async fn events(
        &self,
        caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// The `id` of the last frame received: the stream resumes after it. Overrides `cursor`.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<String>>,
        /// A cursor to resume after. Without any the stream starts now.
        cursor: Query<Option<String>>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<Streamed, Problem> {
        let group = group_name(&group.0)?;
        let last_event_id = last_event_id.0.filter(|id| !id.is_empty());
        let resume = match (last_event_id, cursor.0) {
            (Some(id), _) => self.resume("Last-Event-ID", Some(id), &group)?,
            (None, cursor) => self.resume("cursor", cursor, &group)?,
        };
        self.0.await_shown(text(&at_least)).await?;
        self.known(&group).await?;
        let user = caller.user.clone();
        let feeds = &self.0.feeds;
        let reader = Reader::open(feeds, group.clone(), user.id.clone(), resume, usize::MAX);
        let reader = reader.await.map_err(read_problem)?;
        let open_stream = self.0.feeds.enter(&group, &user);
        // Readers of a replica that goes away must not all come back in the same moment.
        let retry_ms = 1_000 + u32::from((self.0.random)()[0]) * 8;
        let retry = Bytes::from(format!("retry: {retry_ms}\n\n"));
        let frames = frames(retry, reader, open_stream);
        let response = Response::builder()
            .content_type(Frames::CONTENT_TYPE)
            .header("cache-control", "no-cache")
            .header("x-accel-buffering", "no")
            .body(Body::from_bytes_stream(frames));
        Ok(Streamed::Open(Frames(response)))
    }

    /// Follows a group by asking again and again
    ///
    /// The same events as the stream, as JSON. Answers when there is something, or after
    /// `wait_ms`. Where `caught_up` is false, ask again at once, even if there are no events: the
    /// search continues after the cursor. An answer has at most 1 MiB: with long messages it has
    /// fewer events than `limit`. Does not make the caller online.
    #[oai(
        path = "/v1/groups/:group/changes",
        method = "get",
        operation_id = "list_changes"
    )]
    async fn changes(
        &self,
        caller: Caller,
        /// The name of the group.
        group: Path<String>,
        /// Where to resume. Without it: from now.
        cursor: Query<Option<String>>,
        /// How long to wait for something to happen: 0 to 30,000 ms, default 0.
        wait_ms: Query<Option<i64>>,
        /// How many events at most: 1 to 500, default 50.
        limit: Query<Option<i64>>,
        /// A cursor or mark that this replica must hold first: waits up to 2 s for it.
        at_least: AtLeast,
    ) -> Result<LargeReply<Changes>, Problem> {
        let group = group_name(&group.0)?;
        let limit = usize::try_from(page_size(limit.0)?).unwrap_or(1);
        let wait_ms = bounded("wait_ms", wait_ms.0, 0, 0..=30_000)?;
        let resume = self.resume("cursor", cursor.0, &group)?;
        self.0.await_shown(text(&at_least)).await?;
        self.known(&group).await?;
        let user = caller.user.id;
        let reader = Reader::open(&self.0.feeds, group, user.clone(), resume, limit);
        let mut reader = reader.await.map_err(read_problem)?;
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        if !wait.is_zero() {
            Call::end_turn();
        }
        let turn = self
            .0
            .limits
            .answers
            .enter(&user)
            .await
            .ok_or(Problem::Busy)?;
        let mut turn = Some(turn);
        let changes = gather(&mut reader, limit, Instant::now() + wait, &mut turn);
        let (changes, bytes) = changes.await.map_err(read_problem)?;
        LargeReply::render(changes, bytes, turn).await
    }
}

impl Feed {
    async fn known(&self, group: &GroupName) -> Result<(), Problem> {
        let is_known = self.0.timelines.knows_group(group.clone());
        if is_known.await.map_err(read_problem)? {
            return Ok(());
        }
        Err(unknown_group(group))
    }

    fn resume(
        &self,
        field: &str,
        text: Option<String>,
        group: &GroupName,
    ) -> Result<Resume, Problem> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(Resume::Now);
        };
        let cursor = match self.0.cursors.decode(&text) {
            Ok(cursor) => cursor,
            Err(CursorError::UnknownKey) => return Ok(Resume::Reset),
            Err(refused) => return Err(Problem::invalid(field, refused.to_string())),
        };
        match &cursor.group {
            Some(of) if of == group => Ok(Resume::After(cursor)),
            Some(of) => Err(Problem::invalid(
                field,
                format!("is a cursor of group `{of}`, which cannot be resumed in this one"),
            )),
            None => Err(Problem::invalid(
                field,
                "is a mark, from which nothing can be resumed; give it as `at_least`",
            )),
        }
    }
}

/// Returns the bytes of a stream: first `retry`, then the frames of the reader, with comments in between.
fn frames(
    retry: Bytes,
    reader: Reader,
    open_stream: OpenStream,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let start = (Some(retry), reader, open_stream);
    stream::unfold(start, async |(retry, mut reader, open_stream)| {
        if let Some(retry) = retry {
            return Some((Ok(retry), (None, reader, open_stream)));
        }
        let bytes = match timeout(KEEP_ALIVE, reader.next()).await {
            Ok(Ok(Some(frame))) => frame.bytes(),
            Ok(Ok(None)) => return None,
            Ok(Err(failure)) => {
                // The client resumes with its cursor.
                tracing::warn!(
                    error = &failure as &dyn std::error::Error,
                    "a stream was closed"
                );
                return None;
            }
            Err(_) => Bytes::from_static(b": still here\n\n"),
        };
        Some((Ok(bytes), (None, reader, open_stream)))
    })
}

/// Returns the events that are there, or waits for the first one, without its turn. Stops to search
/// the log after [`SEARCH_TIME`], with a cursor from which the next call resumes. Returns also about
/// how many bytes they have: at most [`PAGE_BYTES`], unless one event is larger.
async fn gather(
    reader: &mut Reader,
    limit: usize,
    deadline: Instant,
    turn: &mut Option<Turn<UserId>>,
) -> Result<(Changes, usize), ReadError> {
    let mut events = Vec::new();
    let mut bytes = 2 * reader.cursor().len();
    let mut cursor = None;
    let search_end = Instant::now() + SEARCH_TIME;
    while events.len() < limit {
        if reader.is_behind() && reader.is_empty() {
            if Instant::now() >= search_end {
                break;
            }
            reader.read_table().await?;
            continue;
        }
        if reader.is_caught_up() && !events.is_empty() {
            break;
        }
        if !events.is_empty() && bytes + reader.peek().map_or(0, change_bytes) > PAGE_BYTES {
            break;
        }
        if reader.is_empty() {
            turn.take();
        }
        let Ok(next) = timeout_at(deadline, reader.next()).await else {
            break;
        };
        let Some(frame) = next? else { break };
        bytes += change_bytes(&frame);
        events.extend(change(reader, &frame));
        cursor = frame.id.or(cursor);
    }
    // Where frames are still queued, the next call resumes after the last one taken.
    let cursor = match cursor {
        Some(cursor) if !reader.is_empty() => cursor.to_string(),
        _ => reader.cursor(),
    };
    let changes = Changes {
        events,
        cursor,
        caught_up: reader.is_caught_up(),
    };
    Ok((changes, bytes))
}

/// Returns at least how many bytes a frame has as a change.
fn change_bytes(frame: &Frame) -> usize {
    const NAMES: usize = 64;
    NAMES + frame.id.as_ref().map_or(0, |id| id.len()) + frame.data.len()
}

/// Returns the change that a frame stands for; frames without a cursor stand for none, but `reset`.
fn change(reader: &Reader, frame: &Frame) -> Option<Change> {
    let cursor = match (frame.event, &frame.id) {
        ("reset", _) => reader.cursor(),
        ("caught_up", _) | (_, None) => return None,
        (_, Some(id)) => id.to_string(),
    };
    Some(Change {
        event: frame.event.to_owned(),
        cursor,
        data: data_of(frame),
    })
}
