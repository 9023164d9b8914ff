//! Answers of many bytes: rendered beside the other calls, and counted until the client has taken
//! them.

use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use causeway_domain::names::UserId;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type;
use serde::Serialize;

use super::Turn;
use crate::bodies::Reply;
use crate::problem::Problem;

/// Most bytes of a page of JSON, unless one message is larger.
pub const PAGE_BYTES: usize = 1 << 20;
/// What is sent at once of an answer.
const CHUNK_BYTES: usize = 64 * 1024;

/// A JSON answer that may have many bytes.
pub struct LargeReply<T> {
    json: Bytes,
    /// Until the client has taken the answer.
    turn: Option<Turn<UserId>>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + Send + 'static> LargeReply<T> {
    /// Renders an answer of about `bytes`. One of many bytes takes milliseconds, in which this thread
    /// could serve many other calls.
    pub async fn render(
        value: T,
        bytes: usize,
        turn: Option<Turn<UserId>>,
    ) -> Result<Self, Problem> {
        let render = move || {
            let mut json = Vec::with_capacity(bytes);
            serde_json::to_writer(&mut json, &value).expect("responses have only text keys");
            Bytes::from(json)
        };
        let json = if bytes > CHUNK_BYTES {
            let rendered = tokio::task::spawn_blocking(render).await;
            rendered.map_err(Problem::internal)?
        } else {
            render()
        };
        Ok(Self {
            json,
            turn,
            of: PhantomData,
        })
    }
}

impl<T> IntoResponse for LargeReply<T> {
    fn into_response(self) -> Response {
        let is_large = self.json.len() > CHUNK_BYTES;
        let response = Response::builder().content_type("application/json");
        let mut response = response.body(self.json);
        if let Some(turn) = self.turn.filter(|_| is_large) {
            response.extensions_mut().insert(Untaken(Arc::new(turn)));
        }
        response
    }
}

/// The turn of an answer on its way to [`hold`].
#[derive(Clone)]
struct Untaken(
    #[expect(dead_code, reason = "the turn ends when this is dropped")] Arc<Turn<UserId>>,
);

/// Keeps the turn of a large answer until the client has taken its body, as it is sent in the end.
pub fn hold(response: &mut Response) {
    if let Some(turn) = response.extensions_mut().remove::<Untaken>() {
        let body = BoxBody::from(response.take_body());
        response.set_body(Body::from(BoxBody::new(Held {
            body,
            next: Bytes::new(),
            _turn: turn,
        })));
    }
}

impl<T: Type + Serialize + Send> ApiResponse for LargeReply<T> {
    fn meta() -> MetaResponses {
        Reply::<T>::meta()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// A body that is handed on in chunks, so that little of it is buffered when its turn ends.
struct Held {
    body: BoxBody<Bytes, io::Error>,
    /// What is left of the last frame.
    next: Bytes,
    _turn: Untaken,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.next.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.next = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let count = self.next.len().min(CHUNK_BYTES);
        let chunk = self.next.split_to(count);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let next = self.next.len() as u64;
        let rest = self.body.size_hint();
        let mut whole = SizeHint::new();
        whole.set_lower(rest.lower() + next);
        if let Some(upper) = rest.upper() {
            whole.set_upper(upper + next);
        }
        whole
    }
}

/// Returns how many bytes the JSON of a value has.
pub fn json_bytes(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("responses have only text keys");
    count.0
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
