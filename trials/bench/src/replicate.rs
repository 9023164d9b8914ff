//! B3, B4 and B14: the latency from a post on one replica to a frame on another, posts on all five,
//! and how far readers are behind when those are sent as fast as answered.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use tokio::task::JoinSet;

use crate::http::{Connection, say};
use crate::load::{Counter, Pace, Poster, post, post_paced, posters, rate};
use crate::made::Held;
use crate::process::{Meter, Shares};
use crate::replica::{Cluster, Replica};
use crate::report::{self, Goal, Line, paired};
use crate::setup::Setup;
use crate::stats::{Spread, percentile_ms};
use crate::stream::Reader;
use crate::write::CONNECTIONS;

const SIZE: usize = 5;
const GROUPS: usize = 10;
/// The number of probes per run.
const PROBES: usize = 200;
/// The pause between probes that let the processor go idle, as human users do.
const QUIET: Duration = Duration::from_millis(20);
/// The time within which an answered post must be readable at all replicas.
const LAG: Duration = Duration::from_secs(1);
/// The maximum number of rates to try, and the factor between them.
const TRIES: u32 = 16;
const SLOWER: f64 = 0.85;

/// Five replicas and the posters of each.
struct Five {
    replicas: Vec<Replica>,
    posters: Vec<Vec<Poster>>,
}

