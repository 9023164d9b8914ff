//! Validation of the settings.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use causeway_domain::ids::ReplicaId;
use causeway_replicator_core::wire::PROTOCOL;

use super::key::key;
use super::raw::{Raw, RawLimits, RawPeerTls, RawReplica, RawTls};
use super::{
    Auth, CertificateFiles, Config, ConfigError, Limits, MetricsListen, PeerTlsFiles,
    ReplicaAddress, proxies, rates,
};

/// Most characters of a cluster's name.
const MAX_CLUSTER_CHARS: usize = 64;

pub(super) fn config(raw: Raw) -> Result<Config, ConfigError> {
    let replica = required(
        "replica",
        raw.replica,
        "write this replica's number, such as replica = 1",
    )?;
    let replica = number("replica", replica)?;
    let data_dir = required(
        "data_dir",
        raw.data_dir,
        r#"write a folder, such as data_dir = "data/1""#,
    )?;
    Ok(Config {
        cluster: cluster(raw.cluster)?,
        replica,
        data_dir: folder(data_dir)?,
        database_url: raw.database_url.map(super::database::url).transpose()?,
        allow_unsafe_postgres: raw.allow_unsafe_postgres,
        clock_offset_file: raw.clock_offset_file.map(PathBuf::from),
        peer_protocol: protocol(raw.peer_protocol)?,
        public_listen: listen("public_listen", raw.public_listen, 12000)?,
        metrics_listen: match raw.metrics_listen.as_deref() {
            None => MetricsListen::Public,
            Some("off") => MetricsListen::Off,
            Some(_) => MetricsListen::At(listen("metrics_listen", raw.metrics_listen, 9464)?),
        },
        trusted_proxies: proxies::trusted(raw.behind_proxy, raw.trusted_proxies)?,
        internal_listen: listen("internal_listen", raw.internal_listen, 11000)?,
        cluster_key: key("cluster_key", raw.cluster_key, raw.cluster_key_file)?.ok_or_else(|| {
            let hint = "write the secret all replicas share, at least 32 bytes, or name its file in `cluster_key_file`";
            ConfigError::missing("cluster_key", hint)
        })?,
        previous_cluster_key: key(
            "previous_cluster_key",
            raw.previous_cluster_key,
            raw.previous_cluster_key_file,
        )?,
        tls: raw.tls.map(tls).transpose()?,
        peer_tls: raw.peer_tls.map(peer_tls).transpose()?,
        behind_proxy: raw.behind_proxy,
        auth: auth(raw.auth.as_deref())?,
        replicas: replicas(raw.replicas, replica)?,
        limits: limits(&raw.limits)?,
        warnings: Vec::new(),
    })
}

/// Nothing is served in plain text beyond this machine, and no peer is called without knowing whom.
pub(super) fn refuse_plain_text(config: &Config) -> Result<(), ConfigError> {
    let is_open = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
    let (public, internal) = (config.public_listen, config.internal_listen);
    if is_open(public) && config.tls.is_none() && !config.behind_proxy {
        let why = format!(
            "clients would be served in plain text on {public}, beyond this machine: name a \
             certificate and its key in [tls] (`causeway-server init` makes them), listen on a \
             loopback address, or write behind_proxy = true if a proxy in front encrypts"
        );
        return Err(ConfigError::wrong("public_listen", why));
    }
    if is_open(internal) && config.peer_tls.is_none() {
        let why = format!(
            "peers would be served in plain text on {internal}, beyond this machine: name ca, \
             certificate and key in [peer_tls] (`causeway-server init` makes them), or listen on a \
             loopback address"
        );
        return Err(ConfigError::wrong("internal_listen", why));
    }
    let mut replicas = config.replicas.iter().enumerate();
    let secure = replicas.find(|(_, replica)| replica.internal_url.starts_with("https:"));
    match secure {
        Some((index, _)) if config.peer_tls.is_none() => Err(ConfigError::wrong(
            format!("replicas[{index}].internal_url"),
            "over https, replicas prove their numbers by certificates: name ca, certificate and \
             key in [peer_tls], or write http://",
        )),
        _ => Ok(()),
    }
}

fn required<T>(key: &str, value: Option<T>, hint: &str) -> Result<T, ConfigError> {
    value.ok_or_else(|| ConfigError::missing(key, hint))
}

