//! One replica: its folder, its process, its database.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use causeway_rig::{Addresses, Certificates, Process, Settings, hide_settings};
use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::timeout;

use crate::disk;
use crate::network::Network;
use crate::processes::{self, family, postmaster};

const FIRST_KEY: &str = "a key for torture, longer than thirty-two bytes";
/// The timeout of a start, including the recovery of a killed database.
const START: Duration = Duration::from_secs(90);
/// The timeout of an orderly stop.
const STOP: Duration = Duration::from_secs(40);
/// The timeout of a rescue on a busy machine.
const RESCUE: Duration = Duration::from_mins(3);

/// A replica.
#[derive(Debug)]
pub struct Replica {
    program: PathBuf,
    folder: PathBuf,
    settings: Settings,
    previous_key: Option<String>,
    process: Option<Process>,
    public: Option<SocketAddr>,
}

impl Replica {
    /// Prepares the folder and the configuration, and starts nothing.
    pub fn prepare(
        number: u16,
        program: &Path,
        root: &Path,
        network: &Network,
        replicas: u16,
    ) -> anyhow::Result<Self> {
        let folder = root.join(number.to_string());
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        let url = |address: SocketAddr| format!("http://{address}");
        let settings = Settings {
            replicas: (1..=replicas)
                .map(|other| {
                    let public = url(network.public_address(other));
                    (other, public, url(network.peer_address(number, other)))
                })
                .collect(),
            ..Settings::new("torture", number, &data, FIRST_KEY)
        };
        let replica = Self {
            program: program.to_owned(),
            folder,
            settings,
            previous_key: None,
            process: None,
            public: None,
        };
        replica.write_settings()?;
        set_clock(&replica.folder, 0)?;
        Ok(replica)
    }

    fn write_settings(&self) -> anyhow::Result<PathBuf> {
        let clock = clock(&self.folder);
        let mut more = vec![format!(
            "clock_offset_file = {:?}",
            clock.display().to_string()
        )];
        let previous = self.previous_key.iter();
        more.extend(previous.map(|key| format!("previous_cluster_key = {key:?}")));
        let settings = Settings {
            more: more.join("\n") + "\n",
            ..self.settings.clone()
        };
        Ok(settings.write()?)
    }

    /// What it is told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Lets it speak TLS from its next start on.
    pub fn secure(&mut self, certificates: &Certificates) -> anyhow::Result<()> {
        certificates.secure(&mut self.settings);
        self.write_settings()?;
        Ok(())
    }

    /// The key that it signs with.
    pub fn key(&self) -> &str {
        &self.settings.key
    }

    /// Sets the keys that it is given at its next start.
    pub fn set_keys(&mut self, key: &str, previous: Option<&str>) {
        key.clone_into(&mut self.settings.key);
        self.previous_key = previous.map(str::to_owned);
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.settings.replica
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.settings.data_dir.clone()
    }

    /// The path for a copy of its data folder, or for a dump.
    pub fn copy(&self) -> PathBuf {
        self.folder.join("copy")
    }

    /// The data folder of its private Postgres.
    pub fn cluster(&self) -> PathBuf {
        self.data().join("postgres").join("cluster")
    }

    /// Starts it, waits until it serves, and connects the links to it; admits clients if asked to.
    pub async fn start(&mut self, network: &Network, admits_clients: bool) -> anyhow::Result<()> {
        let addresses = match self.start_beside().await {
            Ok(addresses) => addresses,
            Err(failure) => {
                self.kill(network);
                return Err(failure);
            }
        };
        network.aim(self.number(), addresses);
        if admits_clients {
            network.admit_clients(self.number());
        }
        Ok(())
    }

    /// Starts it and waits until it serves, with no link that leads to it.
    pub async fn start_beside(&mut self) -> anyhow::Result<Addresses> {
        let mut process = self.spawn()?;
        let ready = timeout(START, process.ready()).await;
        self.process = Some(process);
        let Ok(Ok(addresses)) = ready else {
            bail!(
                "replica {} did not start; it said: {}",
                self.number(),
                self.last_words()
            );
        };
        self.public = Some(addresses.public);
        Ok(addresses)
    }

    /// Starts it and kills it after a delay, ready or not.
    pub async fn start_and_kill(&self, after: Duration) -> anyhow::Result<()> {
        let process = self.spawn()?;
        tokio::time::sleep(after).await;
        process.kill().await?;
        Ok(())
    }

