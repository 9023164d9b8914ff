//! Forks: a replica rolled back together with its file, or copied, that is written to where nobody
//! else sees it. An operator rescues it; all that was acknowledged on either side has to be there again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Failed, Nemesis};
use crate::disk;
use crate::door::{Answer, Call, Door, http};
use crate::kinds::Kind;
use crate::network::Harm;
use crate::replica::Replica;
use crate::writer::Writer;

/// Added to the number of a replica, so that what one of its two lives has lost is not looked for in
/// the other.
const OTHER_LIFE: u16 = 100;
/// How long the alarm may stand after a rescue.
const PASSING: Duration = Duration::from_mins(1);
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
        let stranded = self.strand(number, public)?;
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
        let (public, _) = clone.start_beside().await?;
        let stranded = self.strand(number, public)?;
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

    fn strand(&mut self, number: u16, public: SocketAddr) -> anyhow::Result<Stranded> {
        let number = number + OTHER_LIFE;
        let user = format!("stranded-{:x}", self.rng.next());
        let door = Door::new(http()?, self.cluster.clone(), &user).at(number, public);
        let rng = self.rng.fork();
        let writer = Writer::new(door, self.history.clone(), rng, &self.group, number);
        let (stop, stopped) = watch::channel(false);
        let writing = tokio::spawn(writer.work(stopped));
        Ok(Stranded { stop, writing })
    }

    /// What an operator does: a rescue, perhaps killed and begun again, and a start.
    async fn comes_back(&mut self, replica: &mut Replica) -> Result<(), Failed> {
        let cluster = self.cluster.clone();
        let after = Duration::from_millis(self.rng.between(50, 2_000));
        let mut killed_after = self.rng.chance(30).then_some(after);
        let mut rescued = Ok(());
        for _ in 0..TRIES {
            rescued = replica.rescue(killed_after.take()).await;
            if rescued.is_ok() {
                break;
            }
        }
        replica.start(&cluster.network, true).await?;
        rescued?;
        self.no_fork_is_left().await
    }

    async fn no_fork_is_left(&self) -> Result<(), Failed> {
        let mut door = Door::new(http()?, self.cluster.clone(), "operator");
        let call = Call::new(reqwest::Method::GET, "/v1/view");
        let started = Instant::now();
        loop {
            let mut told = Vec::new();
            for number in self.cluster.numbers() {
                let Answer::Done { body, .. } = door.call(number, &call).await else {
                    told.push(format!("replica {number} does not answer"));
                    continue;
                };
                let alarms = body["alarms"].as_array().into_iter().flatten();
                let forks = alarms.filter(|alarm| alarm["kind"] == "fork");
                told.extend(forks.map(|alarm| format!("replica {number}: {alarm}")));
            }
            if told.is_empty() {
                return Ok(());
            }
            if started.elapsed() > PASSING {
                let told = told.join(", ");
                return Err(anyhow::anyhow!("after a rescue the fork stands: {told}").into());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}
