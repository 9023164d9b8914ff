//! The configurations of a new cluster, one file for each host.

mod hosts;
pub mod issue;
mod renew;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use causeway_domain::ids::ReplicaId;

use crate::config::Config;
use crate::failure::UserError;
use crate::random;

use hosts::Host;
use issue::Authority;
pub use renew::{Renewed, renew};

const PUBLIC_PORT: u16 = 12000;
const INTERNAL_PORT: u16 = 11000;

/// The certificate of the cluster's authority, which clients and replicas trust.
const CA_CERTIFICATE: &str = "ca.crt";
/// Its key, which no server needs.
const CA_KEY: &str = "ca.key";

/// What [`init`] wrote.
#[derive(Debug)]
pub struct Written {
    /// The configurations, in the order of their replicas.
    pub configurations: Vec<PathBuf>,
    folder: PathBuf,
    first_host: String,
}

/// Writes `causeway-1.toml`, `causeway-2.toml`, … with one new key, a new authority, and the
/// certificates that it issues for each host; all that is secret is readable by its owner alone.
///
/// Writes nothing where a host is not valid or one of the files exists.
pub fn init(cluster: &str, hosts: &[String], out: &Path, now_ms: u64) -> anyhow::Result<Written> {
    let hosts = Host::parse_all(hosts)?;
    let key = new_key()?;
    let (authority, ca) = Authority::new(cluster, now_ms)?;
    let mut files = vec![
        (CA_CERTIFICATE.to_owned(), ca.certificate),
        (CA_KEY.to_owned(), ca.key),
    ];
    let mut configurations = Vec::new();
    for (number, host) in numbered(&hosts)? {
        let name = format!("causeway-{number}.toml");
        let text = configuration(cluster, number, &hosts, &key);
        // Validated here, before the files are copied to other machines.
        Config::parse(&text, std::iter::empty())?;
        configurations.push(out.join(&name));
        files.push((name, text));
        files.extend(certificates(&authority, number, host, now_ms)?);
    }
    let paths = files.iter().map(|(name, _)| out.join(name));
    if let Some(path) = configurations
        .iter()
        .cloned()
        .chain(paths)
        .find(|path| path.exists())
    {
        let text = format!("`{}` is there already: name another folder", path.display());
        return Err(UserError(text).into());
    }
    write_all(out, &files)?;
    Ok(Written {
        configurations,
        folder: out.to_owned(),
        first_host: hosts[0].written.clone(),
    })
}

/// Returns what to do with the files.
pub fn next_steps(written: &Written) -> String {
    let Written {
        configurations,
        folder,
        first_host,
    } = written;
    let folder = folder.display();
    let mut text = String::new();
    for file in configurations {
        writeln!(text, "{}", file.display()).expect("writing to a String cannot fail");
    }
    let days = issue::CERTIFICATE_VALIDITY.as_secs() / (24 * 3_600);
    write!(
        text,
        "Copy to host N, into one folder and with care, because these keys open the cluster:\n\
         \x20 causeway-N.toml  causeway-N.crt  causeway-N.key  causeway-N-peer.crt  \
         causeway-N-peer.key  {CA_CERTIFICATE}\n\
         There:\n\
         \x20 causeway-server run --config causeway-N.toml\n\
         Clients trust the servers by {folder}/{CA_CERTIFICATE}, which is no secret:\n\
         \x20 causeway --server https://{first_host}:{PUBLIC_PORT} --ca {folder}/{CA_CERTIFICATE}\n\
         Keep {folder}/{CA_KEY} offline: its holder can issue certificates for every replica, and no \
         server needs it.\n\
         The certificates are valid for {days} days. With all these files in one folder again:\n\
         \x20 causeway-server renew-certificates --out {folder}\n"
    )
    .expect("writing to a String cannot fail");
    text
}

/// Issues both certificates of a replica: the names of their files, and what these hold.
fn certificates(
    authority: &Authority,
    replica: ReplicaId,
    host: &Host,
    now_ms: u64,
) -> anyhow::Result<[(String, String); 4]> {
    let public = authority.public(replica, &host.name, now_ms)?;
    let peer = authority.peer(replica, now_ms)?;
    Ok([
        (format!("causeway-{replica}.key"), public.key),
        (format!("causeway-{replica}.crt"), public.certificate),
        (format!("causeway-{replica}-peer.key"), peer.key),
        (format!("causeway-{replica}-peer.crt"), peer.certificate),
    ])
}

fn numbered(hosts: &[Host]) -> Result<Vec<(ReplicaId, &Host)>, UserError> {
    let number = |index: usize| u16::try_from(index + 1).ok().and_then(ReplicaId::new);
    hosts
        .iter()
        .enumerate()
        .map(|(index, host)| Some((number(index)?, host)))
        .collect::<Option<_>>()
        .ok_or_else(|| UserError("a cluster has at most 65535 replicas".to_owned()))
}

/// Draws a key of 32 random bytes, as 64 hexadecimal digits.
pub fn new_key() -> anyhow::Result<String> {
    Ok(hex::encode(random::bytes::<32>()?))
}

/// Writes or replaces a file that only its owner can read.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn configuration(cluster: &str, number: ReplicaId, hosts: &[Host], key: &str) -> String {
    let cluster = toml::Value::String(cluster.to_owned());
    let own = &hosts[usize::from(number.get()) - 1];
    let (listen, data_dir) = (own.listen(), own.data_dir(number, hosts));
    let mut text = format!(
        "# Replica {number} of {count}, on {host}. Keep this file private: its key lets the holder act as a replica.\n\
         cluster = {cluster}\n\
         replica = {number}\n\
         data_dir = \"{data_dir}\"                  # a private Postgres lives here, unless database_url is set\n\
         public_listen = \"{listen}:{PUBLIC_PORT}\"\n\
         internal_listen = \"{listen}:{INTERNAL_PORT}\"  # for the other replicas alone: close it to everyone else\n\
         cluster_key = \"{key}\"\n\
         auth = \"open\"                      # a name is enough: for a network whose users trust each other\n\
         \n\
         # Files beside this one. Servers use them within seconds of being replaced.\n\
         [tls]\n\
         certificate = \"causeway-{number}.crt\"\n\
         key = \"causeway-{number}.key\"\n\
         \n\
         [peer_tls]\n\
         ca = \"{CA_CERTIFICATE}\"\n\
         certificate = \"causeway-{number}-peer.crt\"\n\
         key = \"causeway-{number}-peer.key\"\n",
        count = hosts.len(),
        host = own.written,
    );
    for (index, Host { written, .. }) in hosts.iter().enumerate() {
        write!(
            text,
            "\n[[replicas]]\nid = {}\npublic_url = \"https://{written}:{PUBLIC_PORT}\"\ninternal_url = \"https://{written}:{INTERNAL_PORT}\"\n",
            index + 1
        )
        .expect("writing to a String cannot fail");
    }
    text
}

fn write_all(out: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    let write = || {
        fs::create_dir_all(out)?;
        for (name, text) in files {
            let path = out.join(name);
            if path.extension().is_some_and(|extension| extension == "crt") {
                fs::write(path, text)?;
            } else {
                write_private(&path, text)?;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    write()
        .map_err(|error| UserError(format!("cannot write to `{}`: {error}", out.display())).into())
}

#[cfg(test)]
mod tests;
