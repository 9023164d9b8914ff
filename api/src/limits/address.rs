//! The address of a client, also behind proxies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use poem::Request;
use poem::http::{HeaderMap, HeaderName};
use poem::web::RemoteAddr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client of a request, as far as this replica can know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientAddress(pub IpAddr);

/// The proxies whose `X-Forwarded-For` counts.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl ClientAddress {
    /// Returns what is counted as one client: an IPv4 address, or the network of an IPv6 address, since
    /// a host has 2^64 of those.
    #[must_use]
    pub fn network(self) -> Self {
        match self.0 {
            IpAddr::V4(_) => self,
            IpAddr::V6(address) => {
                Self(Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into())
            }
        }
    }
}

impl TrustedProxies {
    /// Trusts the proxies in these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Returns the address of the client of a request.
    pub fn client_of(&self, request: &Request) -> ClientAddress {
        let RemoteAddr(peer) = request.remote_addr();
        let peer = peer.as_socket_addr().map(SocketAddr::ip);
        // A connection without an address of the internet is a local one.
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        self.client(peer, request.headers())
    }

    /// Returns the right-most forwarded address that is not of a trusted proxy, if the peer of the
    /// connection is one: a proxy appends the address it was called from, and whatever stands before
    /// was written by that caller. Where a proxy wrote something else, it is the client itself.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let mut client = peer.to_canonical();
        for line in headers.get_all(FORWARDED_FOR).iter().rev() {
            let line = String::from_utf8_lossy(line.as_bytes());
            for entry in line.rsplit(',') {
                if !self.trusts(client) {
                    return ClientAddress(client);
                }
                let Some(forwarded) = parse(entry) else {
                    return ClientAddress(client);
                };
                client = forwarded;
            }
        }
        ClientAddress(client)
    }

    /// Whether this is the address of a proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Parses an entry: an address, with or without a port and brackets.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let address: Option<IpAddr> = entry.parse().ok().or_else(in_brackets).or_else(with_port);
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    /// The client of a connection from `peer` with these lines of `X-Forwarded-For`.
    fn client(peer: &str, lines: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let proxies = TrustedProxies::new(networks.to_vec());
        proxies
            .client(peer.parse().unwrap(), &headers)
            .0
            .to_string()
    }

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
        assert_eq!(client(PROXY, &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(PROXY, &["203.0.113.7, 10.0.0.2"]), "203.0.113.7");
        assert_eq!(
            client(PROXY, &["203.0.113.7", "10.9.9.9,10.0.0.2"]),
            "203.0.113.7"
        );
        assert_eq!(client("fd00::1", &["2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn what_a_client_writes_itself_does_not_count() {
        assert_eq!(client(PROXY, &["1.1.1.1, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(PROXY, &["10.0.0.5, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(PROXY, &["1.1.1.1", "203.0.113.7"]), "203.0.113.7");
        assert_eq!(
            client("203.0.113.9", &["1.1.1.1"]),
            "203.0.113.9",
            "no proxy"
        );
        assert_eq!(
            client("203.0.113.9", &["10.0.0.1"]),
            "203.0.113.9",
            "no proxy"
        );
    }

    #[test]
    fn junk_makes_the_proxy_that_wrote_it_the_client() {
        for junk in [
            "unknown",
            "",
            "1.2.3",
            "_hidden",
            "1.2.3.4.5",
            "300.1.1.1",
            "\u{9}",
            ",,",
        ] {
            assert_eq!(client(PROXY, &[junk]), PROXY, "{junk:?}");
        }
        assert_eq!(client(PROXY, &["203.0.113.7, junk, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client(PROXY, &[]), PROXY);
        assert_eq!(
            client(PROXY, &["10.0.0.3, 10.0.0.2"]),
            "10.0.0.3",
            "all trusted"
        );
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_are_understood() {
        assert_eq!(client(PROXY, &["203.0.113.7:4711"]), "203.0.113.7");
        assert_eq!(client(PROXY, &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client(PROXY, &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(client(PROXY, &["::ffff:203.0.113.7"]), "203.0.113.7");
        assert_eq!(client("::ffff:10.0.0.1", &["203.0.113.7"]), "203.0.113.7");
    }

    #[test]
    fn the_addresses_of_an_ipv6_host_count_as_one() {
        let network = |text: &str| ClientAddress(text.parse().unwrap()).network();

        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
    }
}
