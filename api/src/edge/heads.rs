//! Problems in place of the bare answers that hyper gives to a head it does not take.
//!
//! Such a request never reaches an endpoint, so its answer is exchanged on the way out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::seats::Turns;
use crate::problem::{Problem, ProblemBody};

/// How long the last answer of a connection may take to be sent.
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// How many heads were refused by this process.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// A connection on which every refusal is a problem.
pub(super) struct ProblemHeads<I> {
    io: I,
    turns: Arc<Turns>,
    /// Whether bytes were read since the last answer.
    has_begun: bool,
    /// What is written in place of an answer, and how much of it is.
    exchanged: Option<(Vec<u8>, usize)>,
}

impl<I> ProblemHeads<I> {
    pub(super) fn new(io: I, turns: Arc<Turns>) -> Self {
        Self {
            io,
            turns,
            has_begun: false,
            exchanged: None,
        }
    }

    /// Whether the client has sent a part of a request.
    pub(super) fn has_begun_a_request(&self) -> bool {
        self.has_begun
    }
}

impl<I: AsyncWrite + Unpin> ProblemHeads<I> {
    /// Answers and closes.
    pub(super) async fn answer_at_last(&mut self, problem: &Problem) {
        let answer = written(problem);
        let sending = async {
            self.io.write_all(&answer).await?;
            self.io.shutdown().await
        };
        // A client that does not take it is not waited for.
        drop(timeout(LAST_ANSWER, sending).await);
    }
}

/// The answer on a connection for which there is no place.
pub(super) fn crowded() -> Response {
    let id = next_id();
    let mut response = Problem::TooManyConnections.render(&id);
    let headers = response.headers_mut();
    let id = HeaderValue::try_from(id).expect("an id is printable ASCII");
    headers.insert("x-request-id", id);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let no_sniffing = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, no_sniffing);
    response
}

fn next_id() -> String {
    format!("head-{:x}", REFUSED.fetch_add(1, Ordering::Relaxed))
}

/// The answer in place of a bare refusal: one of ours always has a body.
fn instead_of(answer: &[u8]) -> Option<Vec<u8>> {
    let status = answer.strip_prefix(b"HTTP/1.1 4")?.get(..2)?;
    let problem = match status {
        b"00" => Problem::Malformed {
            why: "This is no HTTP request.".into(),
        },
        b"14" => Problem::UriTooLong,
        b"31" => Problem::HeadTooLarge,
        _ => return None,
    };
    let head = std::str::from_utf8(answer).ok()?;
    head.contains("content-length: 0\r\n")
        .then(|| written(&problem))
}

pub(super) fn written(problem: &Problem) -> Vec<u8> {
    let id = next_id();
    let status: StatusCode = problem.http_status();
    let body = problem.body(&id);
    let mut answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {}\r\ncontent-length: {}\r\nx-request-id: {id}\r\n\
         x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        ProblemBody::CONTENT_TYPE,
        body.len()
    )
    .into_bytes();
    answer.extend(body);
    answer
}

impl<I: AsyncRead + Unpin> AsyncRead for ProblemHeads<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.has_begun |= buffer.filled().len() > before;
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for ProblemHeads<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        answer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.has_begun = false;
        if this.exchanged.is_none() {
            this.exchanged = instead_of(answer).map(|instead| (instead, 0));
        }
        let Some((instead, sent)) = &mut this.exchanged else {
            return Pin::new(&mut this.io).poll_write(cx, answer);
        };
        while *sent < instead.len() {
            match ready!(Pin::new(&mut this.io).poll_write(cx, &instead[*sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *sent += more,
            }
        }
        this.exchanged = None;
        Poll::Ready(Ok(answer.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.first().map_or(&[][..], |slice| slice);
        if self.exchanged.is_some() || first.starts_with(b"HTTP/1.1 4") {
            return self.poll_write(cx, first);
        }
        self.has_begun = false;
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.turns.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
