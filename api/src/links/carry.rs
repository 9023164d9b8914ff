//! One direction of one connection.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::{State, audible};

const PIECE_BYTES: usize = 16 * 1024;
/// How many pieces may be under way on a slow link.
const PIECES: usize = 64;

struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

/// Passes bytes on in their order, each at its time, then the end.
pub(super) async fn carry(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    state: watch::Receiver<State>,
) -> io::Result<()> {
    let (under_way, arriving) = mpsc::channel(PIECES);
    tokio::try_join!(
        take(from, under_way, state.clone()),
        give(to, arriving, state)
    )?;
    Ok(())
}

async fn take(
    mut from: OwnedReadHalf,
    under_way: mpsc::Sender<Piece>,
    state: watch::Receiver<State>,
) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; PIECE_BYTES];
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        bytes.truncate(count);
        let due = Instant::now() + state.borrow().delay;
        if under_way.send(Piece { due, bytes }).await.is_err() {
            return Ok(());
        }
    }
}

async fn give(
    mut to: OwnedWriteHalf,
    mut arriving: mpsc::Receiver<Piece>,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    while let Some(piece) = arriving.recv().await {
        sleep_until(piece.due).await;
        audible(&mut state).await;
        to.write_all(&piece.bytes).await?;
    }
    audible(&mut state).await;
    to.shutdown().await
}
