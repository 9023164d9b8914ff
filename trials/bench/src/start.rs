//! B9 (idle), B10 and B11: the cost of a replica without writes.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use causeway_postgres::{Options, PrivatePostgres};
use causeway_rig::ports::is_free;

use crate::made::History;
use crate::process::{Meter, resident_bytes};
use crate::replica::{Cluster, Replica, server_program};
use crate::report::{Goal, Line, alone};
use crate::setup::Setup;

const SIZE: u16 = 5;
/// The time until freshly started replicas are idle.
const CALM: Duration = Duration::from_secs(5);

pub async fn run(setup: &Setup, history: &History) -> anyhow::Result<Vec<Line>> {
    let mut lines = idle(setup).await?;
    lines.extend(dev(setup)?);
    lines.push(large(setup, history).await?);
    Ok(lines)
}

async fn idle(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("idle")?;
    let replicas = Cluster::plan(folder.path(), SIZE.into())?
        .start_all()
        .await?;
    let pids: Vec<u32> = replicas.iter().map(Replica::pid).collect();
    tokio::time::sleep(CALM).await;
    let (mut all, mut servers) = (Vec::new(), Vec::new());
    for run in 0..setup.runs {
        eprintln!("start: idle, run {} of {}", run + 1, setup.runs);
        let meter = Meter::begin(&pids)?;
        tokio::time::sleep(setup.idle).await;
        let shares = meter.end()?;
        all.push((shares.servers + shares.databases) * 100.0);
        servers.push(shares.servers * 100.0);
    }
    let memory = pids
        .iter()
        .map(|pid| Ok(megabytes(resident_bytes(*pid)?)))
        .collect::<anyhow::Result<Vec<f64>>>()?;
    for replica in replicas {
        replica.stop().await?;
    }
    let servers = servers.iter().sum::<f64>() / f64::from(setup.runs);
    Ok(vec![
        alone(
            "B9",
            "memory of an idle replica, without its Postgres",
            "MB",
            memory,
            Some(Goal::at_most(40.0, 25.0)),
        ),
        alone(
            "B11",
            format!("{SIZE} idle replicas with their databases"),
            "% of a core",
            all,
            Some(Goal::at_most(5.0, 2.0)),
        )
        .with(format!("of this, the servers {servers:.1} %")),
    ])
}

fn dev(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for run in 0..setup.runs {
        eprintln!("start: dev, run {} of {}", run + 1, setup.runs);
        let folder = setup.folder("dev")?;
        first.push(start_dev(folder.path())?);
        again.push(start_dev(folder.path())?);
    }
    let line = |what, times, goal| alone("B10", what, "s", times, Some(goal));
    Ok(vec![
        line(
            "`dev`, five replicas, first start",
            first,
            Goal::at_most(6.0, 6.0),
        ),
        line("`dev`, started again", again, Goal::at_most(3.0, 3.0)),
    ])
}

/// Starts a local cluster and stops it; returns the time until it printed how to use it.
fn start_dev(folder: &Path) -> anyhow::Result<f64> {
    let base = free_base()?;
    let begun = Instant::now();
    let mut child = Command::new(server_program()?)
        .args(["dev", "--base-port", &base.to_string(), "--data"])
        .arg(folder.join("data"))
        .env("CAUSEWAY_LOG", "error")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("it is piped")?;
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let is_ready = lines.any(|line| line.contains("cargo chat"));
    let took = begun.elapsed();
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "quit")?;
    }
    lines.for_each(drop);
    child.wait()?;
    anyhow::ensure!(is_ready, "`dev` ended before it was ready");
    Ok(took.as_secs_f64())
}

/// A base port whose ports nobody has now.
fn free_base() -> anyhow::Result<u16> {
    (14_000..30_000)
        .step_by(100)
        .find(|base| (1..=SIZE).all(|i| is_free(base + i) && is_free(base - 1_000 + i)))
        .context("no ports are free")
}

async fn large(setup: &Setup, history: &History) -> anyhow::Result<Line> {
    let cluster = &history.cluster;
    let mut over = Vec::new();
    for run in 0..setup.runs {
        eprintln!("start: with a history, run {} of {}", run + 1, setup.runs);
        let begun = Instant::now();
        let folder = cluster.data_dir(0).join("postgres");
        let postgres = PrivatePostgres::start(&folder, &Options::default())?;
        let theirs = begun.elapsed();
        postgres.stop();
        let replica = cluster.start(0).await?;
        over.push(replica.start.as_secs_f64() - theirs.as_secs_f64());
        replica.stop().await?;
    }
    let what = format!(
        "`run` with {} events until ready, beyond Postgres' own start",
        history.events
    );
    Ok(alone("B10", what, "s", over, Some(Goal::at_most(1.0, 0.3))))
}

/// Bytes in megabytes.
#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