    /// Where it listens for clients since its last start, whether links lead to it or not.
    pub fn public(&self) -> Option<SocketAddr> {
        self.public
    }

    /// Runs the rescue of a fork while the server is stopped; with `killed_after`, kills the rescue
    /// after that time.
    pub async fn rescue(&self, killed_after: Option<Duration>) -> anyhow::Result<()> {
        if let Some(after) = killed_after {
            let mut child = self.rescue_command()?.stderr(Stdio::null()).spawn()?;
            tokio::time::sleep(after).await;
            child.kill().await?;
        }
        let ran = self.rescue_command()?.stderr(Stdio::piped()).output();
        let output = timeout(RESCUE, ran)
            .await
            .context("the rescue timed out")??;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "the rescue of replica {} failed: {}",
            self.number(),
            said.trim()
        );
    }

    fn rescue_command(&self) -> anyhow::Result<Command> {
        let mut command = self.command();
        command
            .args(["new-epoch", "--rescue", "--config"])
            .arg(self.write_settings()?)
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Ok(command)
    }

    /// Prepares a second replica with the same number and configuration, and a copy of the data.
    pub async fn copied(&self) -> anyhow::Result<Self> {
        let folder = self.folder.join("clone");
        let clone = Self {
            program: self.program.clone(),
            settings: Settings {
                data_dir: folder.join("data"),
                ..self.settings.clone()
            },
            folder,
            previous_key: self.previous_key.clone(),
            process: None,
            public: None,
        };
        disk::copy(&self.data(), &clone.data()).await?;
        set_clock(&clone.folder, 0)?;
        Ok(clone)
    }

    fn spawn(&self) -> anyhow::Result<Process> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))?;
        Ok(Process::spawn(
            self.command(),
            &self.write_settings()?,
            log,
        )?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        hide_settings(&mut command);
        command
    }

    /// Whether its process is running.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Whether it is supposed to run.
    pub fn is_wanted(&self) -> bool {
        self.process.is_some()
    }

    /// Kills the server with SIGKILL; its guard process ends Postgres.
    pub fn kill(&mut self, network: &Network) {
        network.refuse_clients(self.number());
        self.process = None;
    }

    /// Kills server and Postgres with SIGKILL, and waits until both have ended.
    pub async fn kill_all(&mut self, network: &Network) -> anyhow::Result<()> {
        network.refuse_clients(self.number());
        self.end_beside().await
    }

    /// Kills a server without links, and its Postgres, with SIGKILL.
    pub async fn end_beside(&mut self) -> anyhow::Result<()> {
        self.signal_postgres(Signal::KILL);
        self.process = None;
        processes::postmaster_is_gone(&self.cluster()).await
    }

    /// Stops the server in order and waits for it.
    pub async fn stop(&mut self, network: &Network) -> anyhow::Result<()> {
        if let Some(process) = self.process.take()
            && process.stop(STOP).await.is_err()
        {
            bail!("replica {} does not stop", self.number());
        }
        network.refuse_clients(self.number());
        processes::postmaster_is_gone(&self.cluster()).await
    }

    /// The process id of the server, if it is running.
    pub fn server_pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::id)
    }

    /// Sends a signal to the server.
    pub fn signal_server(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Sends a signal to Postgres and all its backends.
    pub fn signal_postgres(&self, signal: Signal) {
        for pid in postmaster(&self.cluster()).map(family).unwrap_or_default() {
            causeway_rig::signal(pid, signal);
        }
    }

    /// Sends a signal only to the postmaster.
    pub fn signal_postmaster(&self, signal: Signal) {
        if let Some(pid) = postmaster(&self.cluster()) {
            causeway_rig::signal(pid, signal);
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(600)..];
        String::from_utf8_lossy(tail).trim().to_owned()
    }
}

/// Sets the clock offset of the replica in this folder.
pub fn set_clock(folder: &Path, offset_ms: i64) -> anyhow::Result<()> {
    let fresh = clock(folder).with_extension("new");
    fs::write(&fresh, offset_ms.to_string())?;
    Ok(fs::rename(fresh, clock(folder))?)
}

fn clock(folder: &Path) -> PathBuf {
    folder.join("clock-offset")
}
