//! Accepts connections within the limits of one port, and refuses the rest with an answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use poem::Addr;
use poem::web::{LocalAddr, RemoteAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, sleep, timeout};

use super::admission::{Bounds, Verdict, counted};
use super::connection::Connection;
use super::episode::Episode;
use super::seats::{Seat, Seats};
use crate::limits::TrustedProxies;

/// Most connections at once that wait to be refused. Beyond them a connection is closed unanswered.
pub const REFUSALS: usize = 64;
/// How long a refused connection may take to ask something.
const REFUSAL: Duration = Duration::from_secs(2);
/// How long a connection that gives way may take to close.
const GIVING_WAY: Duration = Duration::from_secs(1);
/// Pause after a connection could not be accepted: an immediate retry would only spin.
const PAUSE: Duration = Duration::from_millis(50);
/// How often waiting connections are checked.
const SWEEP: Duration = Duration::from_secs(1);

/// Limits of the connections of one port.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Most connections at once. A further one takes the place of the one that has waited longest for
    /// a request, or is refused.
    pub connections: usize,
    /// Most connections of one address at once, except of this machine.
    pub per_address: usize,
    /// The proxies, whose connections are those of many clients and are not counted either.
    pub proxies: TrustedProxies,
    /// How long a client may read nothing while bytes wait to be sent.
    pub write_stall: Duration,
    /// How long a new connection may take until the head of its first request has arrived.
    pub first_request: Duration,
    /// How long a connection may take from one request to the next.
    pub idle: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            per_address: 1_000,
            proxies: TrustedProxies::default(),
            write_stall: Duration::from_secs(30),
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(75),
        }
    }
}

/// Accepts TCP connections within limits.
pub struct BoundedAcceptor {
    name: &'static str,
    listener: TcpListener,
    local: LocalAddr,
    write_stall: Duration,
    proxies: TrustedProxies,
    seats: Arc<Seats>,
    refusals: Arc<Seats>,
    trouble: Arc<Trouble>,
}

/// What is logged once for many times.
#[derive(Default)]
struct Trouble {
    refusing: Episode,
    failing: Episode,
}

/// An accepted connection.
pub struct Accepted {
    /// The socket.
    pub connection: Connection,
    /// Its place on the port.
    pub seat: Seat,
    /// The address of the listener.
    pub local: LocalAddr,
    /// The address of the client.
    pub remote: RemoteAddr,
}

impl BoundedAcceptor {
    /// Takes over a bound listener; `name` is what the log calls it.
    pub fn new(
        name: &'static str,
        listener: TcpListener,
        limits: &ConnectionLimits,
    ) -> io::Result<Self> {
        let bounds = Bounds {
            connections: limits.connections.max(1),
            per_address: limits.per_address.max(1),
            first_request: limits.first_request,
            idle: limits.idle,
        };
        let refused = Bounds {
            connections: REFUSALS,
            per_address: REFUSALS / 2,
            first_request: REFUSAL,
            idle: REFUSAL,
        };
        Ok(Self {
            name,
            local: LocalAddr(Addr::SocketAddr(listener.local_addr()?)),
            listener,
            write_stall: limits.write_stall,
            proxies: limits.proxies.clone(),
            seats: Arc::new(Seats::new(bounds)),
            refusals: Arc::new(Seats::new(refused)),
            trouble: Arc::default(),
        })
    }

    /// Accepts the next connection that has a place, be it only to be refused.
    pub async fn accept(&mut self) -> Accepted {
        loop {
            let (stream, remote) = self.next().await;
            if let Some(seat) = self.seat(remote.ip()).await {
                return Accepted {
                    connection: Connection::new(stream, self.write_stall),
                    seat,
                    local: self.local.clone(),
                    remote: RemoteAddr(Addr::SocketAddr(remote)),
                };
            }
        }
    }

    async fn next(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    if self.trouble.failing.count(Instant::now()) {
                        tracing::warn!(%error, port = self.name, "cannot accept connections");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn seat(&self, address: IpAddr) -> Option<Seat> {
        let address = counted(address).filter(|_| !self.proxies.trusts(address.to_canonical()));
        let refused = match take(&self.seats, address, false).await {
            Ok(seat) => return Some(seat),
            Err(verdict) => verdict,
        };
        if self.trouble.refusing.count(Instant::now()) {
            let port = self.name;
            let full = address.filter(|_| matches!(refused, Verdict::AddressFull));
            if let Some(address) = full {
                tracing::warn!(port, %address, "refuses connections: one address has too many");
            } else {
                tracing::warn!(port, "refuses connections: all are in use");
            }
        }
        take(&self.refusals, address, true).await.ok()
    }

    /// Closes the connections that wait too long, for as long as it is polled.
    pub fn sweep(&self) -> impl Future<Output = ()> + Send + use<> {
        let (seats, refusals) = (self.seats.clone(), self.refusals.clone());
        let (trouble, port) = (self.trouble.clone(), self.name);
        async move {
            let mut ticks = interval(SWEEP);
            loop {
                let now = ticks.tick().await.into_std();
                seats.close_expired(now);
                refusals.close_expired(now);
                if let Some(times) = trouble.refusing.end(now) {
                    tracing::info!(port, times, "refuses no connections any more");
                }
                if let Some(times) = trouble.failing.end(now) {
                    tracing::info!(port, times, "accepts connections again");
                }
            }
        }
    }
}

/// Takes a place, waiting for the connection that gives way to it.
async fn take(
    seats: &Arc<Seats>,
    address: Option<IpAddr>,
    is_refused: bool,
) -> Result<Seat, Verdict<()>> {
    let (seat, gives_way) = seats.enter(address, is_refused)?;
    if let Some(signal) = gives_way {
        signal.ask_to_close(false);
        // The number of open files must not grow while many give way.
        drop(timeout(GIVING_WAY, signal.closed()).await);
    }
    Ok(seat)
}
