//! Servers behind TLS, and the errors when only one side uses it.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::fake::Cluster;
use crate::gate::Gate;
use crate::home::Home;
use crate::program::run_at;
use crate::pty::Screen;

/// A TLS proxy for a server without TLS; it ends when it is dropped.
struct Front {
    address: SocketAddr,
    /// The certificate of the authority.
    ca: PathBuf,
    home: Home,
    _runtime: tokio::runtime::Runtime,
}

impl Front {
    /// Starts it with a certificate for this host name.
    fn of(server: SocketAddr, name: &str) -> Self {
        Self::valid(server, name, 2000..3000)
    }

    /// Starts it with a certificate for this host name that is valid in these years.
    fn valid(server: SocketAddr, name: &str, years: Range<i32>) -> Self {
        let home = Home::new();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut own = CertificateParams::new(vec![name.to_owned()]).unwrap();
        own.not_before = date_time_ymd(years.start, 1, 1);
        own.not_after = date_time_ymd(years.end, 1, 1);
        let own = own.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        let path = home.path().join("ca.pem");
        std::fs::write(&path, ca_certificate.pem()).unwrap();
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], private)
            .unwrap();

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        runtime.spawn(async move {
            while let Ok((plain, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut upstream = TcpStream::connect(server).await.unwrap();
                    if let Ok(mut secure) = acceptor.accept(plain).await {
                        let _ = tokio::io::copy_bidirectional(&mut secure, &mut upstream).await;
                    }
                });
            }
        });
        Self {
            address,
            ca: path,
            home,
            _runtime: runtime,
        }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/below/a/path", self.address.port())
    }
}

#[test]
fn a_server_behind_tls_and_a_path_is_used_like_any_other() {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let front = Front::of(server.address, "localhost");
    let ca = front.ca.to_str().unwrap();

    let screen = Screen::open_at(
        &front.home,
        &[
            "--server",
            &front.url(),
            "--ca",
            ca,
            "-u",
            "ann",
            "-g",
            "lobby",
        ],
    );

    screen.wait_for_prompt("ann@lobby");
    cluster.say("bob", "through the tunnel");
    screen.wait_for("bob: through the tunnel");
    screen.type_in("a and back\r");
    screen.wait_for("ann: and back");
}

#[test]
fn what_does_not_fit_is_told_with_what_to_do() {
    let cluster = Cluster::default();
    let server = cluster.start(1);
    let front = Front::of(server.address, "localhost");
    let stranger = Front::of(server.address, "other.example");
    let past = Front::valid(server.address, "localhost", 2000..2001);
    let future = Front::valid(server.address, "localhost", 2999..3000);
    let port = front.address.port();
    let ca = |front: &Front| front.ca.to_str().unwrap().to_owned();
    // As any HTTP server answers what is not HTTP.
    let plain = Gate::to(server.address);
    plain.answer("400 Bad Request", "text/plain", "");
    let nonsense = front.home.path().join("nonsense.pem");
    std::fs::write(&nonsense, "no certificate").unwrap();
    let cases = [
        (
            front.url(),
            ca(&stranger),
            "its certificate is of no authority that is trusted here; name the authority's file \
             with --ca",
        ),
        (
            stranger.url(),
            ca(&stranger),
            "its certificate is for another host name; use the name that it is for",
        ),
        (past.url(), ca(&past), "its certificate has expired"),
        (
            future.url(),
            ca(&future),
            "its certificate is not valid yet; correct the clock",
        ),
        (
            format!("http://localhost:{port}"),
            ca(&front),
            "HTTP is not spoken there; try the address with https://",
        ),
        (
            format!("https://localhost:{}", plain.address.port()),
            ca(&front),
            "TLS is not spoken there; try the address with http://",
        ),
        (
            front.url(),
            nonsense.to_str().unwrap().to_owned(),
            "holds no certificate in the PEM format",
        ),
    ];
    for (address, ca, sentence) in cases {
        let arguments = [
            "view",
            "-u",
            "ann",
            // A last attempt that is cut short would report that instead.
            "--timeout",
            "3",
            "-s",
            &address,
            "--ca",
            &ca,
        ];

        let output = run_at(&front.home, &arguments, b"");

        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(sentence), "{address}: {said}");
        assert_eq!(output.status.code(), Some(1));
    }
}
