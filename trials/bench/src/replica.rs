//! Real servers, built for release, with durable databases.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use causeway_rig::{Certificates, Process, Settings, ports, program};
use rustix::process::Signal;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use tokio::process::Command;
use tokio::time::timeout;

use crate::secure;

/// How long a server may take to start, with a large history, and to stop.
const PATIENCE: Duration = Duration::from_mins(5);

/// The ports and folder of every replica of a cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    folder: PathBuf,
    /// With them, clients and replicas speak TLS.
    certificates: Option<Certificates>,
    ports: Vec<(u16, u16)>,
}

/// One running server; ended when this value goes.
pub struct Replica {
    process: Process,
    pub public: SocketAddr,
    /// From the start of the process until it said that it is ready.
    pub start: Duration,
}

impl Cluster {
    /// Plans `size` replicas under a folder.
    pub fn plan(folder: &Path, size: usize) -> anyhow::Result<Self> {
        let ports = ports::choose(size * 2).context("no ports are free")?;
        Ok(Self {
            folder: folder.to_owned(),
            certificates: None,
            ports: ports.chunks(2).map(|pair| (pair[0], pair[1])).collect(),
        })
    }

    /// The same with TLS on both ports.
    pub fn secured(mut self) -> anyhow::Result<Self> {
        let folder = self.folder.join("certificates");
        std::fs::create_dir_all(&folder)?;
        let all: anyhow::Result<Vec<_>> = (0..self.ports.len())
            .map(|index| self.settings(index))
            .collect();
        let certificates = Certificates::issue(server_program()?, &folder, &all?)?;
        self.certificates = Some(certificates);
        Ok(self)
    }

    /// The data folder of a replica, counted from 0.
    pub fn data_dir(&self, index: usize) -> PathBuf {
        self.folder.join((index + 1).to_string()).join("data")
    }

    /// The folder in which the private Postgres of a running replica listens: the fifth line of the
    /// file that Postgres keeps beside its data.
    pub fn socket_folder(&self, index: usize) -> anyhow::Result<PathBuf> {
        let mut folders = vec![self.data_dir(index)];
        while let Some(folder) = folders.pop() {
            if let Ok(text) = std::fs::read_to_string(folder.join("postmaster.pid"))
                && let Some(socket) = text.lines().nth(4)
            {
                return Ok(socket.into());
            }
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        let place = self.data_dir(index);
        bail!("no Postgres runs under `{}`", place.display())
    }

    /// Connects to the database of a running replica, to count what is really there.
    pub async fn database(&self, index: usize) -> anyhow::Result<PgConnection> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(self.socket_folder(index)?)
            .username("causeway")
            .database("postgres");
        Ok(options.connect().await?)
    }

    /// Asks the database of a running replica for one number.
    pub async fn count(&self, index: usize, query: &str) -> anyhow::Result<u64> {
        let mut database = self.database(index).await?;
        let count: i64 = sqlx::query_scalar(query).fetch_one(&mut database).await?;
        Ok(u64::try_from(count)?)
    }

    /// Starts a replica, counted from 0, and waits until it is ready.
    pub async fn start(&self, index: usize) -> anyhow::Result<Replica> {
        std::fs::create_dir_all(self.data_dir(index))?;
        let mut settings = self.settings(index)?;
        let Some(certificates) = &self.certificates else {
            return Replica::start(&settings).await;
        };
        certificates.secure(&mut settings);
        let replica = Replica::start(&settings).await?;
        secure::remember(replica.public, &certificates.ca())?;
        Ok(replica)
    }

    /// Starts all of them, one after the other.
    pub async fn start_all(&self) -> anyhow::Result<Vec<Replica>> {
        let mut replicas = Vec::new();
        for index in 0..self.ports.len() {
            replicas.push(self.start(index).await?);
        }
        Ok(replicas)
    }

    fn settings(&self, index: usize) -> anyhow::Result<Settings> {
        let local = |port: u16| format!("127.0.0.1:{port}");
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let (public, internal) = self.ports[index];
        let key = "a key for benchmarks, longer than 32 bytes";
        let number = u16::try_from(index + 1)?;
        Ok(Settings {
            listen: (local(public), local(internal)),
            replicas: (1..)
                .zip(&self.ports)
                .map(|(id, (public, internal))| (id, url(*public), url(*internal)))
                .collect(),
            ..Settings::new("bench", number, &self.data_dir(index), key)
        })
    }
}

impl Replica {
    async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let config = settings.write()?;
        let begun = Instant::now();
        let mut command = Command::new(server_program()?);
        command.env("CAUSEWAY_LOG", "error");
        let mut process = Process::spawn(command, &config, Stdio::inherit())?;
        let ready = timeout(PATIENCE, process.ready()).await;
        let addresses = ready.context("a server is not ready in time")?;
        Ok(Self {
            process,
            public: addresses
                .context("a server ended before it was ready")?
                .public,
            start: begun.elapsed(),
        })
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.process
            .id()
            .expect("it is not waited for while it is used")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Stops it in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        let stopped = self.process.stop(PATIENCE).await;
        stopped.context("a server does not stop")?;
        Ok(())
    }
}

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Chooses the program that is measured: a given one, or this project's, built as this program was,
/// so that what is measured is what is here.
pub fn choose(given: Option<PathBuf>) -> anyhow::Result<()> {
    let program = match given {
        Some(given) => program::named(&given)?,
        None => program::built("causeway-server")?,
    };
    PROGRAM
        .set(program)
        .map_err(|_| anyhow!("the server is chosen once"))
}

/// The program that is measured.
pub fn server_program() -> anyhow::Result<&'static PathBuf> {
    PROGRAM.get().context("no server was chosen")
}
