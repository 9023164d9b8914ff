//! The configurations of a new cluster, one file for each host.

pub mod issue;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::failure::UserError;
use crate::random;

const PUBLIC_PORT: u16 = 12000;
const INTERNAL_PORT: u16 = 11000;

/// Writes `causeway-1.toml`, `causeway-2.toml`, … with one new key, readable by their owner alone.
///
/// Writes nothing where a host is not valid or one of the files exists.
pub fn init(cluster: &str, hosts: &[String], out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    for host in hosts {
        check_host(host, hosts)?;
    }
    let key = new_key()?;
    let files: Vec<(PathBuf, String)> = (1..=hosts.len())
        .map(|number| {
            (
                out.join(format!("causeway-{number}.toml")),
                configuration(cluster, number, hosts, &key),
            )
        })
        .collect();
    for (path, text) in &files {
        if path.exists() {
            return Err(UserError(format!(
                "`{}` is there already: name another folder",
                path.display()
            ))
            .into());
        }
        // Validated here, before the files are copied to other machines.
        Config::parse(text, std::iter::empty())?;
    }
    write_all(out, &files)
        .map_err(|error| UserError(format!("cannot write to `{}`: {error}", out.display())))?;
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Returns what to do with the files.
pub fn next_steps(files: &[PathBuf]) -> String {
    let mut text = String::new();
    for file in files {
        writeln!(text, "{}", file.display()).expect("writing to a String cannot fail");
    }
    text.push_str(
        "Copy each file to its host, with care: the key in it opens the cluster. There:\n",
    );
    text.push_str("  causeway-server run --config causeway-N.toml\n");
    text
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

fn check_host(host: &str, hosts: &[String]) -> Result<(), UserError> {
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let is_host = format!("http://{host}:1")
        .parse::<http::Uri>()
        .is_ok_and(|uri| uri.host() == Some(host));
    if host.is_empty() || !is_host || (host.contains(':') && !is_bracketed) {
        let text = format!(
            "`{host}` is not a host: write names or addresses without port, such as a.example,10.0.0.2,[fd00::3]"
        );
        return Err(UserError(text));
    }
    if hosts
        .iter()
        .filter(|other| other.eq_ignore_ascii_case(host))
        .count()
        > 1
    {
        return Err(UserError(format!(
            "`{host}` is named twice: every replica needs a host of its own"
        )));
    }
    Ok(())
}

fn configuration(cluster: &str, number: usize, hosts: &[String], key: &str) -> String {
    let cluster = toml::Value::String(cluster.to_owned());
    let mut text = format!(
        "# Replica {number} of {count}, on {host}. Keep this file private: its key lets the holder act as a replica.\n\
         cluster = {cluster}\n\
         replica = {number}\n\
         data_dir = \"data\"                  # a private Postgres lives here, unless database_url is set\n\
         public_listen = \"0.0.0.0:{PUBLIC_PORT}\"\n\
         internal_listen = \"0.0.0.0:{INTERNAL_PORT}\"  # for the other replicas alone: close it to everyone else\n\
         cluster_key = \"{key}\"\n\
         auth = \"open\"                      # a name is enough: for a network whose users trust each other\n",
        count = hosts.len(),
        host = hosts[number - 1],
    );
    for (index, host) in hosts.iter().enumerate() {
        write!(
            text,
            "\n[[replicas]]\nid = {}\npublic_url = \"http://{host}:{PUBLIC_PORT}\"\ninternal_url = \"http://{host}:{INTERNAL_PORT}\"\n",
            index + 1
        )
        .expect("writing to a String cannot fail");
    }
    text
}

fn write_all(out: &Path, files: &[(PathBuf, String)]) -> std::io::Result<()> {
    fs::create_dir_all(out)?;
    files
        .iter()
        .try_for_each(|(path, text)| write_private(path, text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn each_host_gets_a_private_file_that_is_accepted_and_all_share_one_new_key() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("conf");

        let written = init(
            "demo",
            &hosts(&["a.example", "10.0.0.2", "[fd00::3]"]),
            &out,
        )
        .unwrap();

        let read: Vec<Config> = written
            .iter()
            .map(|path| {
                Config::parse(&fs::read_to_string(path).unwrap(), std::iter::empty()).unwrap()
            })
            .collect();
        let numbers: Vec<u16> = read.iter().map(|config| config.replica.get()).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert!(
            read.iter()
                .all(|config| config.cluster_key == read[0].cluster_key)
        );
        assert_eq!(read[0].replicas, read[2].replicas);
        assert_eq!(
            fs::metadata(&written[0]).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_ne!(new_key().unwrap(), new_key().unwrap());
    }

    #[test]
    fn existing_files_are_never_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let two = hosts(&["a", "b"]);
        init("demo", &two, root.path()).unwrap();

        let refused = init("demo", &two, root.path()).unwrap_err().to_string();

        assert!(refused.contains("causeway-1.toml"), "{refused}");
    }

    #[test]
    fn an_invalid_host_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        for wrong in ["", "a:1", "http://a", "a b", "a/b", "x@y", "fd00::3"] {
            let refused = init("demo", &hosts(&["good", wrong]), root.path())
                .unwrap_err()
                .to_string();
            assert!(refused.contains(&format!("`{wrong}`")), "{refused}");
        }
        assert!(init("demo", &hosts(&["a", "A"]), root.path()).is_err());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    fn hosts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}
