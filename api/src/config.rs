//! Every setting of a replica: meaning, unit, default, variable, and trade-off.
//!
//! Settings come from a TOML file; each can be set or overridden by an environment variable named
//! `CAUSEWAY_` and the key in capitals (`CAUSEWAY_DATA_DIR`, `CAUSEWAY_LIMITS_MAX_TEXT_CHARS`). An
//! empty variable counts as unset; a variable that names no setting is ignored. A [`Config`] is
//! valid. Each command of the program reads it once.
//!
//! A relative path of a certificate or key in the file is relative to the folder of the file, so that
//! they can be copied and used together; in a variable, to the working directory. `data_dir` is
//! always relative to the working directory.

mod check;
mod database;
mod error;
mod key;
mod proxies;
mod rates;
mod raw;
mod secret;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use causeway_domain::ids::ReplicaId;
use causeway_domain::text::DEFAULT_MAX_TEXT_CHARS;
use ipnet::IpNet;

pub use error::ConfigError;
pub use rates::Rates;
pub use secret::{MIN_KEY_BYTES, Secret, WeakKey};

/// Most calls that one user or address runs at once, by default.
pub const DEFAULT_CALLS_OF_ONE: usize = 64;

/// The settings of one replica.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster's name, 1–64 printable characters. Replicas of clusters with other names are
    /// refused, so that a wrong address cannot mix two histories. `CAUSEWAY_CLUSTER`, no default.
    pub cluster: String,
    /// This replica's number among [`replicas`](Self::replicas), 1–65535. Of two running replicas with
    /// one number the second is refused. `CAUSEWAY_REPLICA`, no default.
    pub replica: ReplicaId,
    /// The folder of the private Postgres and of the file that proves its continuity; a relative one
    /// is relative to the working directory. Back it up together with the database or not at all.
    /// `CAUSEWAY_DATA_DIR`, no default.
    pub data_dir: PathBuf,
    /// The URL of a Postgres database that is empty or this replica's. Absent: a private Postgres in
    /// `data_dir`, which needs only the Postgres programs. `CAUSEWAY_DATABASE_URL`.
    pub database_url: Option<String>,
    /// Whether to serve on a Postgres that can lose acknowledged writes (`fsync` and the like off):
    /// faster, but a failure of the machine breaks every promise. For tests.
    /// `CAUSEWAY_ALLOW_UNSAFE_POSTGRES`, default false.
    pub allow_unsafe_postgres: bool,
    /// For tests: a file with a whole number of milliseconds by which this replica's clock is wrong.
    /// It is read several times a second, so that the clock can jump while the replica runs. A missing
    /// file counts as 0. `CAUSEWAY_CLOCK_OFFSET_FILE`, default none: the clock of the machine.
    pub clock_offset_file: Option<PathBuf>,
    /// For tests: the lowest and highest version of the peer protocol that this replica announces, so
    /// that versions can be tested against each other. `CAUSEWAY_PEER_PROTOCOL`, default: the versions
    /// it supports.
    pub peer_protocol: [u16; 2],
    /// Where clients are served, an IP address and a port (0: any free one). `0.0.0.0` opens it to
    /// the network. `CAUSEWAY_PUBLIC_LISTEN`, default `127.0.0.1:12000`.
    pub public_listen: SocketAddr,
    /// Where metrics are served: an IP address and a port, where nothing else is served and no token is
    /// needed; or `off`. Absent: `/metrics` on the public port, for anybody who reaches that.
    /// `CAUSEWAY_METRICS_LISTEN`.
    pub metrics_listen: MetricsListen,
    /// Where the other replicas are served; clients must not reach it.
    /// `CAUSEWAY_INTERNAL_LISTEN`, default `127.0.0.1:11000`.
    pub internal_listen: SocketAddr,
    /// The secret that all replicas share, at least 32 bytes: it lets its holder act as a replica and
    /// log in as anyone. One that repeats a few letters is refused. `CAUSEWAY_CLUSTER_KEY`, or the
    /// first line of the file in `cluster_key_file`, `CAUSEWAY_CLUSTER_KEY_FILE`, which only its owner
    /// and group may be able to read; no default.
    pub cluster_key: Secret,
    /// The certificate and key of the public port, `[tls] certificate` and `key`. With them it serves
    /// https only. `CAUSEWAY_TLS_CERTIFICATE` and `CAUSEWAY_TLS_KEY`, default none: http, which is
    /// refused where `public_listen` is not on loopback, unless `behind_proxy` says otherwise.
    pub tls: Option<CertificateFiles>,
    /// The authority, certificate and key of the port for peers, `[peer_tls] ca`, `certificate` and
    /// `key`. With them replicas prove their numbers to each other in both directions.
    /// `CAUSEWAY_PEER_TLS_CA`, `CAUSEWAY_PEER_TLS_CERTIFICATE` and `CAUSEWAY_PEER_TLS_KEY`, default
    /// none: plain text, which is refused where `internal_listen` is not on loopback.
    pub peer_tls: Option<PeerTlsFiles>,
    /// Whether the public port may serve plain text beyond loopback, because a proxy in front of it
    /// encrypts. Whoever can reach the port without the proxy reads and writes in plain text.
    /// The address of a client is then read from `X-Forwarded-For`, where `trusted_proxies` wrote it.
    /// `CAUSEWAY_BEHIND_PROXY`, default false.
    pub behind_proxy: bool,
    /// The networks of the proxies, such as `["10.0.0.0/8", "fd00::/8"]`. A network that others than
    /// the proxies are in lets them claim any address. `CAUSEWAY_TRUSTED_PROXIES`: the same list as
    /// JSON; default with `behind_proxy`: this machine (`["127.0.0.0/8", "::1/128"]`).
    pub trusted_proxies: Vec<IpNet>,
    /// The previous secret while the key is being rotated: still accepted, no longer used to sign. `CAUSEWAY_PREVIOUS_CLUSTER_KEY` or `CAUSEWAY_PREVIOUS_CLUSTER_KEY_FILE`.
    pub previous_cluster_key: Option<Secret>,
    /// How users authenticate. `CAUSEWAY_AUTH`, no default for now.
    pub auth: Auth,
    /// Every replica, this one included, by ascending number. Each replica may know another by an
    /// address of its own. `CAUSEWAY_REPLICAS`: the same list as JSON or as a TOML array.
    pub replicas: Vec<ReplicaAddress>,
    /// The limits of one replica.
    pub limits: Limits,
    /// What is accepted and should be changed, in sentences. No setting.
    pub warnings: Vec<String>,
}

