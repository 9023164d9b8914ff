//! The hosts that `init` is given.

use std::net::IpAddr;

use causeway_domain::ids::ReplicaId;
use causeway_replicator_core::certificate::replica_named;

use crate::failure::UserError;

/// Where a replica is.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// As URLs have it: an IPv6 address is in brackets.
    pub(super) written: String,
    /// As certificates have it.
    pub(super) name: String,
}

impl Host {
    pub(super) fn parse_all(hosts: &[String]) -> Result<Vec<Self>, UserError> {
        for host in hosts {
            let same = |other: &&String| other.eq_ignore_ascii_case(host);
            if hosts.iter().filter(same).count() > 1 {
                return Err(UserError(format!(
                    "`{host}` is named twice: every replica needs a host of its own"
                )));
            }
        }
        hosts.iter().map(|host| Self::parse(host)).collect()
    }

    pub(super) fn parse(host: &str) -> Result<Self, UserError> {
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        let is_host = format!("http://{host}:1")
            .parse::<http::Uri>()
            .is_ok_and(|uri| uri.host() == Some(host));
        if host.is_empty() || !is_host || (host.contains(':') && !is_bracketed) {
            return Err(UserError(format!(
                "`{host}` is not a host: write names or addresses without port, such as a.example,10.0.0.2,[fd00::3]"
            )));
        }
        let name = host.trim_matches(['[', ']']).to_owned();
        if replica_named(&name.to_ascii_lowercase()).is_some() {
            return Err(UserError(format!(
                "`{host}` is how certificates name a replica: choose another name for the host"
            )));
        }
        Ok(Self {
            written: host.to_owned(),
            name,
        })
    }

    /// Where its replica listens: on its address alone if that is a loopback address, otherwise
    /// everywhere, because the addresses of a name may change.
    pub(super) fn listen(&self) -> String {
        match self.name.parse::<IpAddr>() {
            Ok(own) if own.is_loopback() => self.written.clone(),
            Ok(IpAddr::V6(_)) => "[::]".to_owned(),
            Err(_) if self.is_localhost() => "127.0.0.1".to_owned(),
            _ => "0.0.0.0".to_owned(),
        }
    }

    /// Where its replica keeps its data. Several replicas on one machine may share a working directory.
    pub(super) fn data_dir(&self, replica: ReplicaId, all: &[Self]) -> String {
        let here = all.iter().filter(|host| host.is_loopback()).count();
        if self.is_loopback() && here > 1 {
            format!("data/{replica}")
        } else {
            "data".to_owned()
        }
    }

    fn is_loopback(&self) -> bool {
        let address = self.name.parse::<IpAddr>();
        self.is_localhost() || address.is_ok_and(|own| own.is_loopback())
    }

    fn is_localhost(&self) -> bool {
        self.name.eq_ignore_ascii_case("localhost")
    }
}
