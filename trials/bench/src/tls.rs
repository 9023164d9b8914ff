//! B17: B1, B3 and B8 over TLS on both ports, against the same without, in turn.

use std::time::Duration;

use crate::fanout::{kb_each, round};
use crate::http::Connection;
use crate::load::{post, posters};
use crate::process::{Meter, Shares, resident_bytes};
use crate::readers::Readers;
use crate::replica::Cluster;
use crate::replicate::probe;
use crate::report::{Goal, Line, alone, paired};
use crate::setup::Setup;
use crate::stats::percentile_ms;
use crate::stream::Reader;
use crate::write::{CONNECTIONS, GROUPS};

const SIZE: usize = 5;

pub async fn run(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let mut lines = writing(setup).await?;
    lines.extend(replicating(setup).await?);
    lines.extend(fanning_out(setup).await?);
    Ok(lines)
}

async fn writing(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("tls-write")?;
    let secure = Cluster::plan(&folder.path().join("tls"), 1)?.secured()?;
    let plain = Cluster::plan(&folder.path().join("plain"), 1)?;
    let replicas = [secure.start(0).await?, plain.start(0).await?];
    let mut who = Vec::new();
    for replica in &replicas {
        who.push(posters(replica.public, "write", CONNECTIONS, GROUPS).await?);
        post(replica.public, &who[who.len() - 1], setup.load / 2).await?;
    }
    let (mut rates, mut waits, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..setup.runs {
        eprintln!("tls, writing: run {} of {}", run + 1, setup.runs);
        let mut measured = Vec::new();
        for (replica, who) in replicas.iter().zip(&who) {
            let meter = Meter::begin(&[replica.pid()])?;
            let many = post(replica.public, who, setup.load).await?;
            shares.push(meter.end()?);
            let mut one = post(replica.public, &who[..1], setup.load / 2).await?;
            measured.push((many.per_second, percentile_ms(&mut one.latencies, 0.5)));
        }
        rates.push((measured[0].0, measured[1].0));
        waits.push((measured[0].1, measured[1].1));
    }
    for replica in replicas {
        replica.stop().await?;
    }
    let what = "B1 over TLS, the client's part of it included; without";
    Ok(vec![
        paired("B17", what, "/s", &rates, Goal::at_least(0.8, 0.95))
            .with(Shares::mean(&shares).to_string()),
        paired(
            "B17",
            "B2 over TLS; without",
            "ms",
            &waits,
            Goal::at_most(1.3, 1.1),
        ),
    ])
}

async fn replicating(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("tls-replicate")?;
    let secure = Cluster::plan(&folder.path().join("tls"), SIZE)?.secured()?;
    let plain = Cluster::plan(&folder.path().join("plain"), SIZE)?;
    let clusters = [secure.start_all().await?, plain.start_all().await?];
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    let mut probers = Vec::new();
    for cluster in &clusters {
        probers.push(posters(cluster[0].public, "probe", 1, 1).await?.remove(0));
    }
    for run in 0..setup.runs {
        eprintln!("tls, replicating: run {} of {}", run + 1, setup.runs);
        let mut measured = Vec::new();
        for (cluster, prober) in clusters.iter().zip(&probers) {
            let (from, to) = (cluster[0].public, cluster[1].public);
            let mut reader = Reader::open(to, &prober.token, &prober.groups[0]).await?;
            let mut sender = Connection::open(from).await?;
            let mut waits = probe(&mut sender, prober, &mut reader, Duration::ZERO).await?;
            measured.push((
                percentile_ms(&mut waits, 0.5),
                percentile_ms(&mut waits, 0.99),
            ));
        }
        p50.push((measured[0].0, measured[1].0));
        p99.push((measured[0].1, measured[1].1));
    }
    for replica in clusters.into_iter().flatten() {
        replica.stop().await?;
    }
    let goal = Goal::at_most(1.3, 1.1);
    Ok(vec![
        paired(
            "B17",
            "B3 over TLS on both ports, p50; without",
            "ms",
            &p50,
            goal,
        ),
        paired("B17", "the same, p99", "ms", &p99, goal),
    ])
}

async fn fanning_out(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let count = setup.sizes.streams;
    let folder = setup.folder("tls-fanout")?;
    let secure = Cluster::plan(&folder.path().join("tls"), 1)?.secured()?;
    let plain = Cluster::plan(&folder.path().join("plain"), 1)?;
    let replicas = [secure.start(0).await?, plain.start(0).await?];
    let (mut reading, mut memory) = (Vec::new(), Vec::new());
    for replica in &replicas {
        let poster = posters(replica.public, "fanout", 1, 1).await?.remove(0);
        eprintln!("tls, fanout: opening {count} streams");
        let before = resident_bytes(replica.pid())?;
        let readers = Readers::open(replica.public, &vec![poster.clone(); count])?;
        memory.push(kb_each(resident_bytes(replica.pid())? - before, count));
        reading.push((poster, readers));
    }
    let mut times = Vec::new();
    for run in 0..setup.runs {
        eprintln!("tls, fanout: run {} of {}", run + 1, setup.runs);
        let mut measured = Vec::new();
        for (replica, (poster, readers)) in replicas.iter().zip(&mut reading) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            measured.push(round(replica.public, poster, readers).await?);
        }
        times.push((measured[0], measured[1]));
    }
    drop(reading);
    for replica in replicas {
        replica.stop().await?;
    }
    let what = format!("B8 over TLS, {count} streams; without");
    let each = "memory of a stream over TLS";
    Ok(vec![
        paired("B17", what, "s", &times, Goal::at_most(1.3, 1.1)),
        alone("B17", each, "kB", vec![memory[0]], None)
            .with(format!("without: {:.1} kB", memory[1])),
    ])
}
