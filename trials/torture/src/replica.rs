//! One replica: its folder, its process, its database.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::disk;
use crate::network::Network;
use crate::processes::{self, family, postmaster};

const FIRST_KEY: &str = "a key for torture, longer than thirty-two bytes";
/// How long a start may take, the recovery of a killed database included.
const START: Duration = Duration::from_secs(90);
/// How long an end in order may take.
const STOP: Duration = Duration::from_secs(40);
/// How long a rescue may take on a busy machine.
const RESCUE: Duration = Duration::from_mins(3);

/// A replica.
#[derive(Debug)]
pub struct Replica {
    number: u16,
    program: PathBuf,
    folder: PathBuf,
    process: Option<Child>,
    public: Option<SocketAddr>,
    key: String,
}

impl Replica {
    /// Prepares the folder and the settings; nothing runs yet.
    pub fn prepare(
        number: u16,
        program: &Path,
        root: &Path,
        network: &Network,
        replicas: u16,
    ) -> anyhow::Result<Self> {
        let folder = root.join(number.to_string());
        fs::create_dir_all(&folder)?;
        let replica = Self {
            number,
            program: program.to_owned(),
            folder,
            process: None,
            public: None,
            key: FIRST_KEY.to_owned(),
        };
        fs::create_dir_all(replica.data())?;
        let settings = replica.settings_text(network, replicas)?;
        fs::write(replica.settings(), settings)?;
        let mut replica = replica;
        replica.set_keys(FIRST_KEY, None)?;
        set_clock(&replica.folder, 0)?;
        Ok(replica)
    }

    fn settings_text(&self, network: &Network, replicas: u16) -> anyhow::Result<String> {
        let mut text = format!(
            "cluster = \"torture\"\nreplica = {}\ndata_dir = \"{}\"\nauth = \"open\"\n\
             public_listen = \"127.0.0.1:0\"\ninternal_listen = \"127.0.0.1:0\"\nclock_offset_file = \"{}\"\n",
            self.number,
            self.data().display(),
            clock(&self.folder).display(),
        );
        for other in 1..=replicas {
            let (public, internal) = (
                network.public_address(other),
                network.near_end(self.number, other),
            );
            write!(
                text,
                "\n[[replicas]]\nid = {other}\npublic_url = \"http://{public}\"\ninternal_url = \"http://{internal}\"\n"
            )?;
        }
        Ok(text)
    }

