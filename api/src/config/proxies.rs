//! The proxies in front of the public port.

use std::net::IpAddr;

use ipnet::IpNet;

use super::ConfigError;

const LOCAL: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Returns the networks whose `X-Forwarded-For` counts.
pub(super) fn trusted(
    behind_proxy: bool,
    networks: Option<Vec<String>>,
) -> Result<Vec<IpNet>, ConfigError> {
    let networks = match networks {
        Some(networks) if !behind_proxy && !networks.is_empty() => {
            let why = "it has a meaning only behind a proxy: write behind_proxy = true, or drop it";
            return Err(ConfigError::wrong("trusted_proxies", why));
        }
        Some(networks) => networks,
        None if behind_proxy => LOCAL.map(str::to_owned).to_vec(),
        None => Vec::new(),
    };
    networks.iter().map(|text| network(text.trim())).collect()
}

fn network(text: &str) -> Result<IpNet, ConfigError> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address).ok_or_else(|| {
        let why = format!("`{text}` is not a network such as 10.0.0.0/8 or fd00::/8");
        ConfigError::wrong("trusted_proxies", why)
    })
}
