//! Links between replicas that can be cut, healed, silenced and slowed down.
//!
//! A [`Link`] is a small TCP proxy on this machine, one for each direction between two replicas. It
//! knows nothing of what it carries. The local cluster of `dev` and the tests put one wherever a
//! replica calls another, so that a partition is a real one: connections die, nothing is simulated.

mod carry;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use carry::carry;

/// The connection from one replica to another. Dropping it closes everything.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: watch::Sender<State>,
    _closed_on_drop: DropGuard,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    target: Option<SocketAddr>,
    mode: Mode,
    delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Whole,
    Cut,
    Silent,
}

impl Link {
    /// Opens a link on a free port of 127.0.0.1. It leads nowhere until it has a target.
    pub async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (state, watched) = watch::channel(State {
            target: None,
            mode: Mode::Whole,
            delay: Duration::ZERO,
        });
        let closed = CancellationToken::new();
        tokio::spawn(accept(listener, watched, closed.clone()));
        Ok(Self {
            address,
            state,
            _closed_on_drop: closed.drop_guard(),
        })
    }

    /// Returns the address that the caller connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the target of new connections.
    pub fn set_target(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = Some(target));
    }

    /// Closes every connection, and each new one at once.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.mode = Mode::Cut);
    }

    /// Accepts connections and bytes and forwards nothing in either direction, as when packets are
    /// dropped. Nothing is lost: after [`heal`](Self::heal) it is forwarded.
    pub fn black_hole(&self) {
        self.state.send_modify(|state| state.mode = Mode::Silent);
    }

    /// Delays everything by this much, in each direction.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Makes the link whole and fast again.
    pub fn heal(&self) {
        self.state.send_modify(|state| {
            state.mode = Mode::Whole;
            state.delay = Duration::ZERO;
        });
    }

    /// Whether the link is cut.
    pub fn is_cut(&self) -> bool {
        self.state.borrow().mode == Mode::Cut
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>, closed: CancellationToken) {
    while let Some(accepted) = closed.run_until_cancelled(listener.accept()).await {
        let Ok((caller, _)) = accepted else {
            // No file descriptor is free; those in use have to be closed first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connection = connection(caller, state.clone());
        tokio::spawn(closed.clone().run_until_cancelled_owned(connection));
    }
}

/// Serves one connection until either end closes it or the link is cut.
async fn connection(caller: TcpStream, mut state: watch::Receiver<State>) {
    let carried = pass(caller, state.clone());
    tokio::select! {
        _ended = carried => {}
        _cut = state.wait_for(|state| state.mode == Mode::Cut) => {}
    }
}

async fn pass(caller: TcpStream, mut state: watch::Receiver<State>) -> io::Result<()> {
    audible(&mut state).await;
    let target = state.borrow().target.ok_or(io::ErrorKind::NotConnected)?;
    let called = TcpStream::connect(target).await?;
    for end in [&caller, &called] {
        end.set_nodelay(true)?;
    }
    let (from_caller, to_caller) = caller.into_split();
    let (from_called, to_called) = called.into_split();
    tokio::try_join!(
        carry(from_caller, to_called, state.clone()),
        carry(from_called, to_caller, state)
    )?;
    Ok(())
}

/// Waits while the link is silent.
async fn audible(state: &mut watch::Receiver<State>) {
    // A link that is gone ends its connections itself.
    let _ = state.wait_for(|state| state.mode != Mode::Silent).await;
}

#[cfg(test)]
mod tests;
