//! Which hosts a request may name.
//!
//! A page of any site can make a browser call this machine: its name may resolve to a loopback
//! address the second time it is asked for (DNS rebinding). The browser then still sends the site's
//! name, so a port that listens on a loopback address serves names of this machine only, and the one
//! under which the replica is published.

use std::net::IpAddr;

use poem::http::uri::Authority;
use poem::http::{HeaderMap, Uri, header};

use crate::problem::Problem;

/// The host of a replica's public URL, lower case.
#[derive(Clone, Debug, Default)]
pub struct PublicHost(String);

impl PublicHost {
    /// Returns the host of a URL.
    pub fn of_url(url: &str) -> Self {
        let url: Option<Uri> = url.parse().ok();
        Self(host_of(
            url.as_ref().and_then(Uri::host).unwrap_or_default(),
        ))
    }

    /// Checks the host of a request, and of its target where that is absolute.
    ///
    /// # Errors
    ///
    /// None or several hosts; on a loopback address a foreign one.
    pub(super) fn check(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        is_loopback: bool,
    ) -> Result<(), Problem> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(malformed());
        };
        let host = host.to_str().ok().and_then(authority);
        let host = host.ok_or_else(malformed)?;
        let is_served =
            |of: &Authority| !is_loopback || self.is_of_this_machine(&host_of(of.host()));
        if is_served(&host) && uri.authority().is_none_or(is_served) {
            Ok(())
        } else {
            Err(Problem::Forbidden {
                why: "This server is open to its own machine only, under a name of that machine or \
                      the one in its `public_url`.",
            })
        }
    }

    fn is_of_this_machine(&self, host: &str) -> bool {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback_address = address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback());
        let is_local_name = host == "localhost" || host.ends_with(".localhost");
        is_loopback_address || is_local_name || (!self.0.is_empty() && host == self.0)
    }
}

/// A name may end with the dot of the root.
fn host_of(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Parses a host with or without a port.
fn authority(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let port = text.strip_prefix(authority.host())?;
    let is_port = match port.strip_prefix(':') {
        Some(number) => number.is_empty() || authority.port_u16().is_some(),
        None => port.is_empty(),
    };
    (is_port && !authority.host().is_empty()).then_some(authority)
}

fn malformed() -> Problem {
    Problem::Malformed {
        why: "A request names its host in one `Host` line.".into(),
    }
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    #[test]
    fn a_loopback_port_serves_names_of_this_machine_and_its_public_one() {
        for host in [
            "localhost",
            "LOCALHOST:12001",
            "localhost.",
            "chat.localhost:80",
            "127.0.0.1",
            "127.0.0.1:12001",
            "127.1.2.3:1",
            "[::1]",
            "[::1]:12001",
            "[::ffff:127.0.0.1]:5",
            "chat.example",
            "Chat.Example:443",
            "chat.example.:",
        ] {
            assert_eq!(outcome(&[host], "/", true), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:12001",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "192.0.2.1",
            "[2001:db8::1]:12001",
            "0.0.0.0",
            "sub.chat.example",
        ] {
            assert_eq!(outcome(&[host], "/", true), 403, "{host}");
            assert_eq!(outcome(&[host], "/", false), 200, "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        for hosts in [
            &[][..],
            &["localhost", "localhost"],
            &["localhost", "evil.example"],
            &[""],
            &["a b"],
            &["user@localhost"],
            &["localhost:port"],
            &["localhost:99999"],
            &["localhost/"],
            &["[::1"],
        ] {
            for is_loopback in [true, false] {
                assert_eq!(outcome(hosts, "/", is_loopback), 400, "{hosts:?}");
            }
        }
    }

    #[test]
    fn an_absolute_target_names_the_host_too() {
        let at = |target: &str| outcome(&["localhost"], target, true);

        assert_eq!(at("http://localhost:12001/v1/server"), 200);
        assert_eq!(at("http://chat.example/v1/server"), 200);
        assert_eq!(at("http://evil.example/v1/server"), 403);
    }

    fn outcome(hosts: &[&'static str], target: &str, is_loopback: bool) -> u16 {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_static(host));
        }
        let own = PublicHost::of_url("https://Chat.Example:8443");
        let target: Uri = target.parse().unwrap();
        match own.check(&target, &headers, is_loopback) {
            Ok(()) => 200,
            Err(problem) => problem.http_status().as_u16(),
        }
    }
}
