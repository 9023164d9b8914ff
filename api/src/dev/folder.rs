//! The folder of a local cluster: a key, and for each replica its settings, log and data.

use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use causeway_domain::ids::ReplicaId;
use causeway_postgres::{Options, PrivatePostgres};
use causeway_rig::Settings;

use super::ports::Ports;
use crate::data_folder;
use crate::failure::UserError;
use crate::init::issue::Authority;
use crate::init::{new_key, write_private};

/// Where [`Folder::certificates`] writes, as a replica's settings name it.
const TLS: &str = "
[tls]
certificate = \"public.crt\"
key = \"public.key\"

[peer_tls]
ca = \"../ca.crt\"
certificate = \"peer.crt\"
key = \"peer.key\"
";

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
        for name in ["cluster.key", "ca.key", "ca.crt"] {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        Ok(())
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

    /// Issues certificates for this many replicas, of one authority that is made once and kept, and
    /// returns where its certificate is.
    pub(super) fn certificates(&self, replicas: u16, now_ms: u64) -> anyhow::Result<PathBuf> {
        let (certificate, key) = (self.path.join("ca.crt"), self.path.join("ca.key"));
        if !key.exists() {
            let (_, ca) = Authority::new("dev", now_ms)?;
            fs::write(&certificate, ca.certificate)?;
            write_private(&key, &ca.key)?;
        }
        let [ca, ca_key] = [&certificate, &key].map(fs::read_to_string);
        let authority = Authority::read("dev", &ca?, &ca_key?)?;
        for replica in (1..=replicas).filter_map(ReplicaId::new) {
            let folder = self.of_replica(replica.get());
            data_folder::claim(&folder)?;
            for (name, pair) in [
                ("public", authority.public(replica, "127.0.0.1", now_ms)?),
                ("peer", authority.peer(replica, now_ms)?),
            ] {
                write_private(&folder.join(format!("{name}.key")), &pair.key)?;
                fs::write(folder.join(format!("{name}.crt")), pair.certificate)?;
            }
        }
        Ok(certificate)
    }

    /// Writes the settings of one replica.
    pub(super) fn write_settings(
        &self,
        number: u16,
        addresses: &Addresses,
        tls: bool,
    ) -> anyhow::Result<PathBuf> {
        let folder = self.of_replica(number);
        data_folder::claim(&folder)?;
        let scheme = if tls { "https" } else { "http" };
        let url = |address: &SocketAddr| format!("{scheme}://{address}");
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
            tables: if tls { TLS.to_owned() } else { String::new() },
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
    use crate::tls::Certificates;

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

        let first = Config::load(&folder.write_settings(1, &addresses, false).unwrap()).unwrap();
        folder.ensure_key().unwrap();
        let second = Config::load(&folder.write_settings(1, &addresses, false).unwrap()).unwrap();

        assert_eq!(first.cluster_key, second.cluster_key);
        assert_eq!(
            first.peers().next().unwrap().internal_url,
            "http://127.0.0.1:40000"
        );
        assert_eq!(first.data_dir, folder.of_replica(1));
    }

    #[test]
    fn with_tls_its_certificates_are_accepted_and_the_authority_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(&root.path().join("data")).unwrap();
        folder.ensure_key().unwrap();
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let own = Ports {
            public: local(12002),
            internal: local(11002),
        };
        let all = vec![(2, own.public, own.internal)];
        let addresses = Addresses { own, all };
        let now_ms = 1_800_000_000_000;

        let ca = fs::read(folder.certificates(2, now_ms).unwrap()).unwrap();
        let settings = folder.write_settings(2, &addresses, true).unwrap();

        let config = Config::load(&settings).unwrap();
        let certificates = Certificates::open(&config, now_ms).unwrap();
        assert!(certificates.public.unwrap().identity().is_for("127.0.0.1"));
        assert!(certificates.peers.is_some());
        assert_eq!(config.own_address().public_url, "https://127.0.0.1:12002");
        assert_eq!(
            fs::read(folder.certificates(2, now_ms).unwrap()).unwrap(),
            ca
        );
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
