//! The replicas of a local cluster and the links between them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use causeway_rig::Network;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::folder::{Addresses, Folder};
use super::ports::Ports;
use super::replica::{Happening, Process, last_words, log_beside};
use super::status::{Condition, Row, how, joined, table, welcome};
use super::{DevOptions, say};
use crate::clock::wall_clock;
use crate::failure::UserError;
use crate::probe::Probe;

/// How long the replicas of a former run may take to let go of their ports.
const PORT_PATIENCE: Duration = Duration::from_secs(3);

/// What happened to which start of which replica.
#[derive(Debug)]
pub(super) struct News {
    number: u16,
    launch: u64,
    happening: Happening,
}

/// All replicas, whether they run or not.
pub(super) struct Cluster {
    folder: Folder,
    numbers: Vec<u16>,
    replicas: BTreeMap<u16, Replica>,
    network: Network,
    news: mpsc::UnboundedSender<News>,
    probe: Probe,
    /// The certificate of the authority, where TLS is spoken.
    ca: Option<PathBuf>,
}

struct Replica {
    ports: Ports,
    settings: PathBuf,
    process: Option<Process>,
    /// Counts up with each start, so that late news of a former process is known as such.
    launch: u64,
    condition: Condition,
    started: Instant,
}

impl Cluster {
    /// Makes folder, key, links and settings; nothing is started.
    pub(super) async fn prepare(
        options: &DevOptions,
        news: mpsc::UnboundedSender<News>,
    ) -> anyhow::Result<Self> {
        let ports = Ports::of(options.replicas, options.base_port)?;
        let folder = Folder::open(&options.data)?;
        for (number, ports) in &ports {
            let patience = if folder.has_database(*number) {
                PORT_PATIENCE
            } else {
                Duration::ZERO
            };
            ports.are_free(*number, patience)?;
        }
        if options.fresh {
            say("deleting the data of former runs …");
            folder.empty()?;
        }
        folder.ensure_key()?;
        let tls = if options.tls {
            Some(folder.certificates(options.replicas, wall_clock(None)())?)
        } else {
            None
        };
        let numbers: Vec<u16> = ports.iter().map(|(number, _)| *number).collect();
        let network = Network::between(&numbers).await?;
        for (number, own) in &ports {
            network.aim(*number, own.internal);
        }
        let mut replicas = BTreeMap::new();
        for &(number, own) in &ports {
            let near = |to| network.link(number, to).address();
            let all = ports
                .iter()
                .map(|&(to, it)| (to, it.public, near(to)))
                .collect();
            let settings = folder.write_settings(number, &Addresses { own, all }, options.tls)?;
            replicas.insert(number, Replica::at_rest(own, settings));
        }
        Ok(Self {
            folder,
            numbers,
            replicas,
            network,
            news,
            probe: Probe::new(tls.as_deref())?,
            ca: tls,
        })
    }

    pub(super) fn numbers(&self) -> &[u16] {
        &self.numbers
    }

    /// Starts all side by side.
    pub(super) fn start_all(&mut self) -> io::Result<()> {
        for number in self.numbers.clone() {
            let step = if self.folder.has_database(number) {
                "starting"
            } else {
                "initialising Postgres, starting"
            };
            say(&format!("replica {number}: {step} …"));
            self.launch(number)?;
        }
        Ok(())
    }

    pub(super) fn is_ready(&self) -> bool {
        self.replicas
            .values()
            .all(|replica| replica.condition == Condition::Up)
    }

    /// Takes in what happens before all are ready: a replica that ends then ends the whole.
    pub(super) fn take_in_while_starting(&mut self, news: &News) -> anyhow::Result<()> {
        if let Happening::Ended(status) = &news.happening {
            let said = last_words(&self.replicas[&news.number].settings);
            let text = format!("replica {} did not start: {said}", news.number);
            let is_theirs = status.as_ref().is_ok_and(|status| status.code() == Some(2));
            return Err(if is_theirs {
                UserError(text).into()
            } else {
                anyhow::anyhow!(text)
            });
        }
        self.take_in(news);
        Ok(())
    }

