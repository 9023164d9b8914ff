//! Accepts connections within limits: their number, and how long one may make no progress.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// How long a closed connection goes on reading what its client still sends. Closed at once, the client
/// would see a reset connection instead of the response.
const LINGER: Duration = Duration::from_secs(1);

/// The send buffer of a connection, which bounds the cost of a slow reader and makes it noticeable.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Limits of the connections of one port.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Most connections at once. Further ones wait in the queue of the system.
    pub connections: usize,
    /// How long a client may read nothing while bytes wait to be sent.
    pub write_stall: Duration,
    /// How long the head of a request may take, including the wait for it.
    pub head: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            write_stall: Duration::from_secs(30),
            head: Duration::from_secs(75),
        }
    }
}

/// Accepts TCP connections within limits.
pub struct BoundedAcceptor {
    inner: TcpAcceptor,
    permits: Arc<Semaphore>,
    write_stall: Duration,
}

impl BoundedAcceptor {
    /// Takes over a bound listener.
    pub fn new(listener: tokio::net::TcpListener, limits: &ConnectionLimits) -> io::Result<Self> {
        let connections = limits.connections.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            inner: TcpAcceptor::from_tokio(listener)?,
            permits: Arc::new(Semaphore::new(connections)),
            write_stall: limits.write_stall,
        })
    }
}

impl Acceptor for BoundedAcceptor {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.inner.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
        let (stream, local, remote, scheme) = loop {
            match self.inner.accept().await {
                Ok(accepted) => break accepted,
                // Usually no file descriptor is free; an immediate retry would only spin.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        };
        prepare(&stream, self.write_stall);
        let connection = Connection {
            stream,
            stall: Stall::new(self.write_stall),
            linger: None,
            _permit: permit,
        };
        Ok((connection, local, remote, scheme))
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

/// An accepted connection, which fails when its client reads nothing for too long.
pub struct Connection {
    stream: TcpStream,
    stall: Stall,
    /// Started when we close.
    linger: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
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

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(cx));
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
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.stall.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.stall.watch(cx, written)
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
