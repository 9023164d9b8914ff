//! B15: what a flood by one user costs another user of the same replica.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use tokio::task::JoinSet;

use crate::http::{Connection, say};
use crate::load::{Load, Pace, Poster, post_paced, posters, rate};
use crate::process::{Meter, Shares, resident_bytes};
use crate::replica::Cluster;
use crate::report::{Goal, Line, alone, paired};
use crate::setup::Setup;
use crate::start::megabytes;
use crate::stats::{Spread, percentile_ms};
use crate::write::CONNECTIONS;

/// The interval of the calm user's calls: 50 each second.
const EVERY: Duration = Duration::from_millis(20);
/// The connections of a flood of reads.
const READERS: usize = 32;
/// The messages of the group that is read: two pages of the largest limit.
const LONG_MESSAGES: usize = 1_000;
/// The characters of each of them: the most by default, of four bytes each.
const LONG_TEXT: usize = 4_000;
/// How long a flood runs before the calm user is measured.
const WARM_UP: Duration = Duration::from_millis(500);

pub async fn run(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("fair")?;
    let replica = Cluster::plan(folder.path(), 1)?.start(0).await?;
    let address = replica.public;
    let calm = posters(address, "calm", 1, 1).await?.remove(0);
    let flooder = posters(address, "flood", 1, 4).await?.remove(0);
    let long = posters(address, "long", 1, 1).await?.remove(0);
    write_long(address, &long).await?;
    // Short loads have too few posts for a p99.
    let load = setup.load * 2;
    let (mut posts, mut rates, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    let (mut reads, mut pages, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..setup.runs {
        eprintln!("fair: run {} of {}", run + 1, setup.runs);
        let alone = post_calmly(address, &calm, load).await?;
        let meter = Meter::begin(&[replica.pid()])?;
        let flood = Flood::of_posts(address, &flooder, load + WARM_UP);
        tokio::time::sleep(WARM_UP).await;
        posts.push((post_calmly(address, &calm, load).await?, alone));
        rates.push(flood.end()?);
        shares.push(meter.end()?);

        let alone = read_calmly(address, &calm, load).await?;
        let before = resident_bytes(replica.pid())?;
        let flood = Flood::of_reads(address, &flooder, &long.groups[0], load + WARM_UP);
        tokio::time::sleep(WARM_UP).await;
        reads.push((read_calmly(address, &calm, load).await?, alone));
        memory.push(megabytes(
            resident_bytes(replica.pid())?.saturating_sub(before),
        ));
        pages.push(flood.end()?);
    }
    replica.stop().await?;
    Ok(vec![
        paired(
            "B15",
            "a calm user's 50 posts/s beside one user's flood of posts from 64 connections, p99; \
             without the flood",
            "ms",
            &posts,
            Goal::at_most(2.0, 1.3),
        )
        .with(format!(
            "the flood: {:.0} posts/s; {}",
            Spread::of(rates).median,
            Shares::mean(&shares)
        )),
        paired(
            "D5",
            "a calm user's 50 pages/s of 50 short messages beside one user's 32 connections that \
             read pages of 500 long ones, p99; without them",
            "ms",
            &reads,
            Goal::at_most(2.0, 1.3),
        )
        .with(format!("{:.0} long pages/s", Spread::of(pages).median)),
        alone(
            "D5",
            "memory that the flood of reads adds",
            "MB",
            memory,
            None,
        ),
    ])
}

/// A flood in a thread of its own, so that the calm user's client does not wait for its clients.
struct Flood(JoinHandle<anyhow::Result<f64>>);

impl Flood {
    fn of_posts(address: SocketAddr, flooder: &Poster, duration: Duration) -> Self {
        let posters = vec![flooder.clone(); CONNECTIONS];
        Self::spawn(async move {
            let load = post_paced(address, &posters, &Pace::fast(duration)).await?;
            Ok(load.per_second)
        })
    }

    fn of_reads(address: SocketAddr, reader: &Poster, group: &str, duration: Duration) -> Self {
        let path = format!("/v1/groups/{group}/messages?limit=500");
        let token = reader.token.clone();
        Self::spawn(async move {
            let begun = Instant::now();
            let mut reading = JoinSet::new();
            for _ in 0..READERS {
                let (path, token) = (path.clone(), token.clone());
                reading.spawn(async move {
                    let mut connection = Connection::open(address).await?;
                    let mut answered = 0;
                    while begun.elapsed() < duration {
                        read_one(&mut connection, &token, &path).await?;
                        answered += 1;
                    }
                    anyhow::Ok(answered)
                });
            }
            let mut answered = 0;
            while let Some(done) = reading.join_next().await {
                answered += done??;
            }
            Ok(rate(answered, begun.elapsed()))
        })
    }

    fn spawn(flood: impl Future<Output = anyhow::Result<f64>> + Send + 'static) -> Self {
        Self(thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            { runtime }.enable_all().build()?.block_on(flood)
        }))
    }

    /// Waits for its end. Returns its answered calls per second.
    fn end(self) -> anyhow::Result<f64> {
        let ended = self.0.join();
        ended.map_err(|_| anyhow!("the flood panicked"))?
    }
}

/// The p99 of posts at the calm user's pace.
async fn post_calmly(
    address: SocketAddr,
    calm: &Poster,
    duration: Duration,
) -> anyhow::Result<f64> {
    let pace = Pace {
        every: EVERY,
        ..Pace::fast(duration)
    };
    let load = post_paced(address, std::slice::from_ref(calm), &pace).await;
    let Load { mut latencies, .. } = load?;
    Ok(percentile_ms(&mut latencies, 0.99))
}

/// The p99 of pages at the calm user's pace.
async fn read_calmly(
    address: SocketAddr,
    calm: &Poster,
    duration: Duration,
) -> anyhow::Result<f64> {
    let path = format!("/v1/groups/{}/messages", calm.groups[0]);
    let mut connection = Connection::open(address).await?;
    let (begun, mut next) = (Instant::now(), Instant::now());
    let mut latencies = Vec::new();
    while begun.elapsed() < duration {
        latencies.push(read_one(&mut connection, &calm.token, &path).await?);
        next += EVERY;
        tokio::time::sleep_until(next.into()).await;
    }
    Ok(percentile_ms(&mut latencies, 0.99))
}

async fn read_one(
    connection: &mut Connection,
    token: &str,
    path: &str,
) -> anyhow::Result<Duration> {
    let sent = Instant::now();
    let answer = connection.ask("GET", path, token, "", "").await?;
    ensure!(
        answer.status == 200,
        "a page was answered {}",
        answer.status
    );
    Ok(sent.elapsed())
}

/// Posts the messages that the flood of reads reads.
async fn write_long(address: SocketAddr, author: &Poster) -> anyhow::Result<()> {
    let text = "\u{1f409}".repeat(LONG_TEXT);
    let mut connection = Connection::open(address).await?;
    for _ in 0..LONG_MESSAGES {
        say(&mut connection, &author.token, &author.groups[0], &text).await?;
    }
    Ok(())
}
