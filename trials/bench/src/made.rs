//! A history of the asked size, made once by posting it and used by every benchmark that needs one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::http::Connection;
use crate::load::{self, Poster, client, posters};
use crate::replica::Cluster;
use crate::setup::{Folder, Setup};

/// How long a replica may take to show what was posted.
const PATIENCE: Duration = Duration::from_mins(30);

/// A cluster of two: the first replica holds the history and is stopped, the second was never
/// started.
pub struct History {
    pub cluster: Cluster,
    /// How many events there are.
    pub events: u64,
    /// A cursor from before the first message of the group that is read as a whole.
    pub start: String,
    /// Last, so that it goes after everything that runs in it.
    _folder: Folder,
}

/// One group of a history.
pub const SMALL: &str = "small";
pub const WHOLE: &str = "whole";
pub const LARGE: &str = "large";
/// How many people write.
const WRITERS: usize = 64;

impl History {
    /// Posts it: a small group, one of the length that is read as a whole, and a large one.
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

    /// Somebody who is in a group of the history.
    pub async fn member(address: SocketAddr, name: &str) -> anyhow::Result<Poster> {
        let mut posters = posters(address, name, 1, 1).await?;
        Ok(posters.remove(0))
    }
}

/// The cursor of a group as it is now.
async fn cursor_now(address: SocketAddr, reader: &Poster) -> anyhow::Result<String> {
    let client = client(address, reader);
    let changes = client.changes(&reader.groups[0], None, Duration::ZERO, 1);
    Ok(changes.await?.cursor)
}

/// The group that a name of a history stands for.
pub fn group(name: &str) -> String {
    format!("{name}-0")
}

/// Waits until a replica shows all it holds.
pub async fn shows_all(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Held::at(address).await?.lag > 0 {
        ensure!(
            Instant::now() < deadline,
            "a replica shows not all it holds"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// How far a replica is, by its metrics.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Events in its log.
    pub events: u64,
    /// Of these, those that its read model does not show yet.
    pub lag: u64,
}

impl Held {
    pub async fn at(address: SocketAddr) -> anyhow::Result<Self> {
        Self::ask(&mut Connection::open(address).await?).await
    }

    /// The same on a connection that is kept.
    pub async fn ask(connection: &mut Connection) -> anyhow::Result<Self> {
        let metrics = connection.metrics().await?;
        Ok(Self {
            events: metrics.sum("causeway_events")?,
            lag: metrics.sum("causeway_timeline_lag_events")?,
        })
    }

    /// How many events it shows.
    pub fn readable(self) -> u64 {
        self.events.saturating_sub(self.lag)
    }
}
