//! A small server of which somebody takes all there is of one thing: nobody else is disturbed, it
//! recovers by itself, its log stays readable, and memory is returned. A file for each resource, as
//! in the table "Limits" of OPERATIONS.

mod connections;
mod floods;
mod requests;

use std::net::SocketAddr;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{Replica, User, eventually};

/// As many open files as a service gets where nothing is set.
const OPEN_FILES: u32 = 1_024;

/// A server with few open files, and somebody on it who is a member of `lobby`.
async fn small() -> (Replica, User) {
    small_with("").await
}

/// The same with these lines in its settings.
async fn small_with(more: &str) -> (Replica, User) {
    let mut replica = Replica::prepare().await;
    replica.settings.more = more.into();
    replica.restart_small(OPEN_FILES).await;
    let ann = replica.member("ann", "lobby").await;
    (replica, ann)
}

/// Connections that are open at once, each with these bytes sent on it.
async fn sockets(address: SocketAddr, count: usize, bytes: &'static [u8]) -> Vec<TcpStream> {
    // The other side of each is in the same process as all other tests.
    causeway_api::open_files::raise();
    let one = async || {
        let mut socket = TcpStream::connect(address).await.expect("it listens");
        // It may be closed already.
        drop(socket.write_all(bytes).await);
        socket
    };
    let all = iter(0..count).map(|_| one()).buffer_unordered(64);
    all.collect().await
}

/// Posts on a connection of its own, as somebody who comes just now.
async fn posts_anew(ann: &User, text: &str) {
    ann.anew().says_once("lobby", text, text).await.with(201);
}

/// Demands that the log has not more lines than a person reads.
fn is_readable(replica: &Replica) {
    let log = replica.process().log();
    let lines = log.lines().count();
    assert!(lines < 60, "{lines} lines: {log}");
}

/// Waits until the server holds not much more memory than before: the most that its caches and the
/// system's allocator keep.
async fn returns_memory(replica: &Replica, before_kb: u64) {
    const KEPT_KB: u64 = 40_000;
    eventually("memory is returned", async || {
        let now = replica.process().memory_kb();
        let is_returned = now < before_kb + KEPT_KB;
        is_returned
            .then_some(())
            .ok_or(format!("{now} kB, {before_kb} kB before"))
    })
    .await;
}

/// Waits until somebody who comes anew is served.
async fn recovers(replica: &Replica) {
    eventually("it serves again", async || {
        let ready = replica.door.get("/readyz").await;
        (ready.status == 200).then_some(()).ok_or(ready.body)
    })
    .await;
}
