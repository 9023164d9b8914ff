//! What a replica is told in its configuration file.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The key of every cluster here that does not ask for another one.
const KEY: &str = "a key for tests, longer than thirty-two bytes";

/// One replica's settings; every value can be made wrong on purpose.
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
    /// Number, public and internal URL of every replica.
    pub replicas: Vec<(u16, String, String)>,
    /// Lines added before the replicas.
    pub more: String,
}

impl Settings {
    /// Replica 1 of a cluster of one, with everything under a folder.
    pub fn alone(folder: &Path) -> Self {
        Self {
            cluster: "it".into(),
            replica: 1,
            data_dir: folder.join("data"),
            database_url: None,
            key: KEY.into(),
            replicas: vec![(
                1,
                "http://127.0.0.1:12001".into(),
                "http://127.0.0.1:11001".into(),
            )],
            more: String::new(),
        }
    }

    /// The text of the file. The database of these tests may forget what it acknowledged when
    /// the machine loses power, so the server has to be told that this is all right.
    pub fn toml(&self) -> String {
        let mut toml = format!(
            "cluster = {:?}\nreplica = {}\ndata_dir = \"{}\"\ncluster_key = {:?}\nauth = \"open\"\n\
             public_listen = \"127.0.0.1:0\"\ninternal_listen = \"127.0.0.1:0\"\n",
            self.cluster,
            self.replica,
            self.data_dir.display(),
            self.key
        );
        if let Some(url) = &self.database_url {
            write!(
                toml,
                "database_url = {url:?}\nallow_unsafe_postgres = true\n"
            )
            .expect("memory");
        }
        toml += &self.more;
        for (id, public_url, internal_url) in &self.replicas {
            write!(
                toml,
                "\n[[replicas]]\nid = {id}\npublic_url = {public_url:?}\n\
                 internal_url = {internal_url:?}\n"
            )
            .expect("memory");
        }
        toml
    }

    /// Writes the file into the folder of the data and returns where it is.
    pub fn write(&self) -> PathBuf {
        let folder = self
            .data_dir
            .parent()
            .expect("the data folder lies in another");
        let path = folder.join("causeway.toml");
        std::fs::write(&path, self.toml()).expect("a file can be written");
        path
    }
}
