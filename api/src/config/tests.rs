mod keys;
mod tls;

use std::num::NonZeroU32;

use super::*;

const GOOD: &str = r#"
cluster = "demo"
replica = 2
data_dir = "data/2"
public_listen = "127.0.0.1:12002"
internal_listen = "[::1]:11002"
cluster_key = "0123456789abcdef0123456789abcdef"
auth = "open"
[[replicas]]
id = 2
public_url = "http://127.0.0.1:12002/"
internal_url = "http://127.0.0.1:11002"
[[replicas]]
id = 1
public_url = "https://chat.example"
internal_url = "http://one:11001"
"#;

#[test]
fn the_file_of_the_documentation_is_read() {
    let config = parse(GOOD).unwrap();

    assert_eq!(config.cluster, "demo");
    assert_eq!(config.replica.get(), 2);
    assert_eq!(config.internal_listen.to_string(), "[::1]:11002");
    assert_eq!(config.cluster_key.bytes().len(), 32);
    let ids: Vec<u16> = config.replicas.iter().map(|known| known.id.get()).collect();
    assert_eq!(ids, [1, 2]);
    assert_eq!(config.own_address().public_url, "http://127.0.0.1:12002");
    assert_eq!(config.peers().count(), 1);
    assert_eq!(config.limits, Limits::default());
    assert!(!config.allow_unsafe_postgres);
    assert_eq!(config.clock_offset_file, None);
    assert_eq!(config.peer_protocol, [2, 2]);
}

