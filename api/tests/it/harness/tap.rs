//! A wire tap: passes on what a replica says to a peer, and keeps it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use super::eventually;

/// A call as it went by.
#[derive(Clone, Debug)]
pub struct Captured {
    /// Everything up to the empty line, and that.
    pub head: String,
    /// What came behind it.
    pub body: Vec<u8>,
}

impl Captured {
    /// Sends the call to an address on a connection of its own, and returns all that is answered.
    pub async fn sent_to(&self, address: SocketAddr) -> String {
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        let head = self.head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        let call = [head.as_bytes(), &self.body].concat();
        // A call that is refused may not be taken whole.
        let _ = socket.write_all(&call).await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// What a tap does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// Passes them on.
    None,
    /// Makes every second one itself first, and passes it on then.
    Half,
}

/// The tap.
pub struct Tap {
    /// Where calls come in.
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Captured>>>,
}

impl Tap {
    /// Taps the way to a peer.
    pub async fn before(target: SocketAddr, haste: Haste) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let calls = Arc::<Mutex<Vec<Captured>>>::default();
        let kept = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(pass(caller, target, haste, Arc::clone(&kept)));
            }
        });
        Self { address, calls }
    }

    /// Waits for a call that begins so, and returns the newest.
    pub async fn captures(&self, begin: &str) -> Captured {
        eventually(&format!("a call that begins with {begin}"), async || {
            let calls = self.calls.lock().expect("no holder panics");
            let mut found = calls.iter().rev().filter(|it| it.head.starts_with(begin));
            let others = calls.iter().filter_map(|it| it.head.lines().next());
            found
                .next()
                .cloned()
                .ok_or(format!("{:?}", others.collect::<Vec<_>>()))
        })
        .await
    }
}

async fn pass(
    caller: TcpStream,
    target: SocketAddr,
    haste: Haste,
    calls: Arc<Mutex<Vec<Captured>>>,
) -> io::Result<()> {
    let called = TcpStream::connect(target).await?;
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_called, mut to_called) = called.into_split();
    let forth = async {
        let mut said = Vec::new();
        loop {
            while let Some((call, length)) = first_call(&said) {
                let count = {
                    let mut calls = calls.lock().expect("no holder panics");
                    calls.push(call.clone());
                    calls.len()
                };
                if haste == Haste::Half && count.is_multiple_of(2) {
                    call.sent_to(target).await;
                }
                to_called.write_all(&said[..length]).await?;
                said.drain(..length);
            }
            if from_caller.read_buf(&mut said).await? == 0 {
                return to_called.shutdown().await;
            }
        }
    };
    tokio::try_join!(forth, async {
        copy(&mut from_called, &mut to_caller).await?;
        to_caller.shutdown().await
    })?;
    Ok(())
}

/// Returns the first whole call, and how long it is.
fn first_call(said: &[u8]) -> Option<(Captured, usize)> {
    let end = said.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&said[..end]).into_owned();
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths
        .next()
        .map_or(0, |(_, value)| value.parse().expect("a length"));
    let body = said.get(end..end + length)?.to_vec();
    Some((Captured { head, body }, end + length))
}
