//! Forks: a replica rolled back together with its file, or copied, that is written to where nobody
//! else sees it. An operator rescues it; all that was acknowledged on either side has to be there again.

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

/// Added to the number of a replica, so that what one of its two lives has lost is not looked for in
/// the other.
const OTHER_LIFE: u16 = 100;
/// How long the alarm may stand after a rescue before somebody else is rescued too.
const SEEN: Duration = Duration::from_secs(15);
/// After how long nobody more is rescued.
const PASSING: Duration = Duration::from_mins(2);
/// How often an operator tries a rescue that finds no peer.
const TRIES: u32 = 5;

/// A user who writes to one life of a replica alone.
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
    /// Puts back an old copy of everything, lets it be written to alone, lets it meet its peers, and
    /// rescues it.
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
        // Written to on, while it finds out and begins a new epoch.
        let met = self.meets_its_peers(replica).await;
        stranded.ends().await?;
        met?;
        replica.stop(&cluster.network).await?;
        self.comes_back(replica).await
    }

    /// Runs a copy of a replica beside it, writes to both, and lets the copy take its place.
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
        let user = User::new(http(), self.cluster.clone(), &name).at(number, public);
        let rng = self.rng.fork();
        let writer = Writer::new(user, self.history.clone(), rng, &self.group, number);
        let (stop, stopped) = watch::channel(false);
        let writing = tokio::spawn(writer.work(stopped));
        Stranded { stop, writing }
    }

    /// What an operator does: a rescue and a start, and the same wherever the fork stands then. Both
    /// lives of a copied replica may have met peers before anybody saw that there were two.
    async fn comes_back(&mut self, replica: &mut Replica) -> Result<(), Failed> {
        let number = replica.number();
        self.rescue(replica).await?;
        let mut rescued = BTreeSet::from([number]);
        let started = Instant::now();
        while let Err(at_odds) = self.no_fork_is_left().await {
            let next = at_odds.with(number).find(|it| !rescued.contains(it));
            let Some(next) = next.filter(|_| started.elapsed() < PASSING) else {
                return Err(anyhow::anyhow!("after a rescue the fork stands: {at_odds}").into());
            };
            let cluster = self.cluster.clone();
            // Another fault may hold it.
            let Ok(mut other) = cluster.free_replica(next) else {
                continue;
            };
            other.stop(&cluster.network).await?;
            self.rescue(&mut other).await?;
            rescued.insert(next);
        }
        Ok(())
    }

    /// A rescue, perhaps killed and begun again, and a start.
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

    /// Waits until nobody tells of a fork; returns who still does otherwise.
    async fn no_fork_is_left(&self) -> Result<(), AtOdds> {
        let mut told = AtOdds::default();
        let mut user = User::new(http(), self.cluster.clone(), "operator");
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

/// Who tells of a fork, and what.
#[derive(Default)]
struct AtOdds(Vec<(u16, Value)>);

impl AtOdds {
    /// Those who hold other events than this replica.
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
