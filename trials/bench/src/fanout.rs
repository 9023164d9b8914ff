//! B8, and B9 for streams: one message to thousands of open streams, against a bare broadcast.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::broadcast::Bare;
use crate::http::{Connection, say};
use crate::load::{Poster, posters};
use crate::process::resident_bytes;
use crate::readers::Readers;
use crate::replica::Cluster;
use crate::report::{Goal, Line, alone, paired};
use crate::setup::Setup;

/// The number of groups that the streams are spread over.
const GROUPS: usize = 1_000;
/// The number of connections that post to them.
const POSTING: usize = 50;

pub async fn run(setup: &Setup) -> anyhow::Result<Vec<Line>> {
    let count = setup.sizes.streams;
    let folder = setup.folder("fanout")?;
    let replica = Cluster::plan(folder.path(), 1)?.start(0).await?;
    let poster = posters(replica.public, "fanout", 1, 1).await?.remove(0);
    let everybody = vec![poster.clone(); count];
    eprintln!("fanout: opening {count} streams of the server");
    let before = resident_bytes(replica.pid())?;
    let mut ours = Readers::open(replica.public, &everybody)?;
    let our_memory = kb_each(resident_bytes(replica.pid())? - before, count);

    eprintln!("fanout: opening {count} streams of the bare broadcast");
    let bare = Bare::start()?;
    let before = resident_bytes(bare.pid())?;
    let mut theirs = Readers::open(bare.address, &everybody)?;
    let their_memory = kb_each(resident_bytes(bare.pid())? - before, count);

    let mut times = Vec::new();
    let mut reading = (Duration::ZERO, Duration::ZERO);
    for run in 0..setup.runs {
        eprintln!("fanout: run {} of {}", run + 1, setup.runs);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (cpu_ours, cpu_theirs) = (ours.cpu()?, theirs.cpu()?);
        let their_time = bare_round(&bare, &mut theirs).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let our_time = round(replica.public, &poster, &mut ours).await?;
        times.push((our_time, their_time));
        reading.0 += ours.cpu()?.saturating_sub(cpu_ours);
        reading.1 += theirs.cpu()?.saturating_sub(cpu_theirs);
    }
    drop((ours, theirs, bare));
    let spread = spread_over_groups(setup, replica.public).await?;
    replica.stop().await?;
    let a_round = |cpu: Duration| (cpu / setup.runs).as_millis();
    let note = format!(
        "of this, reading took {} ms of a core, and {} ms",
        a_round(reading.0),
        a_round(reading.1)
    );
    let what = format!("one message to {count} streams, until the last has it; a bare broadcast");
    Ok(vec![
        paired("B8", what, "s", &times, Goal::at_most(1.7, 1.2)).with(note),
        paired(
            "B8",
            "memory of a stream in the server; in a bare broadcast",
            "kB",
            &[(our_memory, their_memory)],
            Goal::at_most(1.5, 1.2),
        ),
        alone(
            "B9",
            format!("memory of a stream, {count} open"),
            "kB",
            vec![our_memory],
            Some(Goal::at_most(40.0, 40.0)),
        ),
        spread,
    ])
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
pub fn kb_each(bytes: u64, count: usize) -> f64 {
    bytes as f64 / 1_000.0 / count as f64
}

pub async fn round(
    address: SocketAddr,
    poster: &Poster,
    readers: &mut Readers,
) -> anyhow::Result<f64> {
    let mut connection = Connection::open(address).await?;
    let text = readers.next_text();
    let begun = Instant::now();
    say(&mut connection, &poster.token, &poster.groups[0], &text).await?;
    readers.all_have()?;
    Ok(begun.elapsed().as_secs_f64())
}

async fn bare_round(bare: &Bare, readers: &mut Readers) -> anyhow::Result<f64> {
    let mut connection = Connection::open(bare.address).await?;
    let text = readers.next_text();
    let begun = Instant::now();
    connection.ask("POST", "/publish", "", "", &text).await?;
    readers.all_have()?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Some streams in each of many groups, one message to each group.
async fn spread_over_groups(setup: &Setup, address: SocketAddr) -> anyhow::Result<Line> {
    let count = setup.sizes.streams;
    let groups = GROUPS.min(count);
    let users = posters(address, "spread", groups, groups).await?;
    let everybody: Vec<_> = users.iter().cloned().cycle().take(count).collect();
    let mut readers = Readers::open(address, &everybody)?;
    let mut times = Vec::new();
    for run in 0..setup.runs {
        eprintln!("fanout: over {groups} groups, run {}", run + 1);
        let text = readers.next_text();
        let begun = Instant::now();
        let mut posting = JoinSet::new();
        for chunk in users.chunks(groups.div_ceil(POSTING)) {
            let (chunk, text) = (chunk.to_vec(), text.clone());
            posting.spawn(async move {
                let mut connection = Connection::open(address).await?;
                for poster in chunk {
                    say(&mut connection, &poster.token, &poster.groups[0], &text).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = posting.join_next().await {
            done??;
        }
        readers.all_have()?;
        times.push(begun.elapsed().as_secs_f64());
    }
    let what = format!("{count} streams over {groups} groups, one message to each group");
    Ok(alone("B8", what, "s", times, None))
}
