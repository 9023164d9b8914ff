//! A history of a given size, posted once and shared by all benchmarks that need one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::http::Connection;
use crate::load::{self, Poster, client, posters};
use crate::replica::Cluster;
use crate::setup::{Folder, Setup};

/// The timeout for a replica to show all posts.
const PATIENCE: Duration = Duration::from_mins(30);

/// A cluster of two: the first replica holds the history and is stopped; the second has never been
/// started.
pub struct History {
    pub cluster: Cluster,
    /// The number of events.
    pub events: u64,
    /// A cursor from before the first message of the group that is read as a whole.
    pub start: String,
    /// The last field, so that it is dropped after the processes that use it.
    _folder: Folder,
}

/// One group of a history.
pub const SMALL: &str = "small";
pub const WHOLE: &str = "whole";
pub const LARGE: &str = "large";
/// The number of users who write.
const WRITERS: usize = 64;

impl History {
    /// Posts the history: a small group, one that is read as a whole, and a large one.
    pub async fn make(setup: &Setup) -> anyhow::Result<Self> {
        let folder = setup.folder("made")?;
        let cluster = Cluster::plan(folder.path(), 2)?;
        let replica = cluster.start(0).await?;
        let sizes = &setup.sizes;
        let groups = [
            (SMALL, sizes.small),
            (WHOLE, sizes.whole),
            (LARGE, sizes.large),
        ];
        let mut start = None;
        for (name, count) in groups {
            eprintln!("making a history: {count} messages in one group");
            let posters = posters(replica.public, name, WRITERS, 1).await?;
            if name == WHOLE {
                start = Some(cursor_now(replica.public, &posters[0]).await?);
            }
            load::fill(replica.public, &posters, count).await?;
        }
        shows_all(replica.public).await?;
        for (name, count) in groups {
            let group = group(name);
            let query = format!("SELECT count(*) FROM messages WHERE group_name = '{group}'");
            let found = cluster.count(0, &query).await?;
            ensure!(
                found == count,
                "`{group}` has {found} messages, not {count}"
            );
        }
        let events = Held::at(replica.public).await?.events;
        replica.stop().await?;
        Ok(Self {
            cluster,
            events,
            start: start.context("there is a group that is read as a whole")?,
            _folder: folder,
        })
    }

    /// Logs in a member of a group of the history.
    pub async fn member(address: SocketAddr, name: &str) -> anyhow::Result<Poster> {
        let mut posters = posters(address, name, 1, 1).await?;
        Ok(posters.remove(0))
    }
}

/// The current cursor of a group.
async fn cursor_now(address: SocketAddr, reader: &Poster) -> anyhow::Result<String> {
    let client = client(address, reader);
    let changes = client.changes(&reader.groups[0], None, Duration::ZERO, 1);
    Ok(changes.await?.cursor)
}

/// The group of a name in the history.
pub fn group(name: &str) -> String {
    format!("{name}-0")
}

/// Waits until a replica's read model shows all events.
pub async fn shows_all(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Held::at(address).await?.lag > 0 {
        ensure!(
            Instant::now() < deadline,
            "a replica does not show all events that it holds"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// The progress of a replica, from its metrics.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The events in its log.
    pub events: u64,
    /// The events that its read model does not show yet.
    pub lag: u64,
}

impl Held {
    pub async fn at(address: SocketAddr) -> anyhow::Result<Self> {
        Self::ask(&mut Connection::open(address).await?).await
    }

    /// Reads the progress on an open connection.
    pub async fn ask(connection: &mut Connection) -> anyhow::Result<Self> {
        let metrics = connection.metrics().await?;
        Ok(Self {
            events: metrics.sum("causeway_events")?,
            lag: metrics.sum("causeway_timeline_lag_events")?,
        })
    }

    /// The number of events that it shows.
    pub fn readable(self) -> u64 {
        self.events.saturating_sub(self.lag)
    }
}
