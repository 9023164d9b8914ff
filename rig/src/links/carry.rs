//! One direction of one connection.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::{State, audible};

const CHUNK_BYTES: usize = 16 * 1024;
/// Most chunks in transit on a slow link.
const CHUNKS: usize = 64;

struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

/// Forwards bytes in order, each after the delay, then the end.
pub(super) async fn carry(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    state: watch::Receiver<State>,
) -> io::Result<()> {
    let (in_transit, arriving) = mpsc::channel(CHUNKS);
    tokio::try_join!(
        take(from, in_transit, state.clone()),
        give(to, arriving, state)
    )?;
    Ok(())
}

async fn take(
    mut from: OwnedReadHalf,
    in_transit: mpsc::Sender<Chunk>,
    state: watch::Receiver<State>,
) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; CHUNK_BYTES];
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        bytes.truncate(count);
        let due = Instant::now() + state.borrow().delay;
        if in_transit.send(Chunk { due, bytes }).await.is_err() {
            return Ok(());
        }
    }
}

async fn give(
    mut to: OwnedWriteHalf,
    mut arriving: mpsc::Receiver<Chunk>,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    while let Some(chunk) = arriving.recv().await {
        sleep_until(chunk.due).await;
        audible(&mut state).await;
        to.write_all(&chunk.bytes).await?;
    }
    audible(&mut state).await;
    to.shutdown().await
}
