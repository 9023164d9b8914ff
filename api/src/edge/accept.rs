//! The door: how many connections are let in, and for how long one may stand still.

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

/// How long a closed connection goes on taking what its client is still sending. Closed at once, the
/// client would see a reset connection in place of the answer it was sent.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that the system keeps for a reader, so that a thousand slow ones cost no more than that
/// each, and are noticed.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// How many connections are let in, and for how long one may stand still.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Most connections at once. The next ones wait in the queue of the system.
    pub connections: usize,
    /// How long a connection may take no bytes while some wait to be sent.
    pub write_stall: Duration,
    /// How long the head of a request may take, the wait for it included.
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
pub struct Door {
    inner: TcpAcceptor,
    free: Arc<Semaphore>,
    write_stall: Duration,
}

impl Door {
    /// Takes over a bound listener.
    pub fn new(listener: tokio::net::TcpListener, limits: &ConnectionLimits) -> io::Result<Self> {
        let most = limits.connections.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            inner: TcpAcceptor::from_tokio(listener)?,
            free: Arc::new(Semaphore::new(most)),
            write_stall: limits.write_stall,
        })
    }
}

impl Acceptor for Door {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.inner.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        let free = Arc::clone(&self.free);
        let place = free.acquire_owned().await.map_err(io::Error::other)?;
        let (stream, local, remote, scheme) = loop {
            match self.inner.accept().await {
                Ok(accepted) => break accepted,
                // Most often no file descriptor is left; trying at once again would only burn.
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
            _place: place,
        };
        Ok((connection, local, remote, scheme))
    }
}

/// No setting is needed for being right, so a system that lacks one is no failure.
fn prepare(stream: &TcpStream, write_stall: Duration) {
    stream.set_nodelay(true).ok();
    rustix::net::sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES).ok();
    // A reader whose network is gone acknowledges nothing, while the system goes on taking our
    // bytes: only the system can see that.
    #[cfg(target_os = "linux")]
    {
        let most_ms = u32::try_from(write_stall.as_millis()).unwrap_or(u32::MAX);
        rustix::net::sockopt::set_tcp_user_timeout(stream, most_ms).ok();
    }
    #[cfg(not(target_os = "linux"))]
    let _ = write_stall;
}

/// An accepted connection, which fails when its reader takes no bytes for too long.
pub struct Connection {
    stream: TcpStream,
    stall: Stall,
    /// Runs from our closing.
    linger: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

/// Runs while bytes wait and the reader takes none.
struct Stall {
    most: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    fn new(most: Duration) -> Self {
        Self { most, timer: None }
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
        let most = self.most;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(most)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the reader takes no bytes",
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
            let mut room = [0; 8 * 1024];
            let mut taken = ReadBuf::new(&mut room);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut taken));
            if read.is_err() || taken.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
