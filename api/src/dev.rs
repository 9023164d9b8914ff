//! A whole cluster on this machine: one process and one database for each replica, joined by links
//! that the person at the terminal can cut and heal.
//!
//! It knows replicas only as programs that are started, asked over HTTP and killed. Everything ends
//! with it, also after kill -9: the replicas watch a pipe that it holds.

mod cluster;
mod command;
mod console;
mod folder;
mod ports;
mod replica;
mod status;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use cluster::{Cluster, News};
use command::{Command, HELP};

/// How long replicas may take to stop in order.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// What the person chose.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// How many replicas, 1–99.
    pub replicas: u16,
    /// Where their data is kept.
    pub data: PathBuf,
    /// Replica i serves clients on 127.0.0.1, on this port plus i, and peers 1000 below that.
    pub base_port: u16,
    /// Whether to delete the data of former runs first.
    pub fresh: bool,
    /// Whether clients and replicas speak TLS, with certificates of an authority in `data`.
    pub tls: bool,
}

/// Runs the cluster until `stop` is done or the person quits, then stops everything.
pub async fn run(options: DevOptions, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    tokio::pin!(stop);
    let began = Instant::now();
    let (news, mut happenings) = mpsc::unbounded_channel();
    let mut cluster = Cluster::prepare(&options, news).await?;
    let outcome = tokio::select! {
        () = &mut stop => Ok(()),
        outcome = live(&mut cluster, &mut happenings, began) => outcome,
    };
    say("stopping …");
    cluster.stop(STOP_PATIENCE).await;
    outcome
}

/// Starts all replicas and obeys until the person quits.
async fn live(
    cluster: &mut Cluster,
    happenings: &mut mpsc::UnboundedReceiver<News>,
    began: Instant,
) -> anyhow::Result<()> {
    cluster.start_all()?;
    while !cluster.is_ready() {
        if let Some(news) = happenings.recv().await {
            cluster.take_in_while_starting(&news)?;
        }
    }
    say(&cluster.welcome(began.elapsed()));
    let is_terminal = std::io::stdin().is_terminal();
    let mut lines = console::lines();
    loop {
        tokio::select! {
            Some(news) = happenings.recv() => cluster.take_in(&news),
            line = lines.recv() => match line {
                Some(line) => match command::parse(&line, cluster.numbers()) {
                    Ok(Command::Quit) => return Ok(()),
                    Ok(command) => obey(cluster, &command).await,
                    Err(misunderstood) => say(&misunderstood),
                },
                // Ctrl-D at a terminal means to leave; a script has only said all it had to say.
                None if is_terminal => return Ok(()),
                None => lines = console::silent(),
            },
        }
    }
}

async fn obey(cluster: &mut Cluster, command: &Command) {
    match command {
        Command::Nothing | Command::Quit => {}
        Command::Help => say(HELP),
        Command::Status => say(&cluster.status().await),
        Command::Cut(sides) => say(&cluster.cut(sides)),
        Command::Heal => say(&cluster.heal()),
        Command::Kill(numbers) => say(&cluster.kill(numbers).await),
        Command::Start(numbers) => say(&cluster.start(numbers)),
    }
}

/// Tells the person; nobody may be there any more.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
}
