//! `check`: finds what is wrong with a replica's settings, database and peers, without starting it.

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
use causeway_store::log::{Advice, OpenError, connect_read_only, look, survey, unsafe_settings};
use sqlx::Connection as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bodies::rfc3339;
use crate::clock::wall_clock;
use crate::config::{Config, MetricsListen, ReplicaAddress};
use crate::failure::listen;
use crate::probe::Probe;
use crate::tls::Certificates;
use crate::{database, offline};

use events::EventCheck;

const TIMEOUT: Duration = Duration::from_secs(3);

/// What was checked, one line each.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

#[derive(Debug)]
struct Finding {
    subject: String,
    problem: Option<String>,
    /// Whether a start accepts it all the same.
    is_advice: bool,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn are_fine(&self) -> bool {
        self.0
            .iter()
            .all(|finding| finding.problem.is_none() || finding.is_advice)
    }

    fn add<E: fmt::Display>(&mut self, subject: impl Into<String>, outcome: Result<(), E>) {
        self.0.push(Finding {
            subject: subject.into(),
            problem: outcome.err().map(|error| error.to_string()),
            is_advice: false,
        });
    }

    /// Adds what works and should be changed.
    fn advise(&mut self, subject: impl Into<String>, advice: impl fmt::Display) {
        self.0.push(Finding {
            subject: subject.into(),
            problem: Some(advice.to_string()),
            is_advice: true,
        });
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            match &finding.problem {
                None => writeln!(f, "ok     {}", finding.subject)?,
                Some(problem) if finding.is_advice => {
                    writeln!(f, "advice {}: {problem}", finding.subject)?;
                }
                Some(problem) => writeln!(f, "WRONG  {}: {problem}", finding.subject)?,
            }
        }
        Ok(())
    }
}

/// Checks everything that a start needs. The settings themselves are valid: they have been read.
pub async fn check(config: &Config) -> Findings {
    let mut findings = Findings::default();
    findings.add("settings", Ok::<_, String>(()));
    for warning in &config.warnings {
        findings.advise("settings", warning);
    }
    let folder = format!("data folder {}", config.data_dir.display());
    findings.add(folder, database::look(config));

    check_certificates(&mut findings, config);

    let ca = config.peer_tls.as_ref().map(|files| &*files.ca);
    let probe = Probe::new(ca);
    let running = match &probe {
        Ok(probe) if is_running(config, probe).await => Some(probe),
        _ => None,
    };
    check_database(&mut findings, config, running).await;
    check_ports(&mut findings, config, running.is_some()).await;
    check_peers(
        &mut findings,
        config,
        probe.as_ref().ok(),
        running.is_some(),
    )
    .await;
    findings
}

/// Checks the certificates, where there are any.
fn check_certificates(findings: &mut Findings, config: &Config) {
    let now_ms = wall_clock(config.clock_offset_file.as_deref())();
    let certificates = match Certificates::open(config, now_ms) {
        Ok(certificates) => certificates,
        Err(error) => return findings.add("certificates", Err(error)),
    };
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    for (port, certificate) in certificates.by_port() {
        let identity = certificate.identity();
        let until = rfc3339(identity.not_after_ms);
        let expiry = identity.expiry(port, now_ms).map_or(Ok(()), Err);
        findings.add(
            format!("certificate of the {port} port, until {until}"),
            expiry,
        );
    }
    if let Some(certificate) = &certificates.public {
        let url = &config.own_address().public_url;
        let host = certificate.is_not_for(url);
        let outcome = host.map_or(Ok(()), |host| {
            Err(format!("it is not for the host `{host}`"))
        });
        findings.add(format!("certificate for {url}"), outcome);
    }
}

/// Whether this replica is running now. Another program may answer at its public address; the replica
/// itself holds the port as well.
async fn is_running(config: &Config, probe: &Probe) -> bool {
    let url = &config.own_address().public_url;
    probe.is_alive(url).await.is_ok()
        && listen("public_listen", config.public_listen).await.is_err()
}

