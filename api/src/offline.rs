//! What commands share that work on a replica whose server does not run.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_domain::ids::ReplicaId;
use causeway_replicator::driver::Clocks;
use causeway_replicator::link::http::HttpLink;
use causeway_replicator_core::wire::Caller;
use causeway_store::log::{Log, Options, WriterTask};
use causeway_store::timelines::Timelines;

use crate::clock::wall_clock;
use crate::config::Config;
use crate::failure::tell;
use crate::keys::ClusterKeys;
use crate::server::parts;

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(1);

/// The clocks of this command.
pub(crate) fn clocks(config: &Config) -> Arc<Clocks> {
    Clocks::new(wall_clock(config.clock_offset_file.as_deref()))
}

/// How the log of this replica is opened.
pub(crate) fn options(config: &Config, url: &str, clocks: &Clocks) -> anyhow::Result<Options> {
    let disk = parts::disk(config);
    parts::options(config, url, clocks, &disk)
}

/// The ways to all peers, and as whom they are called.
pub(crate) fn links(config: &Config) -> anyhow::Result<(Caller, BTreeMap<ReplicaId, HttpLink>)> {
    let caller = parts::caller(config)?;
    let keys = parts::peer_keys(&ClusterKeys::of(config));
    let links = parts::links(config, &caller, &keys);
    Ok((caller, links))
}

/// Lets the read model take in the whole log, so that the next start shows everything at once. Progress
/// is told as a number of `what`.
pub(crate) async fn show(log: &Log, url: &str, what: &str) -> anyhow::Result<()> {
    let (timelines, follower) = Timelines::follow(log.clone(), url).await?;
    let told = Progress::default();
    let all = log.head().arrival;
    let mut bell = timelines.bell();
    while bell.borrow_and_update().arrival < all {
        told.tell(what, timelines.checkpoint().arrival.unsigned_abs());
        bell.changed().await?;
    }
    drop(timelines);
    follower.abort();
    let _ = follower.await;
    Ok(())
}

/// Closes the log.
pub(crate) async fn close(log: Log, writer: WriterTask) {
    drop(log);
    // It ends with its last handle; what it could not give back it draws anew.
    let _ = writer.await;
}

/// Lines on standard error, one in a while.
pub(crate) struct Progress(Cell<Instant>);

impl Default for Progress {
    fn default() -> Self {
        Self(Cell::new(Instant::now()))
    }
}

impl Progress {
    pub(crate) fn tell(&self, what: &str, count: u64) {
        if self.0.get().elapsed() > PROGRESS {
            self.0.set(Instant::now());
            tell(&format!("{count} {what}"));
        }
    }
}
