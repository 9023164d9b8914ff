//! Real servers, built for release, with databases that wait for the disk.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};

/// The ports and folder of every replica of a cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    folder: PathBuf,
    ports: Vec<(u16, u16)>,
}

/// One running server; ended when this value goes.
pub struct Replica {
    child: Child,
    stdin: Option<ChildStdin>,
    pub public: SocketAddr,
    /// From the start of the process until it said that it is ready.
    pub start: Duration,
}

impl Cluster {
    /// Plans `size` replicas under a folder.
    pub fn plan(folder: &Path, size: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let ports = free_ports(size * 2)?;
        Ok(Self {
            folder: folder.to_owned(),
            ports: ports.chunks(2).map(|pair| (pair[0], pair[1])).collect(),
        })
    }

    /// The data folder of a replica, counted from 0.
    pub fn data_dir(&self, index: usize) -> PathBuf {
        self.folder.join(format!("data-{}", index + 1))
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
    pub fn start(&self, index: usize) -> anyhow::Result<Replica> {
        let path = self.folder.join(format!("causeway-{}.toml", index + 1));
        std::fs::write(&path, self.settings(index)?)?;
        Replica::start(&path)
    }

    /// Starts all of them, one after the other.
    pub fn start_all(&self) -> anyhow::Result<Vec<Replica>> {
        (0..self.ports.len())
            .map(|index| self.start(index))
            .collect()
    }

    fn settings(&self, index: usize) -> anyhow::Result<String> {
        let (public, internal) = self.ports[index];
        let mut text = format!(
            "cluster = \"bench\"\nreplica = {}\ndata_dir = \"{}\"\nauth = \"open\"\n\
             cluster_key = \"a key for benchmarks, longer than 32 bytes\"\n\
             public_listen = \"127.0.0.1:{public}\"\ninternal_listen = \"127.0.0.1:{internal}\"\n",
            index + 1,
            self.data_dir(index).display(),
        );
        for (id, (public, internal)) in (1..).zip(&self.ports) {
            write!(
                text,
                "[[replicas]]\nid = {id}\npublic_url = \"http://127.0.0.1:{public}\"\n\
                 internal_url = \"http://127.0.0.1:{internal}\"\n"
            )?;
        }
        Ok(text)
    }
}

/// Ports that nobody has, below those that systems give to connections: a replica that is started
/// later must still find its own free.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    const RANGE: Range<u16> = 16_000..30_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % u32::from(RANGE.end - RANGE.start))?;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = RANGE
        .map(|_| first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)))
        .map(|number| RANGE.start + number % (RANGE.end - RANGE.start))
        .filter(is_free)
        .take(count)
        .collect();
    ensure!(ports.len() == count, "no ports are free");
    Ok(ports)
}

impl Replica {
    fn start(config: &Path) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut child = Command::new(server_program()?)
            .args(["run", "--until-stdin-closes", "--config"])
            .arg(config)
            .env("CAUSEWAY_LOG", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().context("it is piped")?).lines();
        let mut public = None;
        for line in lines {
            let line = line?;
            if let Some(address) = line.strip_prefix("public http://") {
                public = Some(address.parse()?);
            }
            if line == "ready" {
                let public = public.context("a server is ready without an address")?;
                return Ok(Self {
                    child,
                    stdin,
                    public,
                    start: begun.elapsed(),
                });
            }
        }
        let status = child.wait()?;
        bail!("the server ended before it was ready: {status}")
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it in order.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.stdin.take();
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("a server does not stop");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Chooses the program that is measured: a given one, or this project's, which is built for release
/// so that what is measured is what is here.
pub fn choose(given: Option<PathBuf>) -> anyhow::Result<()> {
    let program = match given {
        Some(given) => given,
        None => build("causeway-server")?,
    };
    ensure!(program.exists(), "there is no `{}`", program.display());
    PROGRAM
        .set(program)
        .map_err(|_| anyhow!("the server is chosen once"))
}

/// The program that is measured.
pub fn server_program() -> anyhow::Result<&'static PathBuf> {
    PROGRAM.get().context("no server was chosen")
}

/// Builds one of this project's programs.
pub fn build(program: &str) -> anyhow::Result<PathBuf> {
    eprintln!("building {program}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--locked"])
        .args(["--bin", program])
        .status()?;
    ensure!(status.success(), "{program} cannot be built");
    // Cargo puts it beside this program, which it built the same way.
    Ok(std::env::current_exe()?.with_file_name(program))
}
