//! The folder of a local cluster: a key, and for each replica its settings, log and data.

use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use causeway_postgres::{Options, PrivatePostgres};
use causeway_rig::Settings;

use super::ports::Ports;
use crate::data_folder;
use crate::failure::UserError;
use crate::init::{new_key, write_private};

/// The folder, ours alone while this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        data_folder::claim(path)?;
        let path = path.canonicalize()?;
        let lock = File::create(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::Error(error)) => Err(error.into()),
            Err(TryLockError::WouldBlock) => {
                let text = format!(
                    "another `dev` is running in `{}`: stop it, or name another folder with --data",
                    path.display()
                );
                Err(UserError(text).into())
            }
        }
    }

    /// Deletes what former runs left: the folders of replicas that carry our mark, and the key.
    pub(super) fn empty(&self) -> anyhow::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let is_numbered = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().parse::<u16>().is_ok());
            if is_numbered && data_folder::is_ours(&path) {
                PrivatePostgres::delete(&path.join("postgres"), &Options::default())?;
                fs::remove_dir_all(&path)?;
            }
        }
        match fs::remove_file(self.key()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Draws the key that all replicas share, once.
    pub(super) fn ensure_key(&self) -> anyhow::Result<()> {
        if !self.key().exists() {
            write_private(&self.key(), &format!("{}\n", new_key()?))?;
        }
        Ok(())
    }

    pub(super) fn of_replica(&self, number: u16) -> PathBuf {
        self.path.join(number.to_string())
    }

    /// Whether the replica has a database already.
    pub(super) fn has_database(&self, number: u16) -> bool {
        self.of_replica(number).join("postgres/cluster").is_dir()
    }

    /// Writes the settings of one replica.
    pub(super) fn write_settings(
        &self,
        number: u16,
        addresses: &Addresses,
    ) -> anyhow::Result<PathBuf> {
        let folder = self.of_replica(number);
        data_folder::claim(&folder)?;
        let url = |address: &SocketAddr| format!("http://{address}");
        let all = addresses.all.iter();
        let settings = Settings {
            key_file: Some(self.key()),
            listen: (
                addresses.own.public.to_string(),
                addresses.own.internal.to_string(),
            ),
            replicas: all
                .map(|(id, public, internal)| (*id, url(public), url(internal)))
                .collect(),
            ..Settings::new("dev", number, &folder, "")
        };
        let path = folder.join("causeway.toml");
        let toml = settings.toml();
        fs::write(
            &path,
            format!("# Written by `causeway-server dev` at each start.\n{toml}"),
        )?;
        Ok(path)
    }

    fn key(&self) -> PathBuf {
        self.path.join("cluster.key")
    }
}

/// Where one replica listens, and where it finds all.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) own: Ports,
    /// Number, public and internal address; the internal ones are the near ends of links.
    pub(super) all: Vec<(u16, SocketAddr, SocketAddr)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_settings_it_writes_are_accepted_and_the_key_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(&root.path().join("data")).unwrap();
        folder.ensure_key().unwrap();
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let own = Ports {
            public: local(12001),
            internal: local(11001),
        };
        let addresses = Addresses {
            own,
            all: vec![
                (1, own.public, own.internal),
                (2, local(12002), local(40000)),
            ],
        };

        let first = Config::load(&folder.write_settings(1, &addresses).unwrap()).unwrap();
        folder.ensure_key().unwrap();
        let second = Config::load(&folder.write_settings(1, &addresses).unwrap()).unwrap();

        assert_eq!(first.cluster_key, second.cluster_key);
        assert_eq!(
            first.peers().next().unwrap().internal_url,
            "http://127.0.0.1:40000"
        );
        assert_eq!(first.data_dir, folder.of_replica(1));
    }

    #[test]
    fn emptying_takes_only_what_carries_our_mark() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        for name in ["1", "2", "photos"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        data_folder::claim(&root.path().join("1")).unwrap();
        folder.ensure_key().unwrap();

        folder.empty().unwrap();

        let left = |name: &str| root.path().join(name).exists();
        assert!(!left("1") && !left("cluster.key"));
        assert!(left("2") && left("photos"));
    }

    #[test]
    fn a_second_one_in_the_same_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let _first = Folder::open(root.path()).unwrap();

        let refused = Folder::open(root.path()).unwrap_err().to_string();

        assert!(refused.contains("another `dev`"), "{refused}");
    }
}