fn number(key: &str, number: i64) -> Result<ReplicaId, ConfigError> {
    let id = u16::try_from(number).ok().and_then(ReplicaId::new);
    id.ok_or_else(|| ConfigError::wrong(key, format!("{number} is not a number from 1 to 65535")))
}

fn protocol(range: Option<Vec<i64>>) -> Result<[u16; 2], ConfigError> {
    let Some(range) = range else {
        return Ok(PROTOCOL);
    };
    let versions = range.iter().map(|&version| u16::try_from(version).ok());
    match versions.collect::<Option<Vec<_>>>().as_deref() {
        Some(&[lowest, highest]) if 1 <= lowest && lowest <= highest => Ok([lowest, highest]),
        _ => {
            let why = "it has to be the lowest and the highest version, such as [1, 2]";
            Err(ConfigError::wrong("peer_protocol", why))
        }
    }
}

fn cluster(name: Option<String>) -> Result<String, ConfigError> {
    let name = required(
        "cluster",
        name,
        r#"write the cluster's name, such as cluster = "demo""#,
    )?;
    let is_name = !name.trim().is_empty()
        && name.chars().count() <= MAX_CLUSTER_CHARS
        && !name.chars().any(char::is_control);
    if is_name {
        Ok(name)
    } else {
        Err(ConfigError::wrong(
            "cluster",
            format!("a name has 1 to {MAX_CLUSTER_CHARS} printable characters"),
        ))
    }
}

fn folder(path: String) -> Result<PathBuf, ConfigError> {
    if path.is_empty() || path.contains('\0') {
        return Err(ConfigError::wrong(
            "data_dir",
            "it is not the path of a folder",
        ));
    }
    Ok(PathBuf::from(path))
}

fn listen(key: &str, address: Option<String>, port: u16) -> Result<SocketAddr, ConfigError> {
    let Some(address) = address else {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    };
    address.parse().map_err(|_| {
        let why = format!(
            "`{address}` is not an IP address and a port, such as 127.0.0.1:{port} or [::]:{port}"
        );
        ConfigError::wrong(key, why)
    })
}

fn tls(raw: RawTls) -> Result<CertificateFiles, ConfigError> {
    Ok(CertificateFiles {
        certificate: pem("tls.certificate", raw.certificate)?,
        key: pem("tls.key", raw.key)?,
    })
}

fn peer_tls(raw: RawPeerTls) -> Result<PeerTlsFiles, ConfigError> {
    Ok(PeerTlsFiles {
        ca: pem("peer_tls.ca", raw.ca)?,
        own: CertificateFiles {
            certificate: pem("peer_tls.certificate", raw.certificate)?,
            key: pem("peer_tls.key", raw.key)?,
        },
    })
}

fn pem(key: &str, path: Option<String>) -> Result<PathBuf, ConfigError> {
    let hint = "write the path of a file in the PEM format; `causeway-server init` makes them";
    let path = required(key, path, hint)?;
    if path.is_empty() || path.contains('\0') {
        return Err(ConfigError::wrong(key, "it is not the path of a file"));
    }
    Ok(PathBuf::from(path))
}

