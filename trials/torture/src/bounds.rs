//! Checks that a server buffers nothing for an unreachable peer (F25, F22). The same load is
//! written to a server without a peer, to one whose peer is down, and to one whose peer accepts
//! connections and never answers. At the end, all three must have the same size, close to the one
//! that each had after the warm-up.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context;
use causeway_client::{Client, NewMessage, Session};
use clap::Args;
use futures_util::future::try_join_all;
use serde::de::IgnoredAny;

use crate::network::{Harm, Network};
use crate::replica::Replica;
use crate::scratch::Scratch;
use crate::stop;
use crate::user::http;

const GROUP: &str = "lobby";
/// The number of concurrent clients.
const CLIENTS: u64 = 64;
/// The part of the load after which the size is first measured.
const WARM_UP: u64 = 10;
/// Enough messages to fill every cache of recent ones; growth beyond them is unbounded.
const FILLED: u64 = 50_000;
/// The permitted size in percent: with an unreachable peer relative to none, and at the end
/// relative to after the warm-up.
const MARGIN: u64 = 10;

/// Checks that a server's memory does not grow while a peer is unreachable
#[derive(Debug, Args)]
pub struct Arguments {
    /// The number of messages to write in each case
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    events: u64,
}

struct Case {
    name: &'static str,
    replicas: u16,
    harm: Harm,
}

const CASES: [Case; 3] = [
    Case {
        name: "no peer",
        replicas: 1,
        harm: Harm::Cut,
    },
    Case {
        name: "peer is down",
        replicas: 2,
        harm: Harm::Cut,
    },
    Case {
        name: "peer never answers",
        replicas: 2,
        harm: Harm::BlackHole,
    },
];

/// Memory and open files of a server.
#[derive(Clone, Copy, Debug)]
struct Size {
    memory_kib: u64,
    files: usize,
}

/// Runs all cases and prints a line each; returns whether all sizes are within bounds.
pub async fn run(arguments: &Arguments, program: &Path) -> anyhow::Result<bool> {
    let scratch = Scratch::create().context("a folder for the run cannot be made")?;
    eprintln!(
        "{:<20} {:>9} {:>9} {:>9} {:>7} {:>6} {:>6}",
        "", "messages", "KiB then", "KiB now", "ratio", "files", "now"
    );
    let mut alone_kib = None;
    let mut is_bounded = true;
    for (number, case) in CASES.iter().enumerate() {
        let root = scratch.path().join(number.to_string());
        let (then, now) = tokio::select! {
            sizes = measure(case, arguments.events, program, &root) => sizes?,
            stopped = stop::requested() => return Err(stopped),
        };
        let alone_kib = *alone_kib.get_or_insert(now.memory_kib);
        let percent = now.memory_kib * 100 / alone_kib;
        let growth = now.memory_kib * 100 / then.memory_kib;
        is_bounded &= percent <= 100 + MARGIN;
        is_bounded &= growth <= 100 + MARGIN || arguments.events / WARM_UP < FILLED;
        eprintln!(
            "{:<20} {:>9} {:>9} {:>9} {:>6}% {:>6} {:>6}",
            case.name,
            arguments.events,
            then.memory_kib,
            now.memory_kib,
            percent,
            then.files,
            now.files
        );
    }
    Ok(is_bounded)
}

/// The sizes after the warm-up and at the end.
async fn measure(
    case: &Case,
    events: u64,
    program: &Path,
    root: &Path,
) -> anyhow::Result<(Size, Size)> {
    let network = Network::open(case.replicas).await?;
    for other in 2..=case.replicas {
        network.harm(1, other, case.harm);
    }
    let mut replica = Replica::prepare(1, program, root, &network, case.replicas)?;
    let measured = async {
        replica.start(&network, true).await?;
        let client = member(&format!("http://{}", network.public_address(1))).await?;
        let pid = replica.server_pid().context("it runs")?;
        write(&client, events / WARM_UP).await?;
        let then = size(pid)?;
        write(&client, events - events / WARM_UP).await?;
        anyhow::Ok((then, size(pid)?))
    };
    let measured = measured.await;
    replica.kill_all(&network).await?;
    measured
}

/// Logs in a user and joins the group.
async fn member(server: &str) -> anyhow::Result<Client> {
    let client = Client::new(&http(None), server);
    let session: Session = client.log_in("ann").await?;
    let client = client.with_token(session.token);
    client.join::<IgnoredAny>(GROUP).await?;
    Ok(client)
}

async fn write(client: &Client, count: u64) -> anyhow::Result<()> {
    let left = AtomicU64::new(count);
    let begun = Instant::now();
    let message = NewMessage {
        text: "one of very many",
        ..NewMessage::default()
    };
    let one_after_the_other = async || {
        let one_less = |left: u64| left.checked_sub(1);
        while left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
        {
            client.post::<IgnoredAny>(GROUP, &message).await?;
        }
        anyhow::Ok(())
    };
    try_join_all((0..CLIENTS).map(|_| one_after_the_other())).await?;
    let seconds = begun.elapsed().as_secs().max(1);
    eprintln!("  {count} messages, {} a second", count / seconds);
    Ok(())
}

/// The size of a process as reported by `/proc`.
fn size(pid: u32) -> anyhow::Result<Size> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.context("`/proc` has no VmRSS of the process")?;
    Ok(Size {
        memory_kib: number.parse()?,
        files: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
    })
}
