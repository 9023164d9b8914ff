//! B1 and B2: durable posts at one replica, against pgbench.

use anyhow::ensure;

use crate::load::{post, posters};
use crate::pgbench::Yardstick;
use crate::process::{Meter, Shares};
use crate::replica::Cluster;
use crate::report::{Goal, Line, paired};
use crate::setup::Setup;
use crate::stats::percentile_ms;

pub const CONNECTIONS: usize = 64;
pub const GROUPS: usize = 50;

pub async fn run(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("write")?;
    let yardstick = Yardstick::start(folder.path()).await?;
    let cluster = Cluster::plan(folder.path(), 1)?;
    let replica = cluster.start(0).await?;
    let posters = posters(replica.public, "write", CONNECTIONS, GROUPS).await?;
    post(replica.public, &posters, setup.load / 2).await?;
    let rows_before = cluster.count(0, "SELECT count(*) FROM events").await?;

    let (mut many, mut one, mut p99) = (Vec::new(), Vec::new(), Vec::new());
    let (mut shares, mut answered) = (Vec::new(), 0);
    for run in 0..setup.runs {
        eprintln!("write: run {} of {}", run + 1, setup.runs);
        let theirs = yardstick.insert(CONNECTIONS, setup.load).await?;
        let meter = Meter::begin(&[replica.pid()])?;
        let mut ours = post(replica.public, &posters, setup.load).await?;
        shares.push(meter.end()?);
        many.push((ours.per_second, theirs.per_second));
        p99.push(percentile_ms(&mut ours.latencies, 0.99));
        answered += ours.answered;
        let theirs = yardstick.insert(1, setup.load).await?;
        let mut ours = post(replica.public, &posters[..1], setup.load).await?;
        one.push((percentile_ms(&mut ours.latencies, 0.5), theirs.p50_ms));
        answered += ours.answered;
    }
    let rows = cluster.count(0, "SELECT count(*) FROM events").await? - rows_before;
    ensure!(
        rows == answered,
        "{answered} posts were answered, the database has {rows} more rows"
    );
    replica.stop().await?;
    let worst = p99.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        paired(
            "B1",
            "durable posts at one replica, 64 connections; pgbench, 64 clients",
            "/s",
            &many,
            Goal::at_least(1.3, 2.0),
        )
        .with(format!(
            "{}; p99 {worst:.1} ms at most; {answered} rows counted",
            Shares::mean(&shares)
        )),
        paired(
            "B2",
            "the same at 1 connection, p50; pgbench, 1 client, p50",
            "ms",
            &one,
            Goal::at_most(2.5, 1.6),
        ),
    ])
}
