//! The door: how many connections are let in, and for how long one may stand still.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{Acceptor, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

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
            _place: place,
        };
        Ok((connection, local, remote, scheme))
    }
}

/// Neither setting is needed for being right, so a system that lacks one is no failure.
fn prepare(stream: &TcpStream, write_stall: Duration) {
    stream.set_nodelay(true).ok();
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
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + most)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the reader takes no bytes",
            ))),
            Poll::Pending => Poll::Pending,
        }
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
