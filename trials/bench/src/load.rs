//! Load of posts on many connections at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use causeway_client::{Client, Session, Snapshot};
use tokio::task::JoinSet;

use crate::http::Connection;
use crate::secure;

/// A message of typical length.
const TEXT: &str =
    "a message of usual length, as people write them to each other in a chat, no more";
/// The number of concurrent logins.
const AT_THE_DOOR: usize = 32;

/// A user who posts on one connection, to several groups in turn.
#[derive(Clone, Debug)]
pub struct Poster {
    pub token: String,
    pub groups: Vec<String>,
}

/// The result of a load.
#[derive(Debug)]
pub struct Load {
    /// Posts answered with 201.
    pub answered: u64,
    pub per_second: f64,
    pub latencies: Vec<Duration>,
}

/// The pace of a load.
#[derive(Clone, Debug)]
pub struct Pace {
    pub duration: Duration,
    /// The interval of posts on a connection; zero posts again as soon as answered.
    pub every: Duration,
    pub counter: Counter,
}

/// Counts the answered posts of a running load.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<(AtomicU64, AtomicBool)>);

/// Idempotency keys, unique in this process.
static KEYS: AtomicU64 = AtomicU64::new(0);

impl Pace {
    /// The maximum rate.
    pub fn fast(duration: Duration) -> Self {
        Self {
            duration,
            every: Duration::ZERO,
            counter: Counter::default(),
        }
    }
}

impl Counter {
    /// The number of answered posts.
    pub fn count(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Marks the load as ended.
    pub fn close(&self) {
        self.0.1.store(true, Ordering::Relaxed);
    }

    /// Whether the load has ended.
    pub fn is_closed(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Logs in `count` users, spread evenly over `groups` groups; with more groups than users, each
/// user has several.
pub async fn posters(
    address: SocketAddr,
    prefix: &str,
    count: usize,
    groups: usize,
) -> anyhow::Result<Vec<Poster>> {
    let http = secure::http(address)?;
    let mut posters = Vec::with_capacity(count);
    let mut entering = JoinSet::new();
    for number in 0..count {
        if entering.len() >= AT_THE_DOOR
            && let Some(entered) = entering.join_next().await
        {
            posters.push(entered??);
        }
        let own = (number % groups..groups).step_by(count.min(groups));
        let own = if count < groups {
            own.collect()
        } else {
            vec![number % groups]
        };
        let groups: Vec<String> = own
            .iter()
            .map(|group| format!("{prefix}-{group}"))
            .collect();
        let name = format!("{prefix}-user-{number}");
        let client = Client::new(&http, &secure::url(address));
        entering.spawn(async move {
            let token = client.log_in::<Session>(&name).await?.token;
            let client = client.with_token(token.clone());
            for group in &groups {
                client.join::<Snapshot>(group).await?;
            }
            anyhow::Ok(Poster { token, groups })
        });
    }
    while let Some(entered) = entering.join_next().await {
        posters.push(entered??);
    }
    Ok(posters)
}

/// The client of this poster for calls that are not measured.
pub fn client(address: SocketAddr, poster: &Poster) -> Client {
    let http = secure::http(address).expect("its authority was read before");
    let client = Client::new(&http, &secure::url(address));
    client.with_token(poster.token.clone())
}

/// All users post to one replica, each sequentially, at the maximum rate.
pub async fn post(
    address: SocketAddr,
    posters: &[Poster],
    duration: Duration,
) -> anyhow::Result<Load> {
    post_paced(address, posters, &Pace::fast(duration)).await
}

/// All users post to one replica, at a pace.
pub async fn post_paced(
    address: SocketAddr,
    posters: &[Poster],
    pace: &Pace,
) -> anyhow::Result<Load> {
    let begun = Instant::now();
    let end = begun + pace.duration;
    let mut posting = JoinSet::new();
    for poster in posters {
        let (poster, pace) = (poster.clone(), pace.clone());
        posting.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut latencies = Vec::new();
            let mut groups = poster.groups.iter().cycle();
            let mut next = Instant::now();
            while Instant::now() < end
                && !pace.counter.is_closed()
                && let Some(group) = groups.next()
            {
                latencies.push(post_one(&mut connection, &poster.token, group).await?);
                pace.counter.add();
                if !pace.every.is_zero() {
                    next += pace.every;
                    tokio::time::sleep_until(next.into()).await;
                }
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = posting.join_next().await {
        latencies.extend(done??);
    }
    let answered = latencies.len() as u64;
    Ok(Load {
        answered,
        per_second: rate(answered, begun.elapsed()),
        latencies,
    })
}

/// Posts `count` messages at the maximum rate, and prints progress.
pub async fn fill(address: SocketAddr, posters: &[Poster], count: u64) -> anyhow::Result<()> {
    let begun = Arc::new(AtomicU64::new(0));
    let mut posting = JoinSet::new();
    for poster in posters {
        let (poster, begun) = (poster.clone(), Arc::clone(&begun));
        posting.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut groups = poster.groups.iter().cycle();
            while begun.fetch_add(1, Ordering::Relaxed) < count
                && let Some(group) = groups.next()
            {
                post_one(&mut connection, &poster.token, group).await?;
            }
            anyhow::Ok(())
        });
    }
    let told = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            eprintln!(
                "  {} of {count} posted",
                begun.load(Ordering::Relaxed).min(count)
            );
        }
    });
    while let Some(done) = posting.join_next().await {
        done??;
    }
    told.abort();
    Ok(())
}

/// A number that is unique in this process.
pub fn next_key() -> u64 {
    KEYS.fetch_add(1, Ordering::Relaxed)
}

/// Posts one message; returns its latency.
pub async fn post_one(
    connection: &mut Connection,
    token: &str,
    group: &str,
) -> anyhow::Result<Duration> {
    let key = next_key();
    let (pid, path) = (std::process::id(), format!("/v1/groups/{group}/messages"));
    let header = format!("Idempotency-Key: bench-{pid}-{key}\r\n");
    let body = format!(r#"{{"text":"{TEXT}"}}"#);
    let sent = Instant::now();
    let answer = connection.ask("POST", &path, token, &header, &body).await?;
    let took = sent.elapsed();
    ensure!(
        answer.status == 201,
        "a post was answered {}: {}",
        answer.status,
        String::from_utf8_lossy(answer.body)
    );
    Ok(took)
}

/// A count divided by a duration, per second.
pub fn rate(count: u64, took: Duration) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a benchmark are far below 2^52"
    )]
    let count = count as f64;
    count / took.as_secs_f64()
}
