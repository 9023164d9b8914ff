//! Problems in place of the bare answers that hyper gives to a head it does not take.
//!
//! Such a request never reaches an endpoint, so its answer is exchanged on the way out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use poem::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::problem::{Problem, ProblemBody};

/// How many heads were refused by this process.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// A connection on which every refusal is a problem.
pub(super) struct ProblemHeads<I> {
    io: I,
    /// What is written in place of an answer, and how much of it is.
    exchanged: Option<(Vec<u8>, usize)>,
}

impl<I> ProblemHeads<I> {
    pub(super) fn new(io: I) -> Self {
        Self {
            io,
            exchanged: None,
        }
    }
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

fn written(problem: &Problem) -> Vec<u8> {
    let id = format!("head-{:x}", REFUSED.fetch_add(1, Ordering::Relaxed));
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
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for ProblemHeads<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        answer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
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
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
