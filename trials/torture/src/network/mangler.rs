//! The last hop of a link between two replicas: a proxy that can truncate answers and duplicate
//! requests.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// The number of bytes of a connection that are replayed.
const REMEMBERED_BYTES: usize = 4 << 20;
/// The delay between the end of a connection and the replay of its requests.
const LATER: Duration = Duration::from_millis(400);
/// How long the answers to replayed requests are read.
const PATIENCE: Duration = Duration::from_secs(10);

/// The fault of a mangler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mangling {
    /// Forwards everything.
    #[default]
    None,
    /// Closes each connection after some bytes of answers, up to this many.
    Tear(u64),
    /// Sends every request twice at once, and replays it after the connection has ended.
    Again,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    target: Option<SocketAddr>,
    mangling: Mangling,
}

/// The proxy. Dropping it closes all connections.
#[derive(Debug)]
pub struct Mangler {
    address: SocketAddr,
    state: watch::Sender<State>,
    accepting: AbortHandle,
}

impl Mangler {
    /// Opens a proxy without a target.
    pub async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (state, watched) = watch::channel(State::default());
        let accepting = tokio::spawn(accept(listener, watched)).abort_handle();
        Ok(Self {
            address,
            state,
            accepting,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the target; closes open connections.
    pub fn set_target(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = Some(target));
    }

    /// Sets the fault; closes open connections.
    pub fn mangle(&self, mangling: Mangling) {
        self.state.send_if_modified(|state| {
            let is_new = state.mangling != mangling;
            state.mangling = mangling;
            is_new
        });
    }
}

impl Drop for Mangler {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((caller, _)) => {
                    number += 1;
                    connections.spawn(connection(caller, state.clone(), number));
                }
                // Out of file descriptors: waits until some are closed.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Serves one connection until either end closes it, or the target or fault changes.
async fn connection(caller: TcpStream, mut state: watch::Receiver<State>, number: u64) {
    let now = *state.borrow_and_update();
    let Some(target) = now.target else { return };
    let mut said = Vec::new();
    let passes = async {
        match now.mangling {
            Mangling::None => pass(caller, target, u64::MAX).await,
            Mangling::Tear(most) => pass(caller, target, torn_after(number, most)).await,
            Mangling::Again => pass_twice(caller, target, &mut said).await,
        }
    };
    tokio::select! {
        _ended = passes => {}
        _otherwise = state.changed() => {}
    }
    if !said.is_empty() {
        sleep(LATER).await;
        let target = state.borrow().target.unwrap_or(target);
        let _ = timeout(PATIENCE, say_again(target, &said)).await;
    }
}

/// A random limit, small or large, so that heads, bodies and long answers are truncated anywhere.
fn torn_after(number: u64, most: u64) -> u64 {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let most = if number.is_multiple_of(3) {
        most
    } else {
        1_500
    };
    1 + spread % most.max(1)
}

/// Forwards both directions, up to a limit of answer bytes.
async fn pass(caller: TcpStream, target: SocketAddr, answered: u64) -> io::Result<()> {
    let called = TcpStream::connect(target).await?;
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (from_called, mut to_called) = called.into_split();
    let mut answers = from_called.take(answered);
    let forth = async {
        copy(&mut from_caller, &mut to_called).await?;
        to_called.shutdown().await?;
        // Answers may still be in flight.
        std::future::pending::<io::Result<()>>().await
    };
    tokio::select! {
        ended = forth => ended,
        ended = copy(&mut answers, &mut to_caller) => ended.map(|_| ()),
    }
}

/// Forwards both directions, and sends the caller's bytes on a second connection too.
async fn pass_twice(caller: TcpStream, target: SocketAddr, said: &mut Vec<u8>) -> io::Result<()> {
    let called = TcpStream::connect(target).await?;
    let second = TcpStream::connect(target).await?;
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_called, mut to_called) = called.into_split();
    let (mut from_second, mut to_second) = second.into_split();
    let forth = async {
        tee(&mut from_caller, &mut to_called, &mut to_second, said).await?;
        std::future::pending::<io::Result<()>>().await
    };
    let ignored = async {
        let _ = copy(&mut from_second, &mut sink()).await;
        std::future::pending::<io::Result<()>>().await
    };
    tokio::select! {
        ended = forth => ended,
        ended = ignored => ended,
        ended = copy(&mut from_called, &mut to_caller) => ended.map(|_| ()),
    }
}

async fn tee(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    second: &mut (impl AsyncWrite + Unpin),
    said: &mut Vec<u8>,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        if said.len() + count <= REMEMBERED_BYTES {
            said.extend_from_slice(&bytes[..count]);
        }
        to.write_all(&bytes[..count]).await?;
        // The target may have closed the second connection.
        let _ = second.write_all(&bytes[..count]).await;
    }
}

async fn say_again(target: SocketAddr, said: &[u8]) -> io::Result<()> {
    let called = TcpStream::connect(target).await?;
    let (mut answers, mut to_called) = called.into_split();
    let speaks = async {
        to_called.write_all(said).await?;
        to_called.shutdown().await
    };
    let mut nowhere = sink();
    let (_spoken, _ignored) = tokio::join!(speaks, copy(&mut answers, &mut nowhere));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Echoes every connection, and reports the bytes of each at its end.
    async fn echo() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let (mut all, mut bytes) = (Vec::new(), [0; 64]);
                    while let Ok(count @ 1..) = caller.read(&mut bytes).await {
                        all.extend_from_slice(&bytes[..count]);
                        let _ = caller.write_all(&bytes[..count]).await;
                    }
                    let _ = tell.send(all);
                });
            }
        });
        (address, told)
    }

    async fn leading_to(target: SocketAddr, mangling: Mangling) -> Mangler {
        let mangler = Mangler::open().await.unwrap();
        mangler.set_target(target);
        mangler.mangle(mangling);
        mangler
    }

    #[tokio::test]
    async fn answers_break_off() {
        let (target, _told) = echo().await;
        let mangler = leading_to(target, Mangling::Tear(1_500)).await;

        let mut caller = TcpStream::connect(mangler.address()).await.unwrap();
        caller.write_all(&[7; 8_000]).await.unwrap();
        let mut answer = Vec::new();
        let _ = caller.read_to_end(&mut answer).await;

        assert!((1..=1_500).contains(&answer.len()), "{}", answer.len());
    }

    #[tokio::test]
    async fn what_is_said_is_said_three_times() {
        let (target, mut told) = echo().await;
        let mangler = leading_to(target, Mangling::Again).await;

        let mut caller = TcpStream::connect(mangler.address()).await.unwrap();
        caller.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        caller.read_exact(&mut answer).await.unwrap();
        drop(caller);

        assert_eq!(&answer, b"hello");
        for _ in 0..3 {
            let said = timeout(Duration::from_mins(1), told.recv()).await;
            assert_eq!(said.unwrap().unwrap(), b"hello");
        }
    }
}