async fn check_database(findings: &mut Findings, config: &Config, running: Option<&Probe>) {
    let mut events = Vec::new();
    match &config.database_url {
        None => findings.add("Postgres programs", Programs::find().map(drop)),
        Some(url) => {
            let found = ask_database(config, url, running.is_some()).await;
            findings.add("database", found.as_ref().map(drop));
            let (found, advice) = found.unwrap_or_default();
            for advice in advice {
                findings.advise("database", advice);
            }
            events = found;
        }
    }
    if let Some(probe) = running {
        events = events::ask_replica(probe, &config.own_address().public_url).await;
    }
    for (subject, outcome) in events {
        findings.add(subject, outcome);
    }
}

async fn check_ports(findings: &mut Findings, config: &Config, is_running: bool) {
    let mut ports = vec![
        ("public_listen", config.public_listen),
        ("internal_listen", config.internal_listen),
    ];
    if let MetricsListen::At(address) = config.metrics_listen {
        ports.push(("metrics_listen", address));
    }
    for (key, address) in ports {
        // A running replica has its own ports.
        let bound = if is_running {
            Ok(())
        } else {
            listen(key, address).await.map(drop)
        };
        findings.add(format!("{key} {address}"), bound);
    }
}

async fn check_peers(
    findings: &mut Findings,
    config: &Config,
    probe: Option<&Probe>,
    is_running: bool,
) {
    let calls = PeerCalls::new(config);
    for peer in config.peers() {
        if let Some(probe) = probe {
            let alive = probe.is_alive(&peer.public_url).await;
            findings.add(
                format!("replica {} for clients, {}", peer.id, peer.public_url),
                alive.map_err(|error| innermost(&error)),
            );
        }
        // A running replica calls its peers every second and raises an alarm when it is refused.
        let called = match &calls {
            Ok(calls) if !is_running => calls.call(peer.id).await,
            Ok(_) => connect(peer).await,
            Err(failure) => Err(failure.to_string()),
        };
        findings.add(
            format!("replica {} for peers, {}", peer.id, peer.internal_url),
            called,
        );
    }
}

/// Asks peers what a start asks them, as the configured replica.
struct PeerCalls {
    caller: Caller,
    links: BTreeMap<ReplicaId, HttpLink>,
    clocks: Arc<Clocks>,
}

impl PeerCalls {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let (caller, links) = offline::links(config)?;
        Ok(Self {
            caller,
            links,
            clocks: offline::clocks(config),
        })
    }

    async fn call(&self, peer: ReplicaId) -> Result<(), String> {
        let link = self.links.get(&peer).ok_or("it has no address")?;
        let answer = inquiry::ask_one(peer, link, &self.caller, self.clocks.now(), TIMEOUT);
        answer
            .await
            .map(drop)
            .map_err(|failure| failure.to_string())
    }
}

/// Connects to the database, checks its settings, and looks for events that need an operator.
async fn ask_database(
    config: &Config,
    url: &str,
    is_running: bool,
) -> Result<(Vec<EventCheck>, Vec<Advice>), String> {
    let connecting = connect_read_only(url).await;
    let mut connection = connecting.map_err(|error| error.to_string())?;
    let settings = unsafe_settings(&mut connection).await;
    let settings = settings.map_err(|error| error.to_string())?;
    if let Some(found) = settings.into_iter().next()
        && !config.allow_unsafe_postgres
    {
        return Err(OpenError::Unsafe(found).to_string());
    }
    look(&mut connection, &config.cluster, config.replica, is_running)
        .await
        .map_err(|error| error.to_string())?;
    let events = events::ask_database(&mut connection).await?;
    let advice = survey(&mut connection).await;
    let advice = advice.map_err(|error| error.to_string())?;
    let _ = connection.close().await;
    Ok((events, advice))
}

async fn connect(peer: &ReplicaAddress) -> Result<(), String> {
    let uri: http::Uri = peer
        .internal_url
        .parse()
        .map_err(|_| "not a URL".to_owned())?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let usual_port = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let address = (host, uri.port_u16().unwrap_or(usual_port));
    match timeout(TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// Returns the innermost cause, which says most: `Connection refused`, not `error sending request`.
fn innermost(error: &anyhow::Error) -> String {
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
