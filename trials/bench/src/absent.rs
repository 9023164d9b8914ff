//! P6: a replica that lost its disk returns while clients post on all replicas, also there.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::http::Connection;
use crate::load::{self, Counter, Pace, Poster, post_paced, posters, rate};
use crate::made::{Held, shows_all};
use crate::replica::{Cluster, Replica};
use crate::report::{Goal, Line, alone, paired};
use crate::setup::Setup;
use crate::stats::{Spread, percentile_ms};
use crate::write::{CONNECTIONS, GROUPS};

const SIZE: usize = 5;
/// Connections to each replica, and the posts per second on all of them together.
const EACH: usize = 8;
const RATE: u32 = 400;
/// How long the load without a returning replica is measured.
const CALM: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_mins(5);

pub async fn run(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let missing = setup.sizes.whole * 45 / 100;
    let folder = setup.folder("absent")?;
    let cluster = Cluster::plan(folder.path(), SIZE)?;
    let mut stayed = Vec::new();
    for index in 0..SIZE - 1 {
        stayed.push(cluster.start(index).await?);
    }
    eprintln!("absent: filling with {missing}");
    let writers = posters(stayed[0].public, "absent", CONNECTIONS, GROUPS).await?;
    load::fill(stayed[0].public, &writers, missing).await?;
    for replica in &stayed {
        shows_all(replica.public).await?;
    }
    let mut at_each = Vec::new();
    for replica in &stayed {
        at_each.push(posters(replica.public, "stayed", EACH, EACH).await?);
    }
    let (mut ready, mut there, mut elsewhere, mut rates) = (vec![], vec![], vec![], vec![]);
    for run in 0..setup.runs {
        eprintln!("absent: run {} of {}", run + 1, setup.runs);
        let returned = one_return(&cluster, &stayed, &at_each).await?;
        ready.push(returned.until_ready.as_secs_f64());
        rates.push(returned.per_second);
        elsewhere.push(returned.elsewhere);
        there.push(returned.there.0 / returned.there.1);
    }
    for replica in stayed {
        replica.stop().await?;
    }
    let until = format!(
        "a replica without its data, {missing} events missing, {RATE} posts/s on all five, until ready"
    );
    let there = Spread::of(there).median;
    Ok(vec![
        alone("P6", until, "s", ready, Some(Goal::at_most(15.0, 10.0))).with(format!(
            "it takes {:.0} events/s; a post there takes {there:.1} times as long as later, p99",
            Spread::of(rates).median
        )),
        paired(
            "P6",
            "a post at the others meanwhile, p99; later, p99",
            "ms",
            &elsewhere,
            Goal::at_most(3.0, 2.0),
        ),
    ])
}

/// What one return cost.
struct Returned {
    until_ready: Duration,
    per_second: f64,
    /// The p99 of posts meanwhile and later, in milliseconds.
    there: (f64, f64),
    elsewhere: (f64, f64),
}

async fn one_return(
    cluster: &Cluster,
    stayed: &[Replica],
    at_each: &[Vec<Poster>],
) -> anyhow::Result<Returned> {
    let counter = Counter::default();
    let busy: Vec<_> = stayed.iter().zip(at_each).collect();
    let mut elsewhere = begin(busy, PATIENCE, &counter);
    let missing = Held::at(stayed[0].public).await?.events;
    let begun = Instant::now();
    let absent = cluster.start(SIZE - 1).await?;
    let own = posters(absent.public, "returned", EACH, EACH).await?;
    let mut there = begin(vec![(&absent, &own)], PATIENCE, &counter);
    await_ready(&absent, begun).await?;
    let until_ready = begun.elapsed();
    let held = Held::at(absent.public).await?.events;
    counter.close();
    let (mut busy_elsewhere, mut busy_there) = (
        latencies(&mut elsewhere).await?,
        latencies(&mut there).await?,
    );

    shows_all(absent.public).await?;
    let calm = Counter::default();
    let all: Vec<_> = stayed.iter().zip(at_each).collect();
    let mut elsewhere = begin(all, CALM, &calm);
    let mut there = begin(vec![(&absent, &own)], CALM, &calm);
    let (mut calm_elsewhere, mut calm_there) = (
        latencies(&mut elsewhere).await?,
        latencies(&mut there).await?,
    );
    absent.stop().await?;
    std::fs::remove_dir_all(cluster.data_dir(SIZE - 1))?;
    Ok(Returned {
        until_ready,
        per_second: rate(held.min(missing), until_ready),
        there: (
            percentile_ms(&mut busy_there, 0.99),
            percentile_ms(&mut calm_there, 0.99),
        ),
        elsewhere: (
            percentile_ms(&mut busy_elsewhere, 0.99),
            percentile_ms(&mut calm_elsewhere, 0.99),
        ),
    })
}

type Posting = JoinSet<anyhow::Result<load::Load>>;

/// Begins to post at replicas, each with its share of the rate, until the counter is closed.
fn begin(at: Vec<(&Replica, &Vec<Poster>)>, duration: Duration, counter: &Counter) -> Posting {
    let mut posting = JoinSet::new();
    for (replica, posters) in at {
        let pace = Pace {
            duration,
            every: Duration::from_secs(1) * u32::try_from(EACH * SIZE).unwrap_or(1) / RATE,
            counter: counter.clone(),
        };
        let (address, posters) = (replica.public, posters.clone());
        posting.spawn(async move { post_paced(address, &posters, &pace).await });
    }
    posting
}

async fn latencies(posting: &mut Posting) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while let Some(done) = posting.join_next().await {
        latencies.extend(done??.latencies);
    }
    Ok(latencies)
}

async fn await_ready(replica: &Replica, begun: Instant) -> anyhow::Result<()> {
    let mut connection = Connection::open(replica.public).await?;
    while connection.ask("GET", "/readyz", "", "", "").await?.status != 200 {
        ensure!(begun.elapsed() < PATIENCE, "a replica is not ready");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
