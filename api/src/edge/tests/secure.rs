//! The same over TLS.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use causeway_domain::ids::ReplicaId;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::connections::{FLOOD, GET, read_to_end, until};
use super::demo::Demo;
use crate::clock::wall_clock;
use crate::config::Config;
use crate::edge::accept::ConnectionLimits;
use crate::edge::transport::Transport;
use crate::init::issue::Authority;
use crate::tls::{Certificates, provider, public_port};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served_over_http_1() {
    let secure = Secure::start(ConnectionLimits::default()).await;

    let mut stream = secure.connect(&[b"h2", b"http/1.1"]).await.unwrap();
    let spoken = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    stream.write_all(GET).await.unwrap();
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).await.unwrap();

    assert_eq!(spoken.unwrap(), b"http/1.1");
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    secure.connect(&[b"h2"]).await.unwrap_err();
    secure.demo.stop().await;
}

#[tokio::test]
async fn plain_http_is_told_to_speak_tls() {
    let secure = Secure::start(ConnectionLimits::default()).await;
    let mut stream = TcpStream::connect(&secure.demo.address).await.unwrap();
    stream.write_all(GET).await.unwrap();

    let answer = read_to_end(stream).await;

    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(
        answer.contains("problem+json") && answer.contains("https://"),
        "{answer}"
    );
    secure.demo.stop().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_given_up() {
    let limits = ConnectionLimits {
        first_request: Duration::from_millis(300),
        ..ConnectionLimits::default()
    };
    let secure = Secure::start(limits).await;
    // The beginning of a record, and silence.
    for sent in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut stream = TcpStream::connect(&secure.demo.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        assert_eq!(read_to_end(stream).await, "");
    }
    // A handshake without a request counts like it.
    let mut stream = secure.connect(&[]).await.unwrap();
    let mut rest = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    drop(read.expect("the server closes the connection"));
    secure.demo.stop().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_let_go_over_tls_too() {
    let limits = ConnectionLimits {
        write_stall: Duration::from_millis(200),
        ..ConnectionLimits::default()
    };
    let secure = Secure::start(limits).await;
    let mut stalled = secure.connect(&[]).await.unwrap();
    stalled.write_all(FLOOD).await.unwrap();
    stalled.flush().await.unwrap();
    let readers = || secure.demo.readers.load(Ordering::SeqCst);

    until(|| readers() == 1).await;
    until(|| readers() == 0).await;

    secure.demo.stop().await;
}

/// A demo with a certificate for `localhost`.
struct Secure {
    demo: Demo,
    ca: CertificateDer<'static>,
    _folder: TempDir,
}

impl Secure {
    async fn start(limits: ConnectionLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now_ms = wall_clock(None)();
        let (authority, ca) = Authority::new("demo", now_ms).unwrap();
        let one = ReplicaId::new(1).unwrap();
        let own = authority.public(one, "localhost", now_ms).unwrap();
        for (name, text) in [("own.crt", own.certificate), ("own.key", own.key)] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let toml = "cluster = 'demo'\nreplica = 1\ndata_dir = 'data'\nauth = 'open'\n\
            cluster_key = 'a key for tests, longer than thirty-two bytes'\n\
            [tls]\ncertificate = 'own.crt'\nkey = 'own.key'\n\
            [[replicas]]\nid = 1\npublic_url = 'https://a'\ninternal_url = 'http://a'\n";
        let config = Config::parse_in(folder.path(), toml, std::iter::empty()).unwrap();
        let certificate = Certificates::open(&config, now_ms).unwrap().public.unwrap();
        let transport = Transport::Tls(public_port(certificate).unwrap());
        Self {
            demo: Demo::start_speaking(transport, limits).await,
            ca: CertificateDer::from_pem_slice(ca.certificate.as_bytes()).unwrap(),
            _folder: folder,
        }
    }

    async fn connect(&self, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(&self.demo.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}
