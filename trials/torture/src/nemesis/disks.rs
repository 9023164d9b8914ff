//! Faults of disks: full, emptied, or restored from a backup.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use causeway_client::Client;
use causeway_postgres::{Options, PrivatePostgres, Programs};
use serde_json::Value;

use super::{Failed, Nemesis};
use crate::history::Event;
use crate::kinds::Kind;
use crate::replica::Replica;
use crate::user::{User, http};
use crate::{disk, processes};

/// The timeout for a replica to exchange digests with its peers.
const MEETING: Duration = Duration::from_secs(30);
/// The time within which a replica detects from its peers' digests that it was rolled back.
const CONCLUSIONS: Duration = Duration::from_secs(3);

impl Nemesis {
    pub(super) async fn harm_disk(&mut self, kind: Kind) -> Result<(), Failed> {
        if kind == Kind::FullDisk {
            return self.fill_disks().await;
        }
        let mut replica = self.any_replica()?;
        match kind {
            Kind::OldDump => self.restore_dump(&mut replica).await,
            Kind::OldFolder => self.restore_folder(&mut replica).await,
            Kind::Fork => self.fork_by_rollback(&mut replica).await,
            Kind::Clone => self.fork_by_clone(&mut replica).await,
            _ => self.wipe(&mut replica).await,
        }
    }

    /// Fills one or all small disks a few times, and kills a replica on a full one.
    async fn fill_disks(&mut self) -> Result<(), Failed> {
        let cluster = self.cluster.clone();
        let small_disks = cluster.small_disks.as_ref();
        let disks = small_disks.map_err(|why| Failed::Skipped(why.clone()))?;
        let count = if self.rng.chance(50) { 1 } else { disks.len() };
        let chosen: Vec<usize> = self.rng.shuffled(&[0, 1]).into_iter().take(count).collect();
        // Locked, so that no other fault restores a backup onto a full disk.
        let mut full = Vec::new();
        for (number, disk) in chosen.iter().filter_map(|at| disks.get(*at)) {
            let replica = cluster.free_replica(*number).map_err(|_| Failed::Busy)?;
            full.push((replica, disk));
        }
        let numbers: Vec<u16> = full.iter().map(|(replica, _)| replica.number()).collect();
        self.begin(Kind::FullDisk, format!("replicas {numbers:?}"));
        for _ in 0..self.rng.between(1, 3) {
            for (_, disk) in &full {
                disk.fill()?;
            }
            self.hold_between(1_000, 5_000).await;
        }
        let is_killed = self.rng.chance(40);
        for (replica, disk) in &mut full {
            if is_killed {
                replica.kill_all(&cluster.network).await?;
            }
            disk.relieve();
            if is_killed {
                replica.start(&cluster.network, true).await?;
            }
        }
        Ok(())
    }

    async fn wipe(&mut self, replica: &mut Replica) -> Result<(), Failed> {
        let cluster = self.cluster.clone();
        self.begin(Kind::Wipe, format!("replica {}", replica.number()));
        replica.kill_all(&cluster.network).await?;
        disk::empty(&replica.data())?;
        self.destroyed(replica, 0);
        replica.start(&cluster.network, true).await?;
        Ok(())
    }

    async fn restore_dump(&mut self, replica: &mut Replica) -> Result<(), Failed> {
        let cluster = self.cluster.clone();
        let (dump, restore) = dump_programs().map_err(Failed::Skipped)?;
        self.begin(Kind::OldDump, format!("replica {}", replica.number()));
        replica.stop(&cluster.network).await?;
        let since_us = self.history.now_us();
        let file = replica.copy().with_extension("dump").display().to_string();
        with_postgres(replica, &dump, &["--format=custom", "--file", &file]).await?;
        replica.start(&cluster.network, true).await?;
        self.hold_between(1_000, 8_000).await;
        replica.kill_all(&cluster.network).await?;
        let into = ["--clean", "--if-exists", "--exit-on-error", &file];
        with_postgres(replica, &restore, &into).await?;
        std::fs::remove_file(&file)?;
        self.destroyed(replica, since_us);
        replica.start(&cluster.network, true).await?;
        Ok(())
    }

