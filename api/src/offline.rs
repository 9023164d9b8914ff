//! What the commands share that work on a stopped replica.

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
use crate::failure::print_notice;
use crate::keys::ClusterKeys;
use crate::server::parts;
use crate::tls::Certificates;

/// Interval of the lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Returns the clocks of this command.
pub(crate) fn clocks(config: &Config) -> Arc<Clocks> {
    Clocks::new(wall_clock(config.clock_offset_file.as_deref()))
}

/// Returns how to open the log of this replica.
pub(crate) fn options(config: &Config, url: &str, clocks: &Clocks) -> anyhow::Result<Options> {
    let disk = parts::disk(config);
    parts::options(config, url, clocks, &disk)
}

/// Returns the links to all peers, and the caller to use them as.
pub(crate) fn links(config: &Config) -> anyhow::Result<(Caller, BTreeMap<ReplicaId, HttpLink>)> {
    let caller = parts::caller(config)?;
    let keys = parts::peer_keys(&ClusterKeys::of(config));
    let now_ms = wall_clock(config.clock_offset_file.as_deref())();
    let certificates = Certificates::open(config, now_ms)?;
    let links = parts::links(config, &caller, &keys, &certificates)?;
    Ok((caller, links))
}

/// Makes the read model fold the whole log in, so that the next start shows everything at once. Prints
/// progress as a number of `what`.
pub(crate) async fn show(log: &Log, url: &str, what: &str) -> anyhow::Result<()> {
    let (timelines, follower) = Timelines::follow(log.clone(), url).await?;
    let progress = Progress::default();
    let all = log.head().offset;
    let mut steps = timelines.commits();
    while steps.borrow_and_update().offset < all {
        progress.print(what, timelines.checkpoint().offset.unsigned_abs());
        steps.changed().await?;
    }
    drop(timelines);
    follower.abort();
    let _ = follower.await;
    Ok(())
}

/// Closes the log.
pub(crate) async fn close(log: Log, writer: WriterTask) {
    drop(log);
    // The writer ends with the last handle on the log. A failure to release its lock is harmless.
    let _ = writer.await;
}

/// Prints lines of progress, at most one per interval.
pub(crate) struct Progress(Cell<Instant>);

impl Default for Progress {
    fn default() -> Self {
        Self(Cell::new(Instant::now()))
    }
}

impl Progress {
    pub(crate) fn print(&self, what: &str, count: u64) {
        if self.0.get().elapsed() > PROGRESS_INTERVAL {
            self.0.set(Instant::now());
            print_notice(&format!("{count} {what}"));
        }
    }
}