    /// The key it signs with.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Writes the keys into its settings, for its next start.
    pub fn set_keys(&mut self, key: &str, previous: Option<&str>) -> anyhow::Result<()> {
        let settings = fs::read_to_string(self.settings())?;
        let others = settings
            .lines()
            .filter(|line| !line.contains("cluster_key"));
        let mut lines = vec![format!("cluster_key = {key:?}")];
        lines.extend(previous.map(|key| format!("previous_cluster_key = {key:?}")));
        lines.extend(others.map(str::to_owned));
        key.clone_into(&mut self.key);
        Ok(fs::write(self.settings(), lines.join("\n"))?)
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A place for a copy of its data folder, or for a dump.
    pub fn copy(&self) -> PathBuf {
        self.folder.join("copy")
    }

    /// Where its private Postgres lies.
    pub fn cluster(&self) -> PathBuf {
        self.data().join("postgres").join("cluster")
    }

    /// Its settings.
    pub fn settings(&self) -> PathBuf {
        self.folder.join("causeway.toml")
    }

    /// Starts it, waits until it serves, and leads the links to it; clients are let in when asked for.
    pub async fn start(&mut self, network: &Network, lets_clients_in: bool) -> anyhow::Result<()> {
        let (public, internal) = match self.start_beside().await {
            Ok(addresses) => addresses,
            Err(failure) => {
                self.kill(network);
                return Err(failure);
            }
        };
        network.aim(self.number, public, internal);
        if lets_clients_in {
            network.open_door(self.number);
        }
        Ok(())
    }

    /// Starts it and waits until it serves, with no link that leads to it. Returns its public and its
    /// internal address.
    pub async fn start_beside(&mut self) -> anyhow::Result<(SocketAddr, SocketAddr)> {
        let mut child = self.spawn()?;
        let said = child.stdout.take().context("its output is a pipe")?;
        let ready = timeout(START, addresses(said)).await;
        self.process = Some(child);
        let Ok(Ok(addresses)) = ready else {
            bail!(
                "replica {} did not start; it said: {}",
                self.number,
                self.last_words()
            );
        };
        self.public = Some(addresses.0);
        Ok(addresses)
    }

    /// Starts it and kills it after a while, ready or not.
    pub async fn start_and_kill(&self, after: Duration) -> anyhow::Result<()> {
        let mut child = self.spawn()?;
        tokio::time::sleep(after).await;
        Ok(child.kill().await?)
    }

    /// Where it listens for clients since its last start, whoever the doors let in.
    pub fn public(&self) -> Option<SocketAddr> {
        self.public
    }

    /// Brings it back to its peers after a fork, while it does not run; kills that once on the way
    /// where asked for.
    pub async fn rescue(&self, killed_after: Option<Duration>) -> anyhow::Result<()> {
        let arguments = ["new-epoch", "--rescue", "--config"];
        if let Some(after) = killed_after {
            let mut child = self.command(&arguments).stderr(Stdio::null()).spawn()?;
            tokio::time::sleep(after).await;
            child.kill().await?;
        }
        let ran = self.command(&arguments).stderr(Stdio::piped()).output();
        let output = timeout(RESCUE, ran)
            .await
            .context("a rescue does not end")??;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("replica {} is not rescued: {}", self.number, said.trim());
    }

    /// Prepares a second replica with this one's number, settings and a copy of its data.
    pub async fn copied(&self) -> anyhow::Result<Self> {
        let folder = self.folder.join("clone");
        let clone = Self {
            number: self.number,
            program: self.program.clone(),
            folder,
            process: None,
            public: None,
            key: self.key.clone(),
        };
        disk::copy(&self.data(), &clone.data()).await?;
        let settings = fs::read_to_string(self.settings())?;
        let (own, others) = (self.folder.display(), clone.folder.display());
        let settings = settings.replace(&own.to_string(), &others.to_string());
        fs::write(clone.settings(), settings)?;
        set_clock(&clone.folder, 0)?;
        Ok(clone)
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))?;
        let mut command = self.command(&["run", "--until-stdin-closes", "--config"]);
        command.stderr(log);
        Ok(command.spawn()?)
    }

    /// The server's program with these arguments and the settings, apart from our terminal and our
    /// environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("CAUSEWAY_") && name != "CAUSEWAY_PG_BIN" && name != "CAUSEWAY_LOG"
            {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .arg(self.settings())
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    /// Whether its process runs, as far as anybody knows.
    pub fn is_running(&mut self) -> bool {
        match &mut self.process {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => false,
        }
    }

    /// Whether we want it to run.
    pub fn is_wanted(&self) -> bool {
        self.process.is_some()
    }

    /// Ends the server as `kill -9` does; its Postgres is ended by its guard.
    pub fn kill(&mut self, network: &Network) {
        network.close_door(self.number);
        if let Some(mut child) = self.process.take() {
            let _ = child.start_kill();
            // The system collects it in the background.
            tokio::spawn(async move { child.wait().await });
        }
    }

    /// Ends server and Postgres as `kill -9` does, and waits until both are gone.
    pub async fn kill_all(&mut self, network: &Network) -> anyhow::Result<()> {
        self.signal_postgres(Signal::KILL);
        self.kill(network);
        processes::postmaster_is_gone(&self.cluster()).await
    }

    /// Ends a server to which no link leads, and its Postgres, as `kill -9` does.
    pub async fn end_beside(&mut self) -> anyhow::Result<()> {
        self.signal_postgres(Signal::KILL);
        if let Some(mut child) = self.process.take() {
            child.kill().await?;
        }
        processes::postmaster_is_gone(&self.cluster()).await
    }

    /// Asks the server to stop in order and waits for it.
    pub async fn stop(&mut self, network: &Network) -> anyhow::Result<()> {
        if let Some(mut child) = self.process.take() {
            if let Some(pid) = child.id() {
                processes::signal(pid, Signal::TERM);
            }
            if timeout(STOP, child.wait()).await.is_err() {
                let _ = child.start_kill();
                bail!("replica {} does not stop when asked to", self.number);
            }
        }
        network.close_door(self.number);
        processes::postmaster_is_gone(&self.cluster()).await
    }

    /// The process of the server, while it runs.
    pub fn server_pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Child::id)
    }

    /// Sends a signal to the server.
    pub fn signal_server(&self, signal: Signal) {
        if let Some(pid) = self.server_pid() {
            processes::signal(pid, signal);
        }
    }

    /// Sends a signal to Postgres and all its backends.
    pub fn signal_postgres(&self, signal: Signal) {
        for pid in postmaster(&self.cluster()).map(family).unwrap_or_default() {
            processes::signal(pid, signal);
        }
    }

    /// Sends a signal to the postmaster alone.
    pub fn signal_postmaster(&self, signal: Signal) {
        if let Some(pid) = postmaster(&self.cluster()) {
            processes::signal(pid, signal);
        }
    }

    /// What it logged last.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(600)..];
        String::from_utf8_lossy(tail).trim().to_owned()
    }
}

/// Sets the clock of the replica in this folder wrong by so much.
pub fn set_clock(folder: &Path, offset_ms: i64) -> anyhow::Result<()> {
    let fresh = clock(folder).with_extension("new");
    fs::write(&fresh, offset_ms.to_string())?;
    Ok(fs::rename(fresh, clock(folder))?)
}

fn clock(folder: &Path) -> PathBuf {
    folder.join("clock-offset")
}

/// Reads where a server that starts says that it listens.
async fn addresses(said: tokio::process::ChildStdout) -> anyhow::Result<(SocketAddr, SocketAddr)> {
    let mut lines = BufReader::new(said).lines();
    let (mut public, mut internal) = (None, None);
    while let Some(line) = lines.next_line().await? {
        match line.split_once(" http://") {
            Some(("public", address)) => public = Some(address.parse()?),
            Some(("internal", address)) => internal = Some(address.parse()?),
            _ if line == "ready" => {
                return Ok((
                    public.context("it has a public address")?,
                    internal.context("it has an internal address")?,
                ));
            }
            _ => {}
        }
    }
    bail!("it ended")
}