    /// Restores an old copy of everything. Clients are admitted once the replica has exchanged
    /// digests with its peers, since only these can reveal the rollback.
    async fn restore_folder(&mut self, replica: &mut Replica) -> Result<(), Failed> {
        let cluster = self.cluster.clone();
        self.begin(Kind::OldFolder, format!("replica {}", replica.number()));
        self.roll_back(replica).await?;
        replica.start(&cluster.network, false).await?;
        let met = self.meets_its_peers(replica).await;
        cluster.network.admit_clients(replica.number());
        met
    }

    /// Copies a replica's folder, lets it run for a while, then stops it and restores the copy.
    pub(super) async fn roll_back(&mut self, replica: &mut Replica) -> anyhow::Result<()> {
        let cluster = self.cluster.clone();
        replica.stop(&cluster.network).await?;
        let since_us = self.history.now_us();
        disk::copy(&replica.data(), &replica.copy()).await?;
        replica.start(&cluster.network, true).await?;
        self.hold_between(1_000, 8_000).await;
        replica.kill_all(&cluster.network).await?;
        disk::empty(&replica.data())?;
        disk::copy(&replica.copy(), &replica.data()).await?;
        crate::scratch::remove(&replica.copy());
        self.destroyed(replica, since_us);
        Ok(())
    }

    pub(super) fn destroyed(&self, replica: &Replica, since_us: u64) {
        self.history.record(Event::Destroyed {
            replica: replica.number(),
            since_us,
        });
    }

    /// Waits until the replica and all peers have exchanged digests since its start, plus the time
    /// that it needs to detect a rollback.
    pub(super) async fn meets_its_peers(&self, replica: &Replica) -> Result<(), Failed> {
        let mut user = User::new(http(self.cluster.ca()), self.cluster.clone(), "operator");
        let ask = |client: Client| async move { client.view_as::<Value>().await };
        let started = Instant::now();
        while started.elapsed() < MEETING {
            let mut met = 0;
            for other in self.cluster.numbers() {
                let Some(view) = user.ask(other, ask).await.done() else {
                    continue;
                };
                let peers = view["peers"].as_array().into_iter().flatten();
                let mut about = peers.filter(|peer| peer["replica"] == replica.number());
                met += usize::from(about.any(|peer| {
                    let heard = peer["last_heard_ms"].as_u64().unwrap_or(u64::MAX);
                    peer["out"] == "ok" && u128::from(heard) < started.elapsed().as_millis()
                }));
            }
            if met + 1 == usize::from(self.cluster.count()) {
                tokio::time::sleep(CONCLUSIONS).await;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let number = replica.number();
        Err(anyhow::anyhow!("replica {number} exchanges no digests with its peers").into())
    }
}

/// Runs a program on the database of a stopped replica.
async fn with_postgres(
    replica: &Replica,
    program: &Path,
    arguments: &[&str],
) -> anyhow::Result<()> {
    let folder = replica.data().join("postgres");
    let starting = move || PrivatePostgres::start(&folder, &Options::default());
    let postgres = tokio::task::spawn_blocking(starting).await??;
    let url = format!("--dbname={}", postgres.url());
    let mut all = vec![url.as_str()];
    all.extend(arguments);
    let ran = processes::run(program, &all).await;
    tokio::task::spawn_blocking(move || postgres.stop()).await?;
    ran
}

/// `pg_dump` and `pg_restore`, from beside the server or from the path.
fn dump_programs() -> Result<(PathBuf, PathBuf), String> {
    let beside = Programs::find().ok().and_then(|found| {
        let folder = found.postgres.canonicalize().ok()?.parent()?.to_owned();
        Some(folder)
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = beside.into_iter().chain(std::env::split_paths(&path));
    let folder = folders
        .find(|folder| folder.join("pg_dump").is_file() && folder.join("pg_restore").is_file());
    let folder = folder.context("no pg_dump and pg_restore on this machine");
    let folder = folder.map_err(|missing| missing.to_string())?;
    Ok((folder.join("pg_dump"), folder.join("pg_restore")))
}
