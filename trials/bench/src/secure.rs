//! Servers that speak TLS, known by their addresses: every benchmark can measure one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use causeway_client::{Http, Limits};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::either::Either;

/// A connection to a server, with TLS or without.
pub type Stream = Either<TcpStream, TlsStream<TcpStream>>;

static SECURE: Mutex<Option<Secure>> = Mutex::new(None);

#[derive(Clone)]
struct Secure {
    ca: PathBuf,
    connector: TlsConnector,
    addresses: BTreeSet<SocketAddr>,
}

/// Remembers that TLS is spoken at this address, with certificates of this authority.
pub fn remember(address: SocketAddr, ca: &Path) -> anyhow::Result<()> {
    let mut known = SECURE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut secure = match known.take() {
        Some(secure) if secure.ca == ca => secure,
        _ => Secure {
            ca: ca.to_owned(),
            connector: connector(ca)?,
            addresses: BTreeSet::new(),
        },
    };
    secure.addresses.insert(address);
    *known = Some(secure);
    Ok(())
}

/// The authority of the server at this address, where it speaks TLS.
pub fn ca(address: SocketAddr) -> Option<PathBuf> {
    of(address).map(|secure| secure.ca)
}

/// The URL of a server.
pub fn url(address: SocketAddr) -> String {
    let scheme = of(address).map_or("http", |_| "https");
    format!("{scheme}://{address}")
}

/// Connections for calls that are not measured.
pub fn http(address: SocketAddr) -> anyhow::Result<Http> {
    let made = Http::new(ca(address).as_deref(), Limits::default());
    made.map_err(anyhow::Error::msg)
}

/// Connects to a server.
pub async fn connect(address: SocketAddr) -> anyhow::Result<Stream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let Some(secure) = of(address) else {
        return Ok(Either::Left(stream));
    };
    let name = ServerName::IpAddress(address.ip().into());
    Ok(Either::Right(secure.connector.connect(name, stream).await?))
}

fn of(address: SocketAddr) -> Option<Secure> {
    let known = SECURE.lock().unwrap_or_else(PoisonError::into_inner);
    let secure = known.as_ref()?;
    secure.addresses.contains(&address).then(|| secure.clone())
}

fn connector(ca: &Path) -> anyhow::Result<TlsConnector> {
    let pem = std::fs::read(ca).context("the authority's certificate cannot be read")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem)?)?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
