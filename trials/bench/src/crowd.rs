//! B13: thousands of different users come online in one group and go offline again, while messages
//! are posted there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::http::{Connection, say};
use crate::load::{Poster, posters};
use crate::process::resident_bytes;
use crate::readers::Readers;
use crate::replica::Cluster;
use crate::report::{Goal, Line, alone, paired};
use crate::secure::Stream;
use crate::setup::Setup;
use crate::stats::percentile_ms;

/// The interval of the messages.
const EVERY: Duration = Duration::from_millis(200);
/// How long the messages of the settled crowd, and those after it has left, are measured.
const MEASURED: Duration = Duration::from_secs(6);
/// How long a message may take.
const PATIENCE: Duration = Duration::from_mins(1);

pub async fn run(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let count = setup.sizes.streams;
    let folder = setup.folder("crowd")?;
    let replica = Cluster::plan(folder.path(), 1)?.start(0).await?;
    eprintln!("crowd: {count} users join a group");
    let users = posters(replica.public, "crowd", count + 1, 1).await?;
    let (listener, crowd) = users.split_last().context("there is one at least")?;
    let (mut messages, mut memory, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..setup.runs.min(3) {
        eprintln!("crowd: run {} of {}", run + 1, setup.runs.min(3));
        let mut probe = Probe::open(replica.public, listener, replica.pid()).await?;
        let (address, all) = (replica.public, crowd.to_vec());
        let opening = tokio::task::spawn_blocking(move || Readers::open(address, &all));
        let mut moving = Vec::new();
        while !opening.is_finished() {
            moving.push(probe.message().await?);
        }
        let readers = opening.await??;
        // The last frames about who came.
        moving.extend(probe.messages(MEASURED).await?);
        let mut settled = probe.messages(MEASURED).await?;
        let settled_bytes = resident_bytes(replica.pid())?;
        drop(readers);
        moving.extend(probe.messages(MEASURED).await?);
        messages.push((
            percentile_ms(&mut moving, 0.99),
            percentile_ms(&mut settled, 0.99),
        ));
        memory.push((mb(probe.peak_bytes), mb(settled_bytes)));
        bytes.push(mb(probe.presence_bytes.load(Ordering::Relaxed)) * 1_000.0);
    }
    replica.stop().await?;
    Ok(vec![
        paired(
            "B13",
            format!(
                "a message while {count} users come and go, p99; while they stay, p99 (to one of them)"
            ),
            "ms",
            &messages,
            Goal::at_most(3.0, 2.0),
        ),
        paired(
            "B13",
            "memory of the server at most; with all streams open",
            "MB",
            &memory,
            Goal::at_most(1.5, 1.2),
        ),
        alone(
            "B13",
            "presence frames of the first listener, until all have come and gone",
            "kB",
            bytes,
            Some(Goal::at_most(20.0, 5.0)),
        ),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

/// A listener who posts, and measures when the message arrives.
struct Probe {
    poster: Poster,
    connection: Connection,
    arrived: mpsc::UnboundedReceiver<(String, Instant)>,
    presence_bytes: Arc<AtomicU64>,
    server: u32,
    peak_bytes: u64,
    number: u32,
}

impl Probe {
    async fn open(address: SocketAddr, poster: &Poster, server: u32) -> anyhow::Result<Self> {
        let path = format!("/v1/groups/{}/events", poster.groups[0]);
        let connection = Connection::open(address).await?;
        let stream = connection.send(&path, &poster.token).await?;
        let (tell, arrived) = mpsc::unbounded_channel();
        let presence_bytes = Arc::new(AtomicU64::new(0));
        tokio::spawn(listen(stream, tell, Arc::clone(&presence_bytes)));
        let mut probe = Self {
            poster: poster.clone(),
            connection: Connection::open(address).await?,
            arrived,
            presence_bytes,
            server,
            peak_bytes: 0,
            number: 0,
        };
        probe.messages(Duration::from_secs(1)).await?;
        Ok(probe)
    }

    async fn messages(&mut self, during: Duration) -> anyhow::Result<Vec<Duration>> {
        let end = Instant::now() + during;
        let mut latencies = Vec::new();
        while Instant::now() < end {
            latencies.push(self.message().await?);
        }
        Ok(latencies)
    }

    /// Posts a message; returns after how long it arrived. Then rests.
    async fn message(&mut self) -> anyhow::Result<Duration> {
        self.number += 1;
        let text = format!("probe-{}-", self.number);
        let sent = Instant::now();
        let group = &self.poster.groups[0];
        say(&mut self.connection, &self.poster.token, group, &text).await?;
        let took = loop {
            let arrived = timeout(PATIENCE, self.arrived.recv()).await;
            let (frame, at) = arrived?.context("the stream has ended")?;
            if frame.contains(&text) {
                break at.saturating_duration_since(sent);
            }
        };
        self.peak_bytes = self.peak_bytes.max(resident_bytes(self.server)?);
        sleep(EVERY).await;
        Ok(took)
    }
}

/// Reads a stream: passes its message frames on, and counts the bytes of those about presence.
async fn listen(
    mut stream: Stream,
    tell: mpsc::UnboundedSender<(String, Instant)>,
    presence_bytes: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let mut received = Vec::new();
    loop {
        let read = stream.read_buf(&mut received).await?;
        ensure!(read > 0, "the server closed the stream");
        let now = Instant::now();
        while let Some(end) = received.windows(2).position(|pair| pair == b"\n\n") {
            let frame = String::from_utf8_lossy(&received[..end + 2]).into_owned();
            received.drain(..end + 2);
            if frame.contains("event: presence\n") {
                presence_bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
            } else if frame.contains("event: message\n") && tell.send((frame, now)).is_err() {
                return Ok(());
            }
        }
    }
}