    /// Takes in what happens, and tells of it.
    pub(super) fn take_in(&mut self, news: &News) {
        let number = news.number;
        let replica = self.at(number);
        if news.launch != replica.launch {
            return;
        }
        match &news.happening {
            Happening::Ready => {
                replica.condition = Condition::Up;
                let took = replica.started.elapsed().as_secs_f64();
                say(&format!("replica {number}: ready in {took:.1} s"));
            }
            Happening::Ended(status) => {
                replica.process = None;
                if replica.condition == Condition::Down {
                    return;
                }
                let how = how(status);
                let said = last_words(&replica.settings);
                let log = log_beside(&replica.settings);
                replica.condition = Condition::Ended(how.clone());
                say(&format!(
                    "replica {number} ended by itself ({how}): {said}\n(its log: {}; `start {number}` starts it again)",
                    log.display()
                ));
            }
        }
    }

    /// What to do with it, once it stands.
    pub(super) fn welcome(&self, took: Duration) -> String {
        let addresses: Vec<_> = self
            .replicas
            .iter()
            .map(|(&number, replica)| (number, replica.ports.public))
            .collect();
        welcome(&addresses, self.ca.as_deref(), took)
    }

    /// Asks every replica that should answer, and draws the table.
    pub(super) async fn status(&self) -> String {
        let mut asking = JoinSet::new();
        for (&number, replica) in &self.replicas {
            if replica.condition == Condition::Up {
                let (probe, url) = (
                    self.probe.clone(),
                    format!("{}://{}", self.scheme(), replica.ports.public),
                );
                asking.spawn(async move { (number, probe.view(&url).await.ok()) });
            }
        }
        let mut views: BTreeMap<u16, _> = asking.join_all().await.into_iter().collect();
        let rows: Vec<Row> = self
            .replicas
            .iter()
            .map(|(&number, replica)| Row {
                number,
                public: format!("{}://{}", self.scheme(), replica.ports.public),
                condition: replica.condition.clone(),
                view: views.remove(&number).flatten(),
                cut_from: self.network.cut_from(number),
            })
            .collect();
        table(&rows)
    }

    fn scheme(&self) -> &'static str {
        if self.ca.is_some() { "https" } else { "http" }
    }

    pub(super) fn cut(&self, sides: &[Vec<u16>]) -> String {
        self.network.cut(sides);
        let sides: Vec<String> = sides.iter().map(|side| joined(side)).collect();
        format!("cut: {}", sides.join(" | "))
    }

    pub(super) fn heal(&self) -> String {
        self.network.heal();
        "healed: every link is whole".to_owned()
    }

    /// Kills replicas and waits for their end.
    pub(super) async fn kill(&mut self, numbers: &[u16]) -> String {
        let mut said = Vec::new();
        for &number in numbers {
            let replica = self.at(number);
            replica.condition = Condition::Down;
            said.push(match replica.process.take() {
                Some(process) => {
                    process.kill().await;
                    format!("replica {number}: killed")
                }
                None => format!("replica {number} is not running"),
            });
        }
        said.join("\n")
    }

    pub(super) fn start(&mut self, numbers: &[u16]) -> String {
        let mut said = Vec::new();
        for &number in numbers {
            if self.at(number).process.is_some() {
                said.push(format!("replica {number} is running"));
                continue;
            }
            said.push(match self.launch(number) {
                Ok(()) => format!("replica {number}: starting …"),
                Err(error) => format!("replica {number} cannot be started: {error}"),
            });
        }
        said.join("\n")
    }

    /// Stops all in order, side by side, and waits; what takes too long is killed.
    pub(super) async fn stop(&mut self, patience: Duration) {
        let mut stopping = JoinSet::new();
        for replica in self.replicas.values_mut() {
            replica.condition = Condition::Down;
            if let Some(process) = replica.process.take() {
                stopping.spawn(process.stop(patience));
            }
        }
        stopping.join_all().await;
    }

    fn launch(&mut self, number: u16) -> io::Result<()> {
        let news = self.news.clone();
        let replica = self.at(number);
        replica.launch += 1;
        let launch = replica.launch;
        let tell = move |happening| {
            // Nobody listens any more when all is being stopped.
            let _ = news.send(News {
                number,
                launch,
                happening,
            });
        };
        replica.process = Some(Process::start(&replica.settings, tell)?);
        replica.condition = Condition::Starting;
        replica.started = Instant::now();
        Ok(())
    }

    fn at(&mut self, number: u16) -> &mut Replica {
        self.replicas
            .get_mut(&number)
            .expect("only numbers of this cluster are handed in")
    }
}

impl Replica {
    fn at_rest(ports: Ports, settings: PathBuf) -> Self {
        let condition = Condition::Down;
        Self {
            ports,
            settings,
            process: None,
            launch: 0,
            condition,
            started: Instant::now(),
        }
    }
}
