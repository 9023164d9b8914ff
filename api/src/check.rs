//! What is wrong with a replica's settings, database and peers, found without starting it.

mod events;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::ids::ReplicaId;
use causeway_postgres::Programs;
use causeway_replicator::driver::Clocks;
use causeway_replicator::inquiry;
use causeway_replicator::link::http::HttpLink;
use causeway_replicator_core::wire::Caller;
use causeway_store::log::{OpenError, look, unsafe_settings};
use sqlx::{Connection, PgConnection};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::{Config, ReplicaAddress};
use crate::failure::listen;
use crate::probe::Probe;
use crate::{data_folder, offline};

const PATIENCE: Duration = Duration::from_secs(3);

/// What was looked at, one line each.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

#[derive(Debug)]
struct Finding {
    what: String,
    wrong: Option<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn are_fine(&self) -> bool {
        self.0.iter().all(|finding| finding.wrong.is_none())
    }

    fn add(&mut self, what: impl Into<String>, found: Result<(), String>) {
        self.0.push(Finding {
            what: what.into(),
            wrong: found.err(),
        });
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            match &finding.wrong {
                None => writeln!(f, "ok     {}", finding.what)?,
                Some(wrong) => writeln!(f, "WRONG  {}: {wrong}", finding.what)?,
            }
        }
        Ok(())
    }
}

/// Looks at everything a start would need. The settings themselves are valid: they have been read.
pub async fn check(config: &Config) -> Findings {
    let mut findings = Findings::default();
    findings.add("settings", Ok(()));
    let folder = format!("data folder {}", config.data_dir.display());
    findings.add(
        folder,
        data_folder::judge(&config.data_dir).map_err(|error| error.to_string()),
    );
    let probe = Probe::new();
    let answers = match &probe {
        Ok(probe) => probe
            .is_alive(&config.own_address().public_url)
            .await
            .is_ok(),
        Err(_) => false,
    };
    // Somebody else may answer there; whoever is this replica has its port.
    let is_running = answers && listen("public_listen", config.public_listen).await.is_err();
    let mut in_database = Vec::new();
    match &config.database_url {
        None => {
            let found = Programs::find()
                .map(drop)
                .map_err(|error| error.to_string());
            findings.add("Postgres programs", found);
        }
        Some(url) => match database(config, url, is_running).await {
            Ok(looked) => {
                findings.add("database", Ok(()));
                in_database = looked;
            }
            Err(wrong) => findings.add("database", Err(wrong)),
        },
    }
    let looked = match &probe {
        Ok(probe) if is_running => {
            events::ask_replica(probe, &config.own_address().public_url).await
        }
        _ => in_database,
    };
    for (what, found) in looked {
        findings.add(what, found);
    }
    for (key, address) in [
        ("public_listen", config.public_listen),
        ("internal_listen", config.internal_listen),
    ] {
        // A replica that runs has its own ports.
        let bound = if is_running {
            Ok(())
        } else {
            listen(key, address).await.map(drop)
        };
        findings.add(
            format!("{key} {address}"),
            bound.map_err(|error| error.to_string()),
        );
    }
    let asking = Asking::new(config);
    for peer in config.peers() {
        if let Ok(probe) = &probe {
            let found = probe
                .is_alive(&peer.public_url)
                .await
                .map_err(|error| plain(&error));
            findings.add(
                format!("replica {} for clients, {}", peer.id, peer.public_url),
                found,
            );
        }
        // Who runs asks its peers each second itself, and tells of refusals by alarms.
        let found = match &asking {
            Ok(asking) if !is_running => asking.ask(peer.id).await,
            Ok(_) => reaches(peer).await,
            Err(failure) => Err(failure.to_string()),
        };
        findings.add(
            format!("replica {} for peers, {}", peer.id, peer.internal_url),
            found,
        );
    }
    findings
}

/// Asks peers what a start asks them, as the replica that is configured.
struct Asking {
    caller: Caller,
    links: BTreeMap<ReplicaId, HttpLink>,
    clocks: Arc<Clocks>,
}

impl Asking {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let (caller, links) = offline::links(config)?;
        Ok(Self {
            caller,
            links,
            clocks: offline::clocks(config),
        })
    }

    async fn ask(&self, peer: ReplicaId) -> Result<(), String> {
        let link = self.links.get(&peer).ok_or("it has no address")?;
        let asked = inquiry::ask_one(peer, link, &self.caller, self.clocks.now(), PATIENCE);
        asked.await.map(drop).map_err(|failure| failure.to_string())
    }
}

/// Connects, asks for what must not be switched off, and looks for events that want a hand.
async fn database(
    config: &Config,
    url: &str,
    is_running: bool,
) -> Result<Vec<events::Looked>, String> {
    let connecting = timeout(PATIENCE, PgConnection::connect(url)).await;
    let mut connection = connecting
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|error| error.to_string())?;
    let found = unsafe_settings(&mut connection).await;
    let found = found.map_err(|error| error.to_string())?.into_iter().next();
    if let Some(found) = found.filter(|_| !config.allow_unsafe_postgres) {
        return Err(OpenError::Unsafe(found).to_string());
    }
    look(&mut connection, &config.cluster, config.replica, is_running)
        .await
        .map_err(|error| error.to_string())?;
    let looked = events::ask_database(&mut connection).await?;
    let _ = connection.close().await;
    Ok(looked)
}

async fn reaches(peer: &ReplicaAddress) -> Result<(), String> {
    let uri: http::Uri = peer
        .internal_url
        .parse()
        .map_err(|_| "not a URL".to_owned())?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let address = (host, uri.port_u16().unwrap_or(80));
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// The last cause says it best: `Connection refused`, not `error sending request`.
fn plain(error: &anyhow::Error) -> String {
    error.root_cause().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_thing_has_its_line_and_unreachable_peers_are_wrong() {
        let root = tempfile::tempdir().unwrap();
        let toml = format!(
            "cluster = 'c'\nreplica = 1\ndata_dir = {:?}\nauth = 'open'\n\
             public_listen = '127.0.0.1:0'\ninternal_listen = '127.0.0.1:0'\n\
             cluster_key = 'a key for tests, longer than thirty-two bytes'\n\
             [[replicas]]\nid = 1\npublic_url = 'http://127.0.0.1:1'\ninternal_url = 'http://127.0.0.1:1'\n\
             [[replicas]]\nid = 2\npublic_url = 'http://127.0.0.1:1'\ninternal_url = 'http://127.0.0.1:1'\n",
            root.path().join("data").display()
        );
        let config = Config::parse(&toml, std::iter::empty()).unwrap();

        let findings = check(&config).await;

        let lines: Vec<String> = findings.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 7, "{lines:?}");
        assert!(
            lines[..5].iter().all(|line| line.starts_with("ok")),
            "{lines:?}"
        );
        assert!(
            lines[5..]
                .iter()
                .all(|line| line.starts_with("WRONG  replica 2")),
            "{lines:?}"
        );
        assert!(!findings.are_fine());
    }
}