/// Files in the PEM format. They are read at the start, and again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by those of intermediate authorities.
    pub certificate: PathBuf,
    /// Its private key, which others must not be able to read.
    pub key: PathBuf,
}

/// The files of the port for peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTlsFiles {
    /// The certificates of the authorities that issue the peers' certificates; two while one replaces
    /// the other.
    pub ca: PathBuf,
    /// This replica's own, with its number as
    /// [`certificate_name`](causeway_replicator_core::certificate::certificate_name) writes it.
    pub own: CertificateFiles,
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsListen {
    /// On the public port.
    Public,
    /// On a port of their own.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

/// How users authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A name is enough: for a network whose users trust each other.
    Open,
}

/// The addresses of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaAddress {
    /// Its number.
    pub id: ReplicaId,
    /// Where clients find it, as the view says; without a slash at the end.
    pub public_url: String,
    /// Where this replica calls it; without a slash at the end.
    pub internal_url: String,
}

/// The limits of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most Unicode scalar values in a message posted here, 1–16000. Longer ones from peers that allow
    /// more are shown. `CAUSEWAY_LIMITS_MAX_TEXT_CHARS`, default 4000.
    pub max_text_chars: usize,
    /// Most connections on the public port at once, 1–1000000, and never more than the limit of open
    /// files leaves. The next one takes the place of the one that has waited longest for a request; if
    /// all serve requests, it is refused (503 `busy`). An open stream costs some 40 kB.
    /// `CAUSEWAY_LIMITS_MAX_CONNECTIONS`, default 20000.
    pub max_connections: Option<usize>,
    /// Most connections of one address (IPv6: of one /64) on the public port at once, 1–1000000.
    /// Connections of this machine and of `trusted_proxies` are not counted. More lets more
    /// people behind one address in; less leaves more to others.
    /// `CAUSEWAY_LIMITS_MAX_CONNECTIONS_PER_ADDRESS`, default 1000, or a quarter of all connections
    /// where that is less.
    pub max_connections_per_address: Option<usize>,
    /// Most writes of one user in the write queue, 1–1000000; further ones are refused (503 `busy`).
    /// All users together have half as many again, and each gets less as the queue fills up, so one
    /// user cannot fill it. Events of peers are not counted. More survives a longer stall of the
    /// database, costs some kB each, and answers later. `CAUSEWAY_LIMITS_MAX_WAITING_WRITES`, default
    /// 4096.
    pub max_waiting_writes: usize,
    /// Most calls that one user runs at once, or one address without a token, 1–10000; an eighth of
    /// that while others are active, and open streams do not count. Further calls wait in turn, four
    /// times as many at most; beyond that they are refused (503 `busy`). More lets one user do more
    /// in parallel, and delays others more. `CAUSEWAY_LIMITS_MAX_CALLS_OF_ONE`, default 64.
    pub max_calls_of_one: usize,
    /// How far readers may be behind a message, here or at peers that are up, in milliseconds, before
    /// posts are slowed down: a little from a quarter of this on, by 500 ms at most. 0 never slows
    /// posts. Less keeps readers closer and answers posts later under the highest load.
    /// `CAUSEWAY_LIMITS_MAX_LAG_MS`, default 1000.
    pub max_lag_ms: u64,
    /// How many bytes of the disk of `data_dir` stay free: with less, writes are refused (507) until
    /// there is room again, and reading goes on. 0 disables this. More leaves more time to make room,
    /// and less for messages. The disk of a database elsewhere is not watched: there writes are
    /// refused once Postgres itself reports a full disk.
    /// `CAUSEWAY_LIMITS_MIN_FREE_DISK_BYTES`, default 256 MiB, or an eighth of a smaller disk.
    pub min_free_disk_bytes: Option<u64>,
    /// How often one user or address may call.
    pub rates: Rates,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_text_chars: DEFAULT_MAX_TEXT_CHARS,
            max_connections: None,
            max_connections_per_address: None,
            max_waiting_writes: 4_096,
            max_calls_of_one: DEFAULT_CALLS_OF_ONE,
            max_lag_ms: 1_000,
            min_free_disk_bytes: None,
            rates: Rates::default(),
        }
    }
}