pub async fn run(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("replicate")?;
    let alone = Cluster::plan(&folder.path().join("alone"), 1)?
        .start(0)
        .await?;
    let lone = posters(alone.public, "replicate", CONNECTIONS, GROUPS).await?;
    let cluster = Cluster::plan(&folder.path().join("five"), SIZE)?;
    let replicas = cluster.start_all().await?;
    let mut at_each = Vec::new();
    for replica in &replicas {
        at_each.push(posters(replica.public, "replicate", CONNECTIONS / SIZE, GROUPS).await?);
    }
    let five = Five {
        replicas,
        posters: at_each,
    };
    let (from, to) = (five.replicas[0].public, five.replicas[1].public);
    // Not a poster of the load, since posters also receive frames about their own messages.
    let prober = &posters(from, "probe", 1, 1).await?.remove(0);
    five.settle().await?;

    let (mut p50, mut p99, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let (mut shares, mut longest) = (Vec::new(), Duration::ZERO);
    let mut rested = Vec::new();
    let mut first_try = None;
    for run in 0..setup.runs {
        eprintln!("replicate: run {} of {}", run + 1, setup.runs);
        // Not open during the load: whoever reads nothing then is closed.
        let mut reader = Reader::open(to, &prober.token, &prober.groups[0]).await?;
        let mut sender = Connection::open(from).await?;
        let mut waits = probe(&mut sender, prober, &mut reader, Duration::ZERO).await?;
        let mut calm = probe(&mut sender, prober, &mut reader, QUIET).await?;
        drop(reader);
        let mut posts = post(alone.public, &lone[..1], setup.load / 2).await?;
        let yardstick = percentile_ms(&mut posts.latencies, 0.5);
        let pace = Pace {
            every: QUIET,
            ..Pace::fast(setup.load)
        };
        let mut posts = post_paced(alone.public, &lone[..1], &pace).await?;
        let as_calm = percentile_ms(&mut posts.latencies, 0.5);
        rested.push((percentile_ms(&mut calm, 0.5), as_calm));
        p50.push((percentile_ms(&mut waits, 0.5), yardstick));
        p99.push((percentile_ms(&mut waits, 0.99), yardstick));

        let theirs = post(alone.public, &lone, setup.load).await?;
        let best = five.sustained(setup.load, first_try).await?;
        // The next run begins a little above what this one reached.
        first_try = Some(best.per_second / SLOWER);
        longest = longest.max(best.lag);
        shares.push(best.shares);
        all.push((best.per_second, theirs.per_second / 5.0));
    }
    let behind = five.behind(setup).await?;
    five.agree(&cluster).await?;
    for replica in five.replicas.into_iter().chain([alone]) {
        replica.stop().await?;
    }
    let note = format!(
        "lag {} ms at most; {}",
        longest.as_millis(),
        Shares::mean(&shares)
    );
    let quiet_ms = QUIET.as_millis();
    let at_rest = format!("the same with {quiet_ms} ms between two, p50; a lone post so, p50");
    let of_all = "posts on all five at once that all show within 1 s; B1 by five";
    Ok(vec![
        paired(
            "B3",
            "a post here to its frame there, five idle replicas, one after the other, p50; a lone \
             post, one after the other, p50",
            "ms",
            &p50,
            Goal::at_most(5.0, 3.0),
        ),
        paired("B3", "the same, p99", "ms", &p99, Goal::at_most(20.0, 10.0)),
        paired("B3", at_rest, "ms", &rested, Goal::at_most(5.0, 3.0)),
        paired("B4", of_all, "/s", &all, Goal::at_least(0.4, 0.7)).with(note),
        behind,
    ])
}

/// Posts on one replica and waits for each frame on the other; returns the latencies.
pub async fn probe(
    connection: &mut Connection,
    prober: &Poster,
    reader: &mut Reader,
    pause: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let mut waits = Vec::with_capacity(PROBES);
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    for number in 0..PROBES {
        // The text is unique to this probe.
        let text = format!("probe-{number}-of-{since}");
        let sent = Instant::now();
        let posted = say(connection, &prober.token, &prober.groups[0], &text);
        let seen = async {
            reader.wait_for(&text).await?;
            anyhow::Ok(sent.elapsed())
        };
        let ((), waited) = tokio::try_join!(posted, seen)?;
        waits.push(waited);
        tokio::time::sleep(pause).await;
    }
    Ok(waits)
}

/// A load on all replicas, and the largest lag.
struct Best {
    per_second: f64,
    lag: Duration,
    /// Samples of the lag, taken in equal intervals.
    lags: Vec<Duration>,
    shares: Shares,
}

impl Five {
    /// Finds the rate that all replicas sustain: starts at the maximum, or at a given rate, and
    /// slows down until all keep up.
    async fn sustained(&self, load: Duration, first: Option<f64>) -> anyhow::Result<Best> {
        let connections = CONNECTIONS / SIZE * SIZE;
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let connections = connections as f64;
        let mut wanted = first;
        for _ in 0..TRIES {
            let every = wanted.map_or(Duration::ZERO, |rate| {
                Duration::from_secs_f64(connections / rate)
            });
            let tried = self.at_once(load, every).await?;
            eprintln!(
                "  {:.0} posts per second: {} ms behind",
                tried.per_second,
                tried.lag.as_millis()
            );
            if tried.lag <= LAG {
                return Ok(tried);
            }
            wanted = Some(tried.per_second * SLOWER);
            self.settle().await?;
        }
        anyhow::bail!("the replicas keep up with no load that was tried")
    }

    /// Posts at all replicas as fast as they answer; returns how far readers are behind.
    async fn behind(&self, setup: &Setup) -> anyhow::Result<Line> {
        let (mut behind, mut rates) = (Vec::new(), Vec::new());
        for _ in 0..setup.runs {
            let mut closed = self.at_once(setup.load * 2, Duration::ZERO).await?;
            let seconds = percentile_ms(&mut closed.lags, 0.99) / 1_000.0;
            eprintln!("  {:.0} posts/s: {seconds:.1} s behind", closed.per_second);
            behind.push(seconds);
            rates.push(closed.per_second);
            self.settle().await?;
        }
        let what = "readers behind, on any of five, posts on all as fast as they are answered, p99";
        let line = report::alone("B14", what, "s", behind, Some(Goal::at_most(1.5, 0.5)));
        Ok(line.with(format!("{:.0} posts/s", Spread::of(rates).median)))
    }

    /// Posts at all replicas at once; returns the posts per second and the largest lag.
    async fn at_once(&self, load: Duration, every: Duration) -> anyhow::Result<Best> {
        let counter = Counter::default();
        let pace = Pace {
            duration: load,
            every,
            counter: counter.clone(),
        };
        let before = Held::at(self.replicas[0].public).await?.readable();
        let mut watched = Vec::new();
        for replica in &self.replicas {
            watched.push(Connection::open(replica.public).await?);
        }
        let pids: Vec<u32> = self.replicas.iter().map(Replica::pid).collect();
        let meter = Meter::begin(&pids)?;
        let begun = Instant::now();
        let mut posting = JoinSet::new();
        for (replica, posters) in self.replicas.iter().zip(&self.posters) {
            let (address, posters, pace) = (replica.public, posters.clone(), pace.clone());
            posting.spawn(async move { post_paced(address, &posters, &pace).await });
        }
        let patience = load + LAG * 20;
        let watching = tokio::spawn(watch(watched, counter.clone(), before, patience));
        let mut answered = 0;
        while let Some(done) = posting.join_next().await {
            answered += done??.answered;
        }
        let per_second = rate(answered, begun.elapsed());
        let shares = meter.end()?;
        counter.close();
        let lags = watching.await??;
        Ok(Best {
            per_second,
            lag: lags.iter().max().copied().unwrap_or_default(),
            lags,
            shares,
        })
    }

    /// Waits until all replicas show the same.
    async fn settle(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_mins(5);
        loop {
            let mut shown = Vec::new();
            for replica in &self.replicas {
                let held = Held::at(replica.public).await?;
                shown.push((held.readable(), held.lag));
            }
            if shown.iter().all(|one| *one == (shown[0].0, 0)) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the replicas do not agree");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Checks that all databases hold the same number of events and of messages.
    async fn agree(&self, cluster: &Cluster) -> anyhow::Result<()> {
        self.settle().await?;
        for query in [
            "SELECT count(*) FROM events",
            "SELECT count(*) FROM messages",
        ] {
            let first = cluster.count(0, query).await?;
            for index in 1..SIZE {
                let other = cluster.count(index, query).await?;
                ensure!(first == other, "`{query}`: {first} and {other}");
            }
        }
        Ok(())
    }
}

/// Samples the lag from the answer of a post until all replicas show it; ends when the load has
/// ended and all replicas show everything.
async fn watch(
    mut replicas: Vec<Connection>,
    counter: Counter,
    before: u64,
    patience: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let begun = Instant::now();
    let mut answered: Vec<(Instant, u64)> = Vec::new();
    let mut lags = Vec::new();
    let mut oldest = 0;
    loop {
        let is_over = counter.is_closed();
        answered.push((Instant::now(), counter.count()));
        let mut least = u64::MAX;
        for replica in &mut replicas {
            let shown = Held::ask(replica).await?.readable();
            least = least.min(shown.saturating_sub(before));
        }
        while oldest < answered.len() && answered[oldest].1 <= least {
            oldest += 1;
        }
        if let Some((since, _)) = answered.get(oldest) {
            lags.push(since.elapsed());
        } else if is_over {
            return Ok(lags);
        } else {
            lags.push(Duration::ZERO);
        }
        if begun.elapsed() > patience {
            lags.push(patience);
            return Ok(lags);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
