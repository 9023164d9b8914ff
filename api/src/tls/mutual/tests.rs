use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::clock::wall_clock;
use crate::config::Config;
use crate::init::issue::{Authority, Pair};
use crate::tls::Certificates;

#[tokio::test]
async fn replicas_know_each_other_by_number_and_nobody_else_gets_in() {
    let (ours, theirs) = (Cluster::new(), Cluster::new());
    let [one, two] = [ours.replica(1), ours.replica(2)];

    assert!(speak(&one, 2, &two).await);
    assert!(!speak(&one, 3, &two).await, "it is not replica 3");
    let foreign = theirs.replica(2);
    assert!(
        !speak(&one, 2, &foreign).await,
        "its authority is unknown here"
    );
    assert!(!speak(&foreign, 1, &one).await, "nor may it call");
}

#[tokio::test]
async fn a_new_authority_is_trusted_as_soon_as_the_files_say_so() {
    let (old, new) = (Cluster::new(), Cluster::new());
    let (one, two) = (old.replica(1), new.replica(2));
    assert!(!speak(&one, 2, &two).await);

    for (cluster, own) in [(&old, &one), (&new, &two)] {
        let both = format!("{}{}", old.ca.certificate, new.ca.certificate);
        fs::write(cluster.folder.path().join("ca.crt"), both).unwrap();
        own.reread(cluster.now_ms);
    }

    assert!(speak(&one, 2, &two).await);
}

/// Whether a call arrives and is answered.
async fn speak(caller: &ReloadingCertificate, to: u16, called: &ReloadingCertificate) -> bool {
    let (near, far) = duplex(64 * 1024);
    let server = TlsAcceptor::from(peers_port(called.clone()).unwrap());
    let client = TlsConnector::from(Arc::new(call_to(caller.clone(), number(to)).unwrap()));
    let serving = async {
        let mut stream = server.accept(far).await.ok()?;
        let asked = stream.read_u8().await.ok()?;
        stream.write_u8(asked + 1).await.ok()?;
        stream.flush().await.ok()
    };
    let calling = async {
        let host = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = client.connect(host, near).await.ok()?;
        stream.write_u8(1).await.ok()?;
        stream.flush().await.ok()?;
        stream.read_u8().await.ok()
    };
    let (_, answer) = tokio::join!(serving, calling);
    answer == Some(2)
}

struct Cluster {
    folder: TempDir,
    authority: Authority,
    ca: Pair,
    now_ms: u64,
}

impl Cluster {
    fn new() -> Self {
        let now_ms = wall_clock(None)();
        let (authority, ca) = Authority::new("demo", now_ms).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.crt"), &ca.certificate).unwrap();
        Self {
            folder,
            authority,
            ca,
            now_ms,
        }
    }

    fn replica(&self, id: u16) -> ReloadingCertificate {
        let pair = self.authority.peer(number(id), self.now_ms).unwrap();
        private(&self.folder.path().join(format!("{id}.key")), &pair.key);
        fs::write(
            self.folder.path().join(format!("{id}.crt")),
            pair.certificate,
        )
        .unwrap();
        let toml = format!(
            "cluster = 'demo'\nreplica = {id}\ndata_dir = 'data'\nauth = 'open'\n\
             cluster_key = 'a key for tests, longer than thirty-two bytes'\n\
             [peer_tls]\nca = 'ca.crt'\ncertificate = '{id}.crt'\nkey = '{id}.key'\n\
             [[replicas]]\nid = {id}\npublic_url = 'http://a'\ninternal_url = 'https://a'\n"
        );
        let config = Config::parse_in(self.folder.path(), &toml, std::iter::empty()).unwrap();
        let certificates = Certificates::open(&config, self.now_ms).unwrap();
        certificates.peers.unwrap()
    }
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn number(id: u16) -> ReplicaId {
    ReplicaId::new(id).unwrap()
}
