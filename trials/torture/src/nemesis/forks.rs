//! Forks: a replica that was rolled back together with its file, or copied, is written to in
//! isolation, then rescued. All writes that either side acknowledged must be present afterwards.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use causeway_client::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Failed, Nemesis};
use crate::disk;
use crate::kinds::Kind;
use crate::network::Harm;
use crate::replica::Replica;
use crate::user::{User, http};
use crate::writer::Writer;

/// Added to the number of a replica for its second side, so that the checkers attribute losses to
/// the right one.
const OTHER_LIFE: u16 = 100;
/// How long an alarm may persist after a rescue before another replica is rescued too.
const SEEN: Duration = Duration::from_secs(15);
/// The time after which no further replica is rescued.
const PASSING: Duration = Duration::from_mins(2);
/// The maximum number of attempts of a rescue that finds no peer.
const TRIES: u32 = 5;

/// A user who writes to only one side of a fork.
struct Stranded {
    stop: watch::Sender<bool>,
    writing: JoinHandle<()>,
}

impl Stranded {
    async fn ends(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        Ok(self.writing.await?)
    }
}

impl Nemesis {
    /// Restores an old copy of everything, writes to it in isolation, reconnects it to its peers,
    /// and rescues it.
    pub(super) async fn fork_by_rollback(&mut self, replica: &mut Replica) -> Result<(), Failed> {
        let cluster = self.cluster.clone();
        let number = replica.number();
        self.begin(Kind::Fork, format!("replica {number}"));
        self.roll_back(replica).await?;
        for other in cluster.numbers() {
            cluster.network.harm(number, other, Harm::Cut);
            cluster.network.harm(other, number, Harm::Cut);
        }
        replica.start(&cluster.network, false).await?;
        let public = replica.public().context("it listens")?;
        let stranded = self.strand(number, public);
        self.hold_between(1_000, 6_000).await;
        cluster.network.heal_all();
        // The writes continue while it detects the fork and draws a new epoch.
        let met = self.meets_its_peers(replica).await;
        stranded.ends().await?;
        met?;
        replica.stop(&cluster.network).await?;
        self.comes_back(replica).await
    }

    /// Runs a copy of a replica beside it, writes to both, and replaces the original by the copy.
    pub(super) async fn fork_by_clone(&mut self, replica: &mut Replica) -> Result<(), Failed> {
        let cluster = self.cluster.clone();
        let number = replica.number();
        self.begin(Kind::Clone, format!("replica {number}"));
        replica.stop(&cluster.network).await?;
        let since_us = self.history.now_us();
        let mut clone = replica.copied().await?;
        replica.start(&cluster.network, true).await?;
        let addresses = clone.start_beside().await?;
        let stranded = self.strand(number, addresses.public);
        self.hold_between(2_000, 10_000).await;
        stranded.ends().await?;
        clone.end_beside().await?;
        replica.kill_all(&cluster.network).await?;
        disk::empty(&replica.data())?;
        disk::copy(&clone.data(), &replica.data()).await?;
        crate::scratch::remove(&clone.data());
        self.destroyed(replica, since_us);
        self.comes_back(replica).await
    }

    fn strand(&mut self, number: u16, public: SocketAddr) -> Stranded {
        let number = number + OTHER_LIFE;
        let name = format!("stranded-{:x}", self.rng.next());
        let user =
            User::new(http(self.cluster.ca()), self.cluster.clone(), &name).at(number, public);
        let rng = self.rng.fork();
        let writer = Writer::new(user, self.history.clone(), rng, &self.group, number);
        let (stop, stopped) = watch::channel(false);
        let writing = tokio::spawn(writer.work(stopped));
        Stranded { stop, writing }
    }

    /// Rescues and starts a replica, and every other one that still holds the fork: both sides of a
    /// copied replica may have reached peers before the fork was detected.
    async fn comes_back(&mut self, replica: &mut Replica) -> Result<(), Failed> {
        let number = replica.number();
        self.rescue(replica).await?;
        let mut rescued = BTreeSet::from([number]);
        let started = Instant::now();
        while let Err(at_odds) = self.no_fork_is_left().await {
            let next = at_odds.with(number).find(|it| !rescued.contains(it));
            let Some(next) = next.filter(|_| started.elapsed() < PASSING) else {
                return Err(anyhow::anyhow!("the fork persists after a rescue: {at_odds}").into());
            };
            let cluster = self.cluster.clone();
            // Another fault may hold the replica.
            let Ok(mut other) = cluster.free_replica(next) else {
                continue;
            };
            other.stop(&cluster.network).await?;
            self.rescue(&mut other).await?;
            rescued.insert(next);
        }
        Ok(())
    }

    /// Runs a rescue, perhaps kills and repeats it, and starts the replica.
    async fn rescue(&mut self, replica: &mut Replica) -> Result<(), Failed> {
        let after = Duration::from_millis(self.rng.between(50, 2_000));
        let mut killed_after = self.rng.chance(30).then_some(after);
        let mut rescued = Ok(());
        for _ in 0..TRIES {
            rescued = replica.rescue(killed_after.take()).await;
            if rescued.is_ok() {
                break;
            }
        }
        replica.start(&self.cluster.network, true).await?;
        Ok(rescued?)
    }

    /// Waits until no replica reports a fork; otherwise returns the remaining reports.
    async fn no_fork_is_left(&self) -> Result<(), AtOdds> {
        let mut told = AtOdds::default();
        let mut user = User::new(http(self.cluster.ca()), self.cluster.clone(), "operator");
        let ask = |client: Client| async move { client.view_as::<Value>().await };
        let started = Instant::now();
        while started.elapsed() < SEEN {
            told = AtOdds::default();
            for number in self.cluster.numbers() {
                let Some(view) = user.ask(number, ask).await.done() else {
                    told.0.push((number, json!("no answer")));
                    continue;
                };
                let alarms = view["alarms"].as_array().into_iter().flatten();
                let forks = alarms.filter(|alarm| alarm["kind"] == "fork");
                told.0.extend(forks.map(|alarm| (number, alarm.clone())));
            }
            if told.0.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Err(told)
    }
}

/// Reports of forks: the reporting replica and the alarm.
#[derive(Default)]
struct AtOdds(Vec<(u16, Value)>);

impl AtOdds {
    /// The replicas that hold other events than this one.
    fn with(&self, number: u16) -> impl Iterator<Item = u16> + '_ {
        let differ = self
            .0
            .iter()
            .filter(move |(teller, alarm)| *teller != number && alarm["replica"] == number);
        differ.map(|(teller, _)| *teller)
    }
}

impl fmt::Display for AtOdds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (teller, alarm) in &self.0 {
            write!(f, "replica {teller}: {alarm}, ")?;
        }
        Ok(())
    }
}