fn auth(mode: Option<&str>) -> Result<Auth, ConfigError> {
    match mode {
        Some("open") => Ok(Auth::Open),
        Some("password") => Err(ConfigError::wrong(
            "auth",
            r#"passwords are not available yet; on a network whose users trust each other write auth = "open""#,
        )),
        Some(other) => Err(ConfigError::wrong(
            "auth",
            format!(r#"`{other}` is not a mode; write auth = "open""#),
        )),
        None => Err(ConfigError::missing(
            "auth",
            r#"passwords are not available yet, so it has to say auth = "open""#,
        )),
    }
}

fn replicas(
    raw: Option<Vec<RawReplica>>,
    own: ReplicaId,
) -> Result<Vec<ReplicaAddress>, ConfigError> {
    let hint = "write a [[replicas]] table with id, public_url and internal_url for every replica, this one included";
    let raw = required("replicas", raw, hint)?;
    let mut known = Vec::with_capacity(raw.len());
    let mut ids = BTreeSet::new();
    for (index, entry) in raw.into_iter().enumerate() {
        let address = address(index, entry)?;
        if !ids.insert(address.id) {
            return Err(ConfigError::wrong(
                "replicas",
                format!("two of them have the id {}", address.id),
            ));
        }
        known.push(address);
    }
    if !ids.contains(&own) {
        let why = format!("this replica is number {own}, which is not among [[replicas]]");
        return Err(ConfigError::wrong("replica", why));
    }
    known.sort_by_key(|address| address.id);
    Ok(known)
}

fn address(index: usize, raw: RawReplica) -> Result<ReplicaAddress, ConfigError> {
    let key = |field: &str| format!("replicas[{index}].{field}");
    let id = required(&key("id"), raw.id, "write its number")?;
    let url = |field: &str, value: Option<String>| {
        let url = required(&key(field), value, "write a URL such as http://host:12000")?;
        http_url(&key(field), &url)
    };
    Ok(ReplicaAddress {
        id: number(&key("id"), id)?,
        public_url: url("public_url", raw.public_url)?,
        internal_url: url("internal_url", raw.internal_url)?,
    })
}

fn http_url(key: &str, url: &str) -> Result<String, ConfigError> {
    let parsed: Option<http::Uri> = url.parse().ok();
    let is_url = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
            && uri.authority().is_some_and(|authority| {
                let text = authority.as_str();
                !text.contains('@')
                    && !text.ends_with(':')
                    && (text.rfind(':') <= text.rfind(']') || uri.port_u16().is_some())
            })
    });
    if is_url {
        Ok(url.trim_end_matches('/').to_owned())
    } else {
        Err(ConfigError::wrong(
            key,
            format!("`{url}` is not a URL such as http://host:12000"),
        ))
    }
}

fn limits(raw: &RawLimits) -> Result<Limits, ConfigError> {
    let default = Limits::default();
    Ok(Limits {
        // At four bytes each they still fit into the largest body.
        max_text_chars: within(
            "limits.max_text_chars",
            raw.max_text_chars,
            default.max_text_chars,
            16_000,
        )?,
        max_connections: if_given(raw.max_connections, |value| {
            within("limits.max_connections", Some(value), 0, 1_000_000)
        })?,
        max_connections_per_address: if_given(raw.max_connections_per_address, |value| {
            let key = "limits.max_connections_per_address";
            within(key, Some(value), 0, 1_000_000)
        })?,
        max_waiting_writes: within(
            "limits.max_waiting_writes",
            raw.max_waiting_writes,
            default.max_waiting_writes,
            1_000_000,
        )?,
        max_calls_of_one: within(
            "limits.max_calls_of_one",
            raw.max_calls_of_one,
            default.max_calls_of_one,
            10_000,
        )?,
        max_lag_ms: lag(raw.max_lag_ms, default.max_lag_ms)?,
        min_free_disk_bytes: bytes("limits.min_free_disk_bytes", raw.min_free_disk_bytes)?,
        rates: rates::rates(raw)?,
    })
}

fn if_given<T>(
    value: Option<i64>,
    check: impl FnOnce(i64) -> Result<T, ConfigError>,
) -> Result<Option<T>, ConfigError> {
    value.map(check).transpose()
}

fn bytes(key: &str, value: Option<i64>) -> Result<Option<u64>, ConfigError> {
    let Some(value) = value else {
        return Ok(None);
    };
    let why = || ConfigError::wrong(key, format!("{value} is not a number of bytes"));
    u64::try_from(value).map(Some).map_err(|_| why())
}

fn lag(value: Option<i64>, default: u64) -> Result<u64, ConfigError> {
    let Some(value) = value else {
        return Ok(default);
    };
    u64::try_from(value)
        .ok()
        .filter(|&ms| ms == 0 || (100..=3_600_000).contains(&ms))
        .ok_or_else(|| {
            let why = format!("{value} is neither 0 nor a number from 100 to 3600000");
            ConfigError::wrong("limits.max_lag_ms", why)
        })
}

fn within(key: &str, value: Option<i64>, default: usize, max: usize) -> Result<usize, ConfigError> {
    let Some(value) = value else {
        return Ok(default);
    };
    usize::try_from(value)
        .ok()
        .filter(|value| (1..=max).contains(value))
        .ok_or_else(|| ConfigError::wrong(key, format!("{value} is not a number from 1 to {max}")))
}
