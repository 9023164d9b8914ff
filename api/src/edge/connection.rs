//! An accepted connection, which fails when its client reads nothing for too long, and closes so that
//! its client can read the last answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long a closed connection goes on reading what its client still sends. Closed at once, the client
/// would see a reset connection instead of the response.
const LINGER: Duration = Duration::from_secs(1);

/// The send buffer of a connection, which bounds the cost of a slow reader and makes it noticeable.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// An accepted connection, which fails when its client reads nothing for too long.
pub struct Connection {
    stream: TcpStream,
    stall: Stall,
    /// Started when we close.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// Takes over a socket.
    pub(super) fn new(stream: TcpStream, write_stall: Duration) -> Self {
        prepare(&stream, write_stall);
        Self {
            stream,
            stall: Stall::new(write_stall),
            linger: None,
        }
    }

    /// Waits for the first byte and leaves it to be read; `None` where none comes.
    pub(super) async fn first_byte(&self) -> Option<u8> {
        let mut byte = [0];
        let peeked = self.stream.peek(&mut byte).await;
        matches!(peeked, Ok(1..)).then_some(byte[0])
    }
}

/// Sets socket options. None is needed for correctness, so a system may lack them.
fn prepare(stream: &TcpStream, write_stall: Duration) {
    stream.set_nodelay(true).ok();
    rustix::net::sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES).ok();
    // A client whose network is gone acknowledges nothing while the system goes on buffering: only the
    // system can notice that.
    #[cfg(target_os = "linux")]
    {
        let timeout_ms = u32::try_from(write_stall.as_millis()).unwrap_or(u32::MAX);
        rustix::net::sockopt::set_tcp_user_timeout(stream, timeout_ms).ok();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = write_stall;
}

/// A timer that runs while bytes wait and the client reads none.
struct Stall {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Passes on what a write gave, or fails when it has waited for too long. The socket is then
    /// reset when it is closed: left to the system, what is buffered would wait on for the client,
    /// and the system might give up without telling it.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &TcpStream,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).ok();
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client reads no bytes",
        )))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.stall.watch(cx, &this.stream, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.stall.watch(cx, &this.stream, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let timer = this.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        while timer.as_mut().poll(cx).is_pending() {
            let mut space = [0; 8 * 1024];
            let mut chunk = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut chunk));
            if read.is_err() || chunk.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
