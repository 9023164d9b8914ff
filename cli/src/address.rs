//! Pure: the address of a server, as typed and as replicas publish it.
//!
//! Resolves no names and opens no connection. Used by `input` and `main` for typed addresses, and
//! by `chat` for those of a view.

/// The port of a host that is given without one.
pub const DEFAULT_PORT: u16 = 12_000;

/// The server used if none is given: the first one of `dev`.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:12001";

/// A server as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A replica's number: its address is in the last view, or follows the rule of `dev`.
    Replica(u64),
    /// An address of the form `http://host:port`, perhaps with a path.
    Address(String),
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_target(text)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Replica(number) => number.fmt(f),
            Self::Address(address) => short(address).fmt(f),
        }
    }
}

impl Target {
    /// The address; that of a number follows the rule of `dev`.
    pub fn address(&self) -> String {
        match self {
            Self::Replica(number) => by_rule(*number),
            Self::Address(address) => address.clone(),
        }
    }
}

/// Parses `host`, `host:port`, `[v6]:port`, a replica's number, or a whole `http://…` or
/// `https://…`, which may have a path.
///
/// # Errors
/// A sentence that shows the form of an address.
pub fn parse_target(text: &str) -> Result<Target, String> {
    let text = text.trim();
    if let Ok(number) = text.parse::<u64>() {
        return match number {
            1..=9_999 => Ok(Target::Replica(number)),
            _ => Err(format!("there is no replica {number}; {FORM}")),
        };
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some(_) => {
            return Err(format!(
                "an address begins with http:// or https://, or with the host alone; {FORM}"
            ));
        }
        None => ("http", text),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) if text.len() > rest.len() => rest.split_at(at),
        _ => (rest, ""),
    };
    let (host, port) = split_port(authority)?;
    if !is_host(host) {
        return Err(format!("that is not a host; {FORM}"));
    }
    let path = path.trim_end_matches('/');
    if !is_path(path) {
        return Err(format!(
            "a path has letters, digits and -._~%/ only, without ? or #; {FORM}"
        ));
    }
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_lowercase()
    };
    Ok(Target::Address(format!("{scheme}://{host}:{port}{path}")))
}

const FORM: &str =
    "a server is a host, a host with a port, or the number of a replica, as in: c 127.0.0.1:12003";

fn split_port(rest: &str) -> Result<(&str, u16), String> {
    if let Some(inner) = rest.strip_prefix('[') {
        let Some((host, after)) = inner.split_once(']') else {
            return Err(format!("a `[` needs its `]`; {FORM}"));
        };
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, port_of(port)?)),
            None if after.is_empty() => Ok((host, DEFAULT_PORT)),
            None => Err(format!("that is not a port; {FORM}")),
        };
    }
    match rest.split_once(':') {
        Some((_, after)) if after.contains(':') => Ok((rest, DEFAULT_PORT)),
        Some((host, port)) => Ok((host, port_of(port)?)),
        None => Ok((rest, DEFAULT_PORT)),
    }
}

fn port_of(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("a port is a number from 1 to 65535; {FORM}")),
    }
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && (host.parse::<std::net::Ipv6Addr>().is_ok()
            || host
                .chars()
                .all(|c| c.is_alphanumeric() || "-_.".contains(c)))
}

fn is_path(path: &str) -> bool {
    path.chars()
        .all(|c| c.is_ascii_alphanumeric() || "-._~%/".contains(c))
}

/// The address of a replica while no view is known: `dev` assigns ports by this rule.
pub fn by_rule(replica: u64) -> String {
    format!("http://127.0.0.1:{}", u64::from(DEFAULT_PORT) + replica)
}

/// An address for display, without the scheme.
pub fn short(address: &str) -> &str {
    address
        .strip_prefix("http://")
        .unwrap_or(address)
        .trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> String {
        match parse_target(text) {
            Ok(Target::Address(address)) => address,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_host_alone_gets_the_default_port() {
        assert_eq!(address("Example.org"), "http://example.org:12000");
        assert_eq!(address("127.0.0.1:12003"), "http://127.0.0.1:12003");
        assert_eq!(
            address("https://chat.example/"),
            "https://chat.example:12000"
        );
        assert_eq!(address("::1"), "http://[::1]:12000");
        assert_eq!(address("[::1]:12001"), "http://[::1]:12001");
    }

    #[test]
    fn a_whole_address_may_have_a_path() {
        assert_eq!(
            address("https://chat.example:8443/causeway/"),
            "https://chat.example:8443/causeway"
        );
        assert_eq!(address("http://[::1]:12001/a/b"), "http://[::1]:12001/a/b");
        for text in ["http://host/a?b", "http://host/#c", "http://host/a b"] {
            assert!(parse_target(text).unwrap_err().contains("a path has"));
        }
    }

    #[test]
    fn a_number_is_a_replica() {
        assert_eq!(parse_target(" 3 "), Ok(Target::Replica(3)));
        assert_eq!(by_rule(3), "http://127.0.0.1:12003");
    }

    #[test]
    fn what_is_no_server_is_told_how_one_looks() {
        for text in [
            "",
            "0",
            "a b",
            "host:0",
            "host:99999",
            "host:x",
            "ftp://host",
            "[::1",
            "123456",
            "a/b",
        ] {
            let sentence = parse_target(text).unwrap_err();
            assert!(sentence.contains("as in: c "), "{text}: {sentence}");
        }
    }

    #[test]
    fn people_read_addresses_without_the_scheme() {
        assert_eq!(short("http://127.0.0.1:12001"), "127.0.0.1:12001");
    }
}
