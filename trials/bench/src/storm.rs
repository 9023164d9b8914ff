//! Four of five replicas return at the same moment: the latency of posts at the remaining one while
//! the four catch up (F26).

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use crate::heal::some_posts;
use crate::http::Connection;
use crate::load::{self, posters, rate};
use crate::made::Held;
use crate::process::{Meter, Shares};
use crate::replica::{Cluster, Replica};
use crate::report::{Goal, Line, paired};
use crate::setup::Setup;
use crate::stats::{Spread, percentile_ms};
use crate::write::{CONNECTIONS, GROUPS};

const SIZE: usize = 5;
/// The number of posts that are timed without other load.
const CALM: usize = 200;
const PATIENCE: Duration = Duration::from_mins(10);

pub async fn run(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("storm")?;
    let cluster = Cluster::plan(folder.path(), SIZE)?;
    let replicas = cluster.start_all().await?;
    let (first, others) = replicas.split_first().context("there are five")?;
    let writers = posters(first.public, "storm", CONNECTIONS, GROUPS).await?;
    let missed = setup.sizes.whole / (SIZE as u64 - 1);
    let (mut pairs, mut rates, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..setup.runs {
        let held = Held::at(first.public).await?.events;
        have_shown(others, held).await?;
        let mut calm = some_posts(first, &writers[0], CALM).await?;
        eprintln!("storm: {missed} missed, run {} of {}", run + 1, setup.runs);
        signal(others, Signal::STOP);
        load::fill(first.public, &writers, missed).await?;
        let held = Held::at(first.public).await?.events;
        let pids: Vec<u32> = replicas.iter().map(Replica::pid).collect();
        let meter = Meter::begin(&pids)?;
        let begun = Instant::now();
        signal(others, Signal::CONT);
        let mut busy = Vec::new();
        while !show(others, held).await? {
            ensure!(begun.elapsed() < PATIENCE, "replicas do not catch up");
            busy.extend(some_posts(first, &writers[0], 10).await?);
        }
        rates.push(rate(missed * others.len() as u64, begun.elapsed()));
        shares.push(meter.end()?);
        pairs.push((
            percentile_ms(&mut busy, 0.99),
            percentile_ms(&mut calm, 0.99),
        ));
    }
    for replica in replicas {
        replica.stop().await?;
    }
    let what = "a post at the one that stayed while four come back, p99; when it is quiet, p99";
    let mut line = paired("B5", what, "ms", &pairs, Goal::at_most(3.0, 3.0));
    // Without a goal, since one machine does the work of five.
    line.goal = None;
    Ok(vec![line.with(format!(
        "the four together take {:.0} events/s, all on the same cores; of all five: {}",
        Spread::of(rates).median,
        Shares::mean(&shares)
    ))])
}

fn signal(replicas: &[Replica], signal: Signal) {
    for replica in replicas {
        replica.signal(signal);
    }
}

/// Whether all replicas show this many events.
async fn show(replicas: &[Replica], events: u64) -> anyhow::Result<bool> {
    for replica in replicas {
        let mut connection = Connection::open(replica.public).await?;
        if Held::ask(&mut connection).await?.readable() < events {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn have_shown(replicas: &[Replica], events: u64) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !show(replicas, events).await? {
        ensure!(begun.elapsed() < PATIENCE, "replicas do not catch up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
