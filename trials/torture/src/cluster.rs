//! The replicas and the links between them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use causeway_rig::Certificates;
use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard, TryLockError};

use crate::disk::SmallDisk;
use crate::network::Network;
use crate::options::Arguments;
use crate::replica::{self, Replica};

/// The cluster under test.
#[derive(Debug)]
pub struct Cluster {
    /// All links.
    pub network: Network,
    /// The certificate of the authority, where TLS is spoken.
    ca: Option<PathBuf>,
    root: PathBuf,
    replicas: Vec<Arc<Mutex<Replica>>>,
    /// The disks of the last two replicas, if this machine can mount them.
    pub small_disks: Result<Vec<(u16, SmallDisk)>, String>,
}

impl Cluster {
    /// Prepares replicas in a folder and starts them.
    pub async fn start(arguments: &Arguments, program: &Path, root: &Path) -> anyhow::Result<Self> {
        let count = arguments.replicas;
        let network = Network::open(count).await?;
        let mut replicas = Vec::new();
        for number in 1..=count {
            replicas.push(Replica::prepare(number, program, root, &network, count)?);
        }
        let certificates = if arguments.tls {
            let folder = root.join("certificates");
            std::fs::create_dir_all(&folder)?;
            let settings = replicas.iter().map(Replica::settings);
            let certificates = Certificates::issue(program, &folder, settings)?;
            for replica in &mut replicas {
                replica.secure(&certificates)?;
            }
            Some(certificates.ca())
        } else {
            None
        };
        let replicas: Vec<_> = replicas.into_iter().map(Mutex::new).map(Arc::new).collect();
        let mut small_disks = Ok(Vec::new());
        for replica in replicas.iter().rev().take(2) {
            let replica = replica.lock().await;
            let mounted = SmallDisk::mount(&replica.data());
            small_disks = small_disks.and_then(|mut disks| {
                disks.push((replica.number(), mounted?));
                Ok(disks)
            });
        }
        let cluster = Self {
            network,
            ca: certificates,
            root: root.to_owned(),
            replicas,
            small_disks,
        };
        cluster.start_all().await?;
        Ok(cluster)
    }

    /// The certificate of the authority, where TLS is spoken.
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The URL at an address.
    pub fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// The numbers of all replicas.
    pub fn numbers(&self) -> Vec<u16> {
        (1..=self.count()).collect()
    }

    /// The number of replicas.
    pub fn count(&self) -> u16 {
        u16::try_from(self.replicas.len()).unwrap_or(u16::MAX)
    }

    /// Locks a replica; waits for a fault that holds it.
    pub async fn replica(&self, number: u16) -> MutexGuard<'_, Replica> {
        self.replicas[usize::from(number) - 1].lock().await
    }

    /// Locks a replica unless a fault holds it.
    pub fn free_replica(&self, number: u16) -> Result<OwnedMutexGuard<Replica>, TryLockError> {
        self.replicas[usize::from(number) - 1]
            .clone()
            .try_lock_owned()
    }

    /// Sets the offset of a replica's clock; needs no lock.
    pub fn set_clock(&self, number: u16, offset_ms: i64) -> anyhow::Result<()> {
        replica::set_clock(&self.root.join(number.to_string()), offset_ms)
    }

    /// The replicas whose process ended unexpectedly.
    pub fn fallen(&self) -> Vec<u16> {
        let has_fallen = |number: &u16| match self.free_replica(*number) {
            Ok(mut replica) => replica.is_wanted() && !replica.is_running(),
            Err(_) => false,
        };
        self.numbers().into_iter().filter(has_fallen).collect()
    }

    /// Starts all replicas that are not running, concurrently.
    pub async fn start_all(&self) -> anyhow::Result<()> {
        let starts = self.replicas.iter().map(async |replica| {
            let mut replica = replica.lock().await;
            if replica.is_running() {
                return Ok(());
            }
            replica.start(&self.network, true).await
        });
        join_all(starts).await.into_iter().collect()
    }

    /// Kills all processes.
    pub async fn end(&self) {
        for replica in &self.replicas {
            let mut replica = replica.lock().await;
            replica.signal_postgres(Signal::CONT);
            replica.signal_server(Signal::CONT);
            if let Err(failure) = replica.kill_all(&self.network).await {
                eprintln!("{failure:#}");
            }
        }
        for (_, disk) in self.small_disks.iter().flatten() {
            disk.unmount();
        }
    }
}
