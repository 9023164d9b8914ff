//! Injects faults into the cluster, several at a time, and heals each. The order is random, and
//! every kind has its turn.

mod disks;
mod forks;
mod network;
mod processes;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, RwLock, watch};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::history::{Event, History};
use crate::kinds::{Kind, Lane};
use crate::replica::Replica;
use crate::rng::Rng;

/// The context of every fault.
#[derive(Clone)]
pub struct Nemesis {
    cluster: Arc<Cluster>,
    history: Arc<History>,
    rng: Rng,
    /// The group of the current round.
    group: String,
    /// Becomes true when the faults must end.
    stop: watch::Receiver<bool>,
    /// Held for reading by every fault, and for writing by one that excludes others.
    alone: Arc<RwLock<()>>,
}

/// Why a fault was not injected, or how it failed.
enum Failed {
    /// This machine cannot inject it.
    Skipped(String),
    /// Other faults hold every candidate.
    Busy,
    /// An operation failed that must succeed.
    Wrong(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Wrong(error.into())
    }
}

/// The rate of faults.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The range of pauses between two faults of a lane.
    pub pause_ms: (u64, u64),
    /// The number of concurrent faults of processes.
    pub process_lanes: usize,
}

impl Nemesis {
    /// Prepares fault injection for a cluster.
    pub fn new(
        cluster: Arc<Cluster>,
        history: Arc<History>,
        rng: Rng,
        group: &str,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            cluster,
            history,
            rng,
            group: group.to_owned(),
            stop,
            alone: Arc::new(RwLock::new(())),
        }
    }

    /// Injects faults of these kinds until stopped; returns when all are healed.
    pub async fn torment(mut self, kinds: &[Kind], pace: Pace) {
        let mut lanes = JoinSet::new();
        for lane in [Lane::Network, Lane::Clocks, Lane::Processes, Lane::Disks] {
            let own: Vec<Kind> = kinds
                .iter()
                .copied()
                .filter(|it| it.lane() == lane)
                .collect();
            let count = if lane == Lane::Processes {
                pace.process_lanes
            } else {
                1
            };
            for own in self.dealt(&own, count) {
                let mut nemesis = self.clone();
                nemesis.rng = self.rng.fork();
                lanes.spawn(async move { nemesis.run_lane(&own, pace).await });
            }
        }
        while lanes.join_next().await.is_some() {}
    }

    /// Distributes the kinds over `count` lanes.
    fn dealt(&mut self, kinds: &[Kind], count: usize) -> Vec<Vec<Kind>> {
        let mut lanes = vec![Vec::new(); count];
        for (index, kind) in self.rng.shuffled(kinds).into_iter().enumerate() {
            lanes[index % count].push(kind);
        }
        lanes
    }

    async fn run_lane(&mut self, kinds: &[Kind], pace: Pace) {
        if kinds.is_empty() {
            return;
        }
        let mut bag = Vec::new();
        loop {
            let pause = self.rng.between(pace.pause_ms.0, pace.pause_ms.1);
            self.hold(Duration::from_millis(pause)).await;
            if *self.stop.borrow() {
                return;
            }
            if bag.is_empty() {
                bag = self.rng.shuffled(kinds);
            }
            if let Some(kind) = bag.pop() {
                self.make(kind).await;
            }
        }
    }

    async fn make(&mut self, kind: Kind) {
        let lock = self.alone.clone();
        let (_alone, _beside) = if kind.is_alone() {
            (Some(lock.write().await), None)
        } else {
            (None, Some(lock.read().await))
        };
        // The wait for other faults may outlast the round.
        if *self.stop.borrow() {
            return;
        }
        let made = match kind.lane() {
            Lane::Network => self.harm_network(kind).await,
            Lane::Clocks => self.harm_clock().await,
            Lane::Processes => self.harm_process(kind).await,
            Lane::Disks => self.harm_disk(kind).await,
        };
        let fault = kind.name();
        let skipped = match made {
            Ok(()) => None,
            Err(Failed::Busy) => return,
            Err(Failed::Skipped(why)) => Some(why),
            Err(Failed::Wrong(failure)) => {
                let what = format!("{fault}: {failure:#}");
                let promise = "comes back";
                self.history.record(Event::Broken { promise, what });
                None
            }
        };
        self.history.record(Event::Over { fault, skipped });
    }

    fn begin(&self, kind: Kind, what: impl Into<String>) {
        self.history.record(Event::Fault {
            fault: kind.name(),
            what: what.into(),
        });
    }

    /// Waits for a duration, or until the faults must end.
    async fn hold(&mut self, span: Duration) {
        let told = self.stop.wait_for(|stop| *stop);
        let _ = tokio::time::timeout(span, told).await;
    }

    async fn hold_between(&mut self, low_ms: u64, high_ms: u64) {
        let span = Duration::from_millis(self.rng.between(low_ms, high_ms));
        self.hold(span).await;
    }

    /// A random replica that no other fault holds.
    fn any_replica(&mut self) -> Result<OwnedMutexGuard<Replica>, Failed> {
        let numbers = self.rng.shuffled(&self.cluster.numbers());
        let mut free = numbers
            .into_iter()
            .filter_map(|number| self.cluster.free_replica(number).ok());
        free.next().ok_or(Failed::Busy)
    }

    /// Makes a clock jump a few times, then corrects it.
    async fn harm_clock(&mut self) -> Result<(), Failed> {
        const SECOND: i64 = 1_000;
        const HOUR: i64 = 3_600 * SECOND;
        const YEAR: i64 = 365 * 24 * HOUR;
        let numbers = self.cluster.numbers();
        let number = *self.rng.pick(&numbers);
        let size = *self.rng.pick(&[40, 700, 5 * SECOND, HOUR, YEAR]);
        self.begin(Kind::Clock, format!("replica {number}, up to {size} ms"));
        for _ in 0..self.rng.between(1, 4) {
            let sign = if self.rng.chance(50) { 1 } else { -1 };
            // The file is written without the lock of the replica.
            self.cluster.set_clock(number, sign * size)?;
            self.hold_between(700, 3_000).await;
        }
        Ok(self.cluster.set_clock(number, 0)?)
    }
}
