//! New certificates for the replicas of a cluster, by its own authority.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use causeway_domain::ids::ReplicaId;

use super::hosts::Host;
use super::issue::Authority;
use super::{CA_CERTIFICATE, CA_KEY, certificates, write_all};
use crate::config::Config;
use crate::failure::UserError;

/// What [`renew`] wrote.
#[derive(Debug)]
pub struct Renewed {
    files: Vec<PathBuf>,
    has_new_authority: bool,
}

/// Issues new certificates for every replica that a configuration in this folder names. With
/// `new_authority` for a cluster that had none.
///
/// Writes nothing where the authority or a configuration cannot be read.
pub fn renew(folder: &Path, new_authority: bool, now_ms: u64) -> anyhow::Result<Renewed> {
    let (cluster, hosts) = hosts(folder)?;
    let mut files = Vec::new();
    let authority = if new_authority {
        let (authority, ca) = make_authority(folder, &cluster, now_ms)?;
        files.extend(ca);
        authority
    } else {
        read_authority(folder, &cluster)?
    };
    for (replica, host) in &hosts {
        files.extend(certificates(&authority, *replica, host, now_ms)?);
    }
    write_all(folder, &files)?;
    Ok(Renewed {
        files: files.iter().map(|(name, _)| folder.join(name)).collect(),
        has_new_authority: new_authority,
    })
}

impl Renewed {
    /// Returns what to do with the files.
    pub fn next_steps(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            writeln!(text, "{}", file.display()).expect("writing to a String cannot fail");
        }
        text.push_str(if self.has_new_authority {
            "Copy causeway-N.crt, .key, causeway-N-peer.crt, .key and ca.crt to host N, beside its \
             configuration, and add to that:\n\n\
             [tls]\ncertificate = \"causeway-N.crt\"\nkey = \"causeway-N.key\"\n\n\
             [peer_tls]\nca = \"ca.crt\"\ncertificate = \"causeway-N-peer.crt\"\n\
             key = \"causeway-N-peer.key\"\n\n\
             Keep ca.key offline: its holder can issue certificates for every replica.\n"
        } else {
            "Copy them over the former ones, on each host. Servers use them within seconds, without a \
             restart.\n"
        });
        text
    }
}

/// Returns the cluster's name, and where each replica is: as its own configuration says, or another.
fn hosts(folder: &Path) -> anyhow::Result<(String, BTreeMap<ReplicaId, Host>)> {
    let unreadable =
        |error: std::io::Error| UserError(format!("cannot read `{}`: {error}", folder.display()));
    let mut configs = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let text = fs::read_to_string(&path).map_err(unreadable)?;
            let config = Config::parse_unserved(folder, &text);
            configs.push(config.map_err(|error| {
                UserError(format!("`{}` cannot be used: {error}", path.display()))
            })?);
        }
    }
    let Some(cluster) = configs.first().map(|config| config.cluster.clone()) else {
        let text = format!(
            "`{}` holds no configuration: name the folder that `causeway-server init` wrote",
            folder.display()
        );
        return Err(UserError(text).into());
    };
    if let Some(other) = configs.iter().find(|config| config.cluster != cluster) {
        let text = format!(
            "`{}` holds configurations of two clusters, {cluster} and {}",
            folder.display(),
            other.cluster
        );
        return Err(UserError(text).into());
    }
    let of_others = configs.iter().flat_map(|config| &config.replicas);
    let own = configs.iter().map(Config::own_address);
    let mut hosts = BTreeMap::new();
    for address in of_others.chain(own) {
        let url = address.public_url.parse::<http::Uri>();
        let host = url
            .as_ref()
            .ok()
            .and_then(http::Uri::host)
            .unwrap_or_default();
        hosts.insert(address.id, Host::parse(host)?);
    }
    Ok((cluster, hosts))
}

fn make_authority(
    folder: &Path,
    cluster: &str,
    now_ms: u64,
) -> anyhow::Result<(Authority, [(String, String); 2])> {
    for name in [CA_CERTIFICATE, CA_KEY] {
        let path = folder.join(name);
        if path.exists() {
            let text = format!(
                "`{}` is there already: without --new-authority it issues the certificates",
                path.display()
            );
            return Err(UserError(text).into());
        }
    }
    let (authority, ca) = Authority::new(cluster, now_ms)?;
    let files = [
        (CA_CERTIFICATE.to_owned(), ca.certificate),
        (CA_KEY.to_owned(), ca.key),
    ];
    Ok((authority, files))
}

fn read_authority(folder: &Path, cluster: &str) -> anyhow::Result<Authority> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|error| {
            UserError(format!(
                "cannot read `{}`: {error}; put the authority's certificate and key there, or make \
                 one with --new-authority",
                path.display()
            ))
        })
    };
    let (certificate, key) = (read(CA_CERTIFICATE)?, read(CA_KEY)?);
    Authority::read(cluster, &certificate, &key).map_err(|error| {
        let folder = folder.display();
        UserError(format!(
            "`{CA_CERTIFICATE}` and `{CA_KEY}` in `{folder}` are no authority: {error}"
        ))
        .into()
    })
}