impl Config {
    /// Reads a file and the environment of this process.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = Self::parse_in(folder, &text, variables)?;
        Ok(Self {
            warnings: key::warning(path, &text)
                .into_iter()
                .chain(config.database_url.as_deref().and_then(database::warning))
                .collect(),
            ..config
        })
    }

    /// Parses the text of a file in the working directory and the variables of an environment. Reads
    /// nothing else but the key files they name.
    pub fn parse(
        toml: &str,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::parse_in(Path::new(""), toml, env)
    }

    /// Parses like [`parse`](Self::parse) the text of a file in this folder.
    pub fn parse_in(
        folder: &Path,
        toml: &str,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let config = check::config(raw::read(folder, toml, env)?)?;
        check::refuse_plain_text(&config)?;
        Ok(config)
    }

    /// Parses the text of a file in this folder, for a command that serves nothing: that plain text
    /// would be served beyond this machine is no error.
    pub(crate) fn parse_unserved(folder: &Path, toml: &str) -> Result<Self, ConfigError> {
        check::config(raw::read(folder, toml, std::iter::empty())?)
    }

    /// Returns the addresses of this replica.
    pub fn own_address(&self) -> &ReplicaAddress {
        let own = self.replicas.iter().find(|known| known.id == self.replica);
        own.expect("a configuration without its own replica is refused")
    }

    /// Returns the other replicas.
    pub fn peers(&self) -> impl Iterator<Item = &ReplicaAddress> {
        self.replicas
            .iter()
            .filter(|known| known.id != self.replica)
    }
}

#[cfg(test)]
#[expect(clippy::too_many_lines, reason = "every setting in one table")]
mod tests;
