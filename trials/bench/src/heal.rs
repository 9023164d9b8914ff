//! B5: the rate at which a replica that was away catches up, against a plain insert of the same
//! rows in batches.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::http::Connection;
use crate::load::{self, Poster, post_one, posters, rate};
use crate::made::{Held, History, shows_all};
use crate::pgbench::Yardstick;
use crate::process::{Meter, Shares};
use crate::replica::{Cluster, Replica};
use crate::report::{Goal, Line, paired};
use crate::rows::Rows;
use crate::setup::Setup;
use crate::stats::{Spread, percentile_ms};
use crate::write::{CONNECTIONS, GROUPS};

/// The maximum number of events that the yardstick inserts; its rate does not depend on it.
const YARDSTICK: u64 = 100_000;
/// The interval of posts at the replica that catches up.
const EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(20);

pub async fn run(setup: &Setup, history: &History) -> anyhow::Result<Vec<Line>> {
    let mut lines = run_small(setup).await?;
    lines.extend(run_large(setup, history).await?);
    Ok(lines)
}

/// Catches up with a history of medium size.
async fn run_small(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("heal")?;
    let cluster = Cluster::plan(folder.path(), 2)?;
    let first = cluster.start(0).await?;
    let posters = posters(first.public, "heal", CONNECTIONS, GROUPS).await?;
    eprintln!("heal: filling with {}", setup.sizes.whole);
    load::fill(first.public, &posters, setup.sizes.whole).await?;
    shows_all(first.public).await?;
    let lines = catch_up(setup, &cluster, &first, setup.runs).await?;
    first.stop().await?;
    Ok(lines)
}

/// Catches up with the large history once, which takes minutes.
async fn run_large(setup: &Setup, history: &History) -> anyhow::Result<Vec<Line>> {
    let first = history.cluster.start(0).await?;
    let mut lines = catch_up(setup, &history.cluster, &first, 1).await?;
    lines.truncate(1);
    first.stop().await?;
    Ok(lines)
}

async fn catch_up(
    setup: &Setup,
    cluster: &Cluster,
    first: &Replica,
    runs: u32,
) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("heal-yardstick")?;
    let yardstick = Yardstick::start(folder.path()).await?;
    let rows = Rows::read(&mut cluster.database(0).await?, YARDSTICK).await?;
    let (mut pairs, mut shares, mut moved) = (Vec::new(), Vec::new(), 0.0_f64);
    let (mut quiet, mut shared, mut held) = (Vec::new(), Vec::new(), 0);
    for run in 0..runs {
        held = Held::at(first.public).await?.events;
        eprintln!("heal: {held} events, run {} of {runs}", run + 1);
        let second = cluster.start(1).await?;
        let meter = Meter::begin(&[first.pid(), second.pid()])?;
        let begun = Instant::now();
        let before = Held::at(second.public).await?.readable();
        let mut watched = Connection::open(second.public).await?;
        while Held::ask(&mut watched).await?.readable() < held {
            ensure!(begun.elapsed() < PATIENCE, "a replica does not catch up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ours = rate(held - before, begun.elapsed());
        shares.push(meter.end()?);
        let received = watched.metrics().await?;
        let received = received.sum("causeway_peer_events_received_total")?;
        moved = moved.max(ratio(received, held - before));
        let rows_there = cluster.count(1, "SELECT count(*) FROM events").await?;
        ensure!(rows_there >= held, "{rows_there} rows of {held} events");
        second.stop().await?;
        std::fs::remove_dir_all(cluster.data_dir(1))?;
        pairs.push((ours, rows.insert(&mut yardstick.emptied().await?).await?));
        if runs > 1 {
            let (busy, calm, rate) = posts_meanwhile(cluster, first).await?;
            quiet.push((busy, calm));
            shared.push(rate);
        }
    }
    let what = format!("catch-up of {held} events until readable; the same rows, UNNEST of 500");
    let mut lines = vec![
        paired("B5", what, "events/s", &pairs, Goal::at_least(0.4, 0.7)).with(format!(
            "each event moved {moved:.2} times at most; of both: {}",
            Shares::mean(&shares)
        )),
    ];
    if !quiet.is_empty() {
        let what = "a post at the replica that catches up, p99; when it is quiet, p99";
        lines.push(
            paired("B5", what, "ms", &quiet, Goal::at_most(3.0, 3.0)).with(format!(
                "meanwhile it catches up with {:.0} events/s",
                Spread::of(shared).median
            )),
        );
    }
    Ok(lines)
}

/// The p99 of posts at a replica while it catches up and afterwards, and the rate of events per
/// second at which it catches up meanwhile.
async fn posts_meanwhile(cluster: &Cluster, first: &Replica) -> anyhow::Result<(f64, f64, f64)> {
    let held = Held::at(first.public).await?.events;
    let second = cluster.start(1).await?;
    let posters = posters(second.public, "meanwhile", 1, 1).await?;
    let mut watched = Connection::open(second.public).await?;
    let mut busy = Vec::new();
    let (begun, before) = (Instant::now(), Held::ask(&mut watched).await?.readable());
    while Held::ask(&mut watched).await?.readable() < held {
        ensure!(begun.elapsed() < PATIENCE, "a replica does not catch up");
        busy.extend(some_posts(&second, &posters[0], 10).await?);
    }
    let caught_up = rate(held.saturating_sub(before), begun.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut calm = some_posts(&second, &posters[0], busy.len().max(50)).await?;
    second.stop().await?;
    std::fs::remove_dir_all(cluster.data_dir(1))?;
    Ok((
        percentile_ms(&mut busy, 0.99),
        percentile_ms(&mut calm, 0.99),
        caught_up,
    ))
}

/// Posts every 20 ms on one connection; returns the latency of each post.
pub async fn some_posts(
    replica: &Replica,
    poster: &Poster,
    count: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut connection = Connection::open(replica.public).await?;
    let mut latencies = Vec::with_capacity(count);
    for group in poster.groups.iter().cycle().take(count) {
        latencies.push(post_one(&mut connection, &poster.token, group).await?);
        tokio::time::sleep(EVERY).await;
    }
    Ok(latencies)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