#[test]
fn every_setting_can_come_from_the_environment() {
    let list = r#"[{"id":3,"public_url":"http://a:1","internal_url":"http://a:2"}]"#;
    let variables = [
        ("CAUSEWAY_CLUSTER", "env"),
        ("CAUSEWAY_REPLICA", "3"),
        ("CAUSEWAY_DATA_DIR", "/d"),
        ("CAUSEWAY_DATABASE_URL", "postgres://u@h/d"),
        ("CAUSEWAY_ALLOW_UNSAFE_POSTGRES", "true"),
        ("CAUSEWAY_CLOCK_OFFSET_FILE", "/d/offset"),
        ("CAUSEWAY_PEER_PROTOCOL", "[1, 2]"),
        ("CAUSEWAY_PUBLIC_LISTEN", "0.0.0.0:1"),
        ("CAUSEWAY_INTERNAL_LISTEN", "0.0.0.0:2"),
        ("CAUSEWAY_METRICS_LISTEN", "127.0.0.1:3"),
        (
            "CAUSEWAY_CLUSTER_KEY",
            "an environment key of more than 32 bytes",
        ),
        (
            "CAUSEWAY_PREVIOUS_CLUSTER_KEY",
            "a former one that has at least 32 bytes",
        ),
        ("CAUSEWAY_TLS_CERTIFICATE", "own.crt"),
        ("CAUSEWAY_TLS_KEY", "own.key"),
        ("CAUSEWAY_PEER_TLS_CA", "/c/ca.crt"),
        ("CAUSEWAY_PEER_TLS_CERTIFICATE", "/c/peer.crt"),
        ("CAUSEWAY_PEER_TLS_KEY", "/c/peer.key"),
        ("CAUSEWAY_AUTH", "open"),
        ("CAUSEWAY_REPLICAS", list),
        ("CAUSEWAY_LIMITS_MAX_TEXT_CHARS", "80"),
        ("CAUSEWAY_LIMITS_MAX_CONNECTIONS", "7"),
        ("CAUSEWAY_LIMITS_MAX_CONNECTIONS_PER_ADDRESS", "6"),
        ("CAUSEWAY_LIMITS_MAX_WAITING_WRITES", "9"),
        ("CAUSEWAY_LIMITS_MAX_CALLS_OF_ONE", "5"),
        ("CAUSEWAY_LIMITS_MAX_LAG_MS", "250"),
        ("CAUSEWAY_LIMITS_MIN_FREE_DISK_BYTES", "0"),
        ("CAUSEWAY_LIMITS_WRITES_PER_SECOND", "10"),
        ("CAUSEWAY_LIMITS_READS_PER_SECOND", "11"),
        ("CAUSEWAY_LIMITS_LOGINS_PER_MINUTE", "12"),
        ("CAUSEWAY_LIMITS_NEW_GROUPS_PER_HOUR", "13"),
        ("CAUSEWAY_LIMITS_REQUESTS_PER_SECOND", "0"),
        ("CAUSEWAY_BEHIND_PROXY", "true"),
        ("CAUSEWAY_TRUSTED_PROXIES", r#"["10.0.0.0/8", "::1"]"#),
        ("CAUSEWAY_LOG", "debug"),
        ("CAUSEWAY_SOMETHING_ELSE", "is not ours"),
    ];

    let config = parse_with("", &variables).unwrap();

    assert_eq!((config.cluster.as_str(), config.replica.get()), ("env", 3));
    assert_eq!(config.data_dir, Path::new("/d"));
    assert_eq!(config.database_url.as_deref(), Some("postgres://u@h/d"));
    assert!(config.allow_unsafe_postgres);
    assert_eq!(config.peer_protocol, [1, 2]);
    assert_eq!(
        config.clock_offset_file.as_deref(),
        Some(Path::new("/d/offset"))
    );
    assert_eq!(config.public_listen.to_string(), "0.0.0.0:1");
    assert_eq!(config.internal_listen.to_string(), "0.0.0.0:2");
    let metrics = MetricsListen::At("127.0.0.1:3".parse().unwrap());
    assert_eq!(config.metrics_listen, metrics);
    assert!(config.cluster_key.bytes().starts_with(b"an env"));
    assert!(
        config
            .previous_cluster_key
            .unwrap()
            .bytes()
            .starts_with(b"a former")
    );
    let files = |certificate: &str, key: &str| CertificateFiles {
        certificate: certificate.into(),
        key: key.into(),
    };
    assert_eq!(config.tls, Some(files("own.crt", "own.key")));
    let peer_tls = PeerTlsFiles {
        ca: "/c/ca.crt".into(),
        own: files("/c/peer.crt", "/c/peer.key"),
    };
    assert_eq!(config.peer_tls, Some(peer_tls));
    assert!(config.behind_proxy);
    assert_eq!(config.replicas[0].internal_url, "http://a:2");
    assert_eq!(
        config.limits,
        Limits {
            max_text_chars: 80,
            max_connections: Some(7),
            max_connections_per_address: Some(6),
            max_waiting_writes: 9,
            max_calls_of_one: 5,
            max_lag_ms: 250,
            min_free_disk_bytes: Some(0),
            rates: Rates {
                writes_per_second: NonZeroU32::new(10),
                reads_per_second: NonZeroU32::new(11),
                logins_per_minute: NonZeroU32::new(12),
                new_groups_per_hour: NonZeroU32::new(13),
                requests_per_second: None,
            },
        }
    );
    assert!(config.behind_proxy);
    let networks: Vec<String> = config
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
}

#[test]
fn proxies_are_trusted_only_where_one_is_in_front() {
    let trusted = |line: &str| {
        let config = parse_with(&format!("{line}\n{GOOD}"), &[])?;
        Ok::<_, ConfigError>(config.trusted_proxies.len())
    };
    let refusal = |line: &str| trusted(line).unwrap_err().to_string();

    assert_eq!(trusted("").unwrap(), 0);
    assert_eq!(trusted("behind_proxy = true").unwrap(), 2, "this machine");
    assert_eq!(
        trusted("behind_proxy = true\ntrusted_proxies = []").unwrap(),
        0
    );
    assert!(refusal(r#"trusted_proxies = ["10.0.0.0/8"]"#).contains("behind_proxy"));
    let junk = "behind_proxy = true\ntrusted_proxies = [\"10.0.0.0/99\"]";
    assert!(refusal(junk).contains("10.0.0.0/99"));
}

#[test]
fn replicas_can_be_a_toml_array_in_the_environment() {
    let list = r#"[{id = 2, public_url = "http://a:1", internal_url = "http://a:2"}]"#;

    let config = parse_with(GOOD, &[("CAUSEWAY_REPLICAS", list)]).unwrap();

    assert_eq!(config.replicas.len(), 1);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    assert_eq!(
        parse_with(GOOD, &[("CAUSEWAY_CLUSTER", "")])
            .unwrap()
            .cluster,
        "demo"
    );
}

#[test]
fn each_missing_setting_is_named() {
    for key in ["cluster", "replica", "data_dir", "cluster_key", "auth"] {
        let without: Vec<&str> = GOOD
            .lines()
            .filter(|line| !line.starts_with(&format!("{key} =")))
            .collect();
        refused(&without.join("\n"), key);
    }
    refused(GOOD.split("[[").next().unwrap(), "replicas");
    refused(&GOOD.replacen("id = 2\n", "", 1), "replicas[0].id");
}

#[test]
fn each_wrong_setting_is_named() {
    for (right, wrong, key) in [
        (r#"cluster = "demo""#, "cluster = 5", "cluster"),
        (r#"cluster = "demo""#, r#"cluster = """#, "cluster"),
        ("replica = 2", "replica = 0", "replica"),
        ("replica = 2", "replica = 70000", "replica"),
        ("replica = 2", r#"replica = "two""#, "replica"),
        ("replica = 2", "replica = 3", "replica"),
        ("127.0.0.1:12002\"\ni", "localhost\"\ni", "public_listen"),
        ("[::1]:11002", "[::1]:110020", "internal_listen"),
        (
            "0123456789abcdef0123456789abcdef",
            "too short",
            "cluster_key",
        ),
        (r#"auth = "open""#, r#"auth = "password""#, "auth"),
        (r#"auth = "open""#, r#"auth = "closed""#, "auth"),
        ("id = 1", "id = 2", "replicas"),
        ("id = 1", "id = -1", "replicas[1].id"),
        ("http://one:11001", "one:11001", "replicas[1].internal_url"),
        (
            "https://chat.example",
            "ftp://chat.example",
            "replicas[1].public_url",
        ),
        (
            "https://chat.example",
            "http://chat.example:99999",
            "replicas[1].public_url",
        ),
        ("https://chat.example", "http://", "replicas[1].public_url"),
        (
            r#"auth = "open""#,
            "auth = \"open\"\ndatabase_url = \"mysql://x/y\"",
            "database_url",
        ),
        (
            r#"auth = "open""#,
            "auth = \"open\"\nlimits = {max_text_chars = 0}",
            "limits.max_text_chars",
        ),
        (
            r#"auth = "open""#,
            "auth = \"open\"\nlimits = {max_connections = \"x\"}",
            "limits.max_connections",
        ),
        (
            r#"auth = "open""#,
            "auth = \"open\"\nlimits = {max_connections_per_address = 0}",
            "limits.max_connections_per_address",
        ),
        (
            r#"auth = "open""#,
            "auth = \"open\"\nmetrics_listen = \"on\"",
            "metrics_listen",
        ),
        (
            r#"auth = "open""#,
            "auth = \"open\"\nlimits = {min_free_disk_bytes = -1}",
            "limits.min_free_disk_bytes",
        ),
        (
            r#"auth = "open""#,
            "auth = \"open\"\nallow_unsafe_postgres = \"yes\"",
            "allow_unsafe_postgres",
        ),
        (
            r#"auth = "open""#,
            "auth = \"open\"\ncluster_key_file = \"x\"",
            "cluster_key",
        ),
    ] {
        let toml = GOOD.replacen(right, wrong, 1);
        assert_ne!(toml, GOOD, "{right} is not there");
        refused(&toml, key);
    }
}

#[test]
fn a_wrong_variable_is_named_with_its_setting() {
    for (name, value) in [
        ("CAUSEWAY_REPLICA", "one"),
        ("CAUSEWAY_REPLICAS", "[{"),
        ("CAUSEWAY_ALLOW_UNSAFE_POSTGRES", "1"),
    ] {
        let error = parse_with(GOOD, &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn what_was_written_is_quoted_in_one_line() {
    let url = r#"public_url = "http:\n\u001b[2J//a""#;
    for toml in [
        GOOD.replacen("public_url = \"https://chat.example\"", url, 1),
        format!("\"a\\nb\" = 1\n{GOOD}"),
    ] {
        assert_ne!(toml, GOOD);
        let error = parse(&toml).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error}");
        assert!(error.contains("\\n"), "{error}");
    }
}

#[test]
fn unknown_settings_are_named_with_their_table() {
    for (toml, key) in [
        (format!("colour = 1\n{GOOD}"), "colour"),
        (format!("{GOOD}\nweight = 1"), "replicas[1].weight"),
        (format!("{GOOD}\n[limits]\nmax_cats = 1"), "limits.max_cats"),
    ] {
        let error = refused(&toml, key);
        assert!(error.contains("there is no setting"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    let error = parse("cluster = \"demo\"\nreplica = = 1")
        .unwrap_err()
        .to_string();

    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nowhere/causeway.toml"))
        .unwrap_err()
        .to_string();

    assert!(error.contains("/nowhere/causeway.toml"), "{error}");
}

fn parse(toml: &str) -> Result<Config, ConfigError> {
    parse_with(toml, &[])
}

fn parse_with(toml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let owned = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(toml, owned)
}

#[track_caller]
fn refused(toml: &str, key: &str) -> String {
    let error = parse(toml).unwrap_err().to_string();
    assert!(
        error.contains(&format!("`{key}`")),
        "{key} is not named: {error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}
