//! `new-epoch`: gives a stopped replica a new epoch. With `--rescue` it returns to its peers after a
//! fork and keeps everything it wrote.
//!
//! A new epoch must be drawn after every restore of a volume, or of database and data folder together:
//! such a state cannot be distinguished from a healthy one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_domain::rescue::Parting;
use causeway_replicator::inquiry;
use causeway_replicator::rescue::{Peer, compare, join, pull_all};
use causeway_store::log::Log;
use causeway_store::rescue::{self, Renewal, Rescued};

use crate::config::Config;
use crate::database::Database;
use crate::offline::{Progress, clocks, close, links, options, show};

/// How long peers may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Options of a rescue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rescue {
    /// The replica whose events stay; `None` where the peers agree.
    pub follow: Option<ReplicaId>,
}

/// Draws a new epoch, with a rescue where one is requested. Returns a report for the operator.
pub async fn new_epoch(config: Config, rescue: Option<Rescue>) -> anyhow::Result<String> {
    let database = Database::open(&config).await?;
    let done = match rescue {
        None => renew(&config, &database.url).await,
        Some(rescue) => rescue_with(&config, &database.url, rescue).await,
    };
    database.close().await;
    done
}

async fn renew(config: &Config, url: &str) -> anyhow::Result<String> {
    let options = options(config, url, &clocks(config))?;
    let renewal = rescue::new_epoch(&options, &Parting::default()).await?;
    Ok(epochs(renewal))
}

async fn rescue_with(config: &Config, url: &str, asked: Rescue) -> anyhow::Result<String> {
    let clocks = clocks(config);
    let (caller, links) = links(config)?;
    let answers = inquiry::ask(&links, &caller, clocks.now(), ANSWER_TIMEOUT).await;
    clocks.bound(inquiry::ceiling_ms(&answers, clocks.now()));
    anyhow::ensure!(
        !answers.is_empty(),
        "no peer answers, so it is unknown where the histories part; nothing was changed"
    );
    let peers: Vec<Peer<'_>> = answers
        .iter()
        .map(|(&id, answer)| Peer {
            id,
            link: &links[&id],
            answer,
        })
        .collect();

    let options = || options(config, url, &clocks);
    let (log, writer) = Log::open(options()?).await?;
    let compared = part(&log, &peers, asked).await;
    close(log, writer).await;
    let (partings, parting) = compared?;
    let renewal = rescue::new_epoch(&options()?, &parting).await?;

    let (log, writer) = Log::open(options()?).await?;
    let closed = answers.values().map(|answer| answer.digest.closed_ts);
    log.raise(closed.max().unwrap_or_default()).await?;
    let severed = parting.0.keys().copied().collect();
    let followed = |peer: &&Peer<'_>| partings.is_empty() || partings.contains_key(&peer.id);
    let mut came = 0;
    for peer in peers.iter().filter(followed) {
        came += pull(&log, peer, &severed).await?;
    }
    let progress = Progress::default();
    let rescued = log.write_again(|seen| progress.print("events examined", seen));
    let rescued = rescued.await?;
    let shown = show(&log, url, "events shown").await;
    let origin = log.origin();
    close(log, writer).await;
    shown?;
    let renewal = Renewal { origin, ..renewal };
    Ok(report(renewal, &parting, &partings, came, rescued))
}

/// Returns where the histories part: from each peer that holds other events, and from all followed
/// peers together.
async fn part(
    log: &Log,
    peers: &[Peer<'_>],
    asked: Rescue,
) -> anyhow::Result<(BTreeMap<ReplicaId, Parting>, Parting)> {
    let mut partings = compare(log, peers).await?;
    if let Some(follow) = asked.follow {
        anyhow::ensure!(
            peers.iter().any(|peer| peer.id == follow),
            "replica {follow} does not answer, so it cannot be followed; nothing was changed"
        );
        partings.retain(|&peer, _| peer == follow);
    }
    let parting = join(peers, &partings).await?;
    Ok((partings, parting))
}

async fn pull(log: &Log, peer: &Peer<'_>, severed: &BTreeSet<Origin>) -> anyhow::Result<u64> {
    let progress = Progress::default();
    let what = format!("events from replica {}", peer.id);
    Ok(pull_all(log, peer, severed, |came| {
        progress.print(&what, came);
    })
    .await?)
}

fn epochs(renewal: Renewal) -> String {
    format!(
        "this replica wrote as {}, and writes as {} from its next start on\n",
        renewal.former, renewal.origin
    )
}

fn report(
    renewal: Renewal,
    parting: &Parting,
    partings: &BTreeMap<ReplicaId, Parting>,
    came: u64,
    rescued: Rescued,
) -> String {
    let mut lines = vec![epochs(renewal)];
    if parting.0.is_empty() {
        lines.push("no peer that answers holds other events than this replica\n".to_owned());
    }
    let followed: Vec<String> = partings.keys().map(ToString::to_string).collect();
    let followed = followed.join(", ");
    let parted = parting.0.iter().map(|(origin, shared)| {
        format!("the histories of {origin} part after its event {shared}; replica {followed} is followed\n")
    });
    lines.extend(parted);
    lines.push(format!(
        "{} events set aside, {came} taken from peers, {} of them had been set aside\n\
         written again: {} messages, {} other events; not needed any more: {}\n",
        renewal.set_aside, rescued.returned, rescued.messages, rescued.others, rescued.superseded
    ));
    if rescued.waiting > 0 {
        let waiting = rescued.waiting;
        lines.push(format!(
            "{waiting} events of other replicas stay set aside, because this version does not know them\n"
        ));
    }
    lines.concat()
}
