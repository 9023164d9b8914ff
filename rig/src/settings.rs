//! What a replica is told in its configuration file.

use std::io;
use std::path::{Path, PathBuf};

/// One replica's settings. Any value may be wrong: a test may want it so.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the cluster.
    pub cluster: String,
    /// The number of this replica.
    pub replica: u16,
    /// Its folder.
    pub data_dir: PathBuf,
    /// Its database, or nothing for a private Postgres.
    pub database_url: Option<String>,
    /// The key of the cluster.
    pub key: String,
    /// A file with the key, in the place of `key`.
    pub key_file: Option<PathBuf>,
    /// Where it listens for clients and for peers.
    pub listen: (String, String),
    /// Number, public and internal URL of every replica.
    pub replicas: Vec<(u16, String, String)>,
    /// Lines added before the tables.
    pub more: String,
    /// Tables added before the replicas.
    pub tables: String,
}

impl Settings {
    /// A replica that listens on any port and knows no other yet.
    pub fn new(cluster: &str, replica: u16, data_dir: &Path, key: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            replica,
            data_dir: data_dir.to_owned(),
            database_url: None,
            key: key.to_owned(),
            key_file: None,
            listen: ("127.0.0.1:0".into(), "127.0.0.1:0".into()),
            replicas: Vec::new(),
            more: String::new(),
            tables: String::new(),
        }
    }

    /// The text of the file. A database of its own belongs to a test: it may forget what it
    /// acknowledged when the machine loses power.
    pub fn toml(&self) -> String {
        let key = match &self.key_file {
            Some(file) => format!("cluster_key_file = {}\n", quoted(&file.to_string_lossy())),
            None => format!("cluster_key = {}\n", quoted(&self.key)),
        };
        let database = self.database_url.as_ref().map_or_else(String::new, |url| {
            let url = quoted(url);
            format!("database_url = {url}\nallow_unsafe_postgres = true\n")
        });
        let replicas = self.replicas.iter().map(|(id, public, internal)| {
            let (public, internal) = (quoted(public), quoted(internal));
            format!("\n[[replicas]]\nid = {id}\npublic_url = {public}\ninternal_url = {internal}\n")
        });
        format!(
            "cluster = {}\nreplica = {}\ndata_dir = {}\nauth = \"open\"\n\
             public_listen = {}\ninternal_listen = {}\n{key}{database}{}{}{}",
            quoted(&self.cluster),
            self.replica,
            quoted(&self.data_dir.to_string_lossy()),
            quoted(&self.listen.0),
            quoted(&self.listen.1),
            self.more,
            self.tables,
            replicas.collect::<String>(),
        )
    }

    /// Writes the file beside the data folder and returns where it is.
    pub fn write(&self) -> io::Result<PathBuf> {
        let path = self.data_dir.with_file_name("causeway.toml");
        std::fs::write(&path, self.toml())?;
        Ok(path)
    }
}

fn quoted(text: &str) -> toml::Value {
    toml::Value::String(text.to_owned())
}
