//! How the bytes of a connection become HTTP: as they are, or through TLS.

use std::sync::Arc;

use causeway_domain::ids::ReplicaId;
use causeway_replicator_core::certificate::replica_named;
use poem::http::uri::Scheme;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::connection::Connection;
use super::heads::written;
use crate::problem::Problem;

/// The first byte of everything that a TLS client sends first: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// How a port speaks.
#[derive(Clone)]
pub enum Transport {
    /// HTTP as it is.
    Plain,
    /// HTTP in TLS.
    Tls(Arc<ServerConfig>),
    /// HTTP in TLS or as it is, as the client begins.
    Either(Arc<ServerConfig>),
}

/// The certificate that a client presented, among the extensions of its requests. It was verified as
/// the configuration of the port demands.
#[derive(Clone, Debug)]
pub struct ClientCertificate(CertificateDer<'static>);

impl ClientCertificate {
    fn of(stream: &Stream) -> Option<Self> {
        let Either::Right(secure) = stream else {
            return None;
        };
        let chain = secure.get_ref().1.peer_certificates()?;
        Some(Self(chain.first()?.clone()))
    }

    /// Returns the one replica that the certificate names.
    pub fn replica(&self) -> Option<ReplicaId> {
        let (_, certificate) = X509Certificate::from_der(&self.0).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        let mut replicas = names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => replica_named(name),
                _ => None,
            });
        let first = replicas.next()?;
        replicas.all(|other| other == first).then_some(first)
    }
}

/// A connection that HTTP can be spoken on.
pub(super) type Stream = Either<Connection, TlsStream<Connection>>;

impl Transport {
    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::Plain | Self::Either(_) => Scheme::HTTP,
            Self::Tls(_) => Scheme::HTTPS,
        }
    }

    /// Prepares a connection for HTTP; `None` where its client does not take part. The caller bounds
    /// how long that may take.
    pub(super) async fn open(
        &self,
        mut connection: Connection,
    ) -> Option<(Stream, Option<ClientCertificate>)> {
        let (Self::Tls(config) | Self::Either(config)) = self else {
            return Some((Either::Left(connection), None));
        };
        if connection.first_byte().await? != HANDSHAKE_RECORD {
            if matches!(self, Self::Either(_)) {
                return Some((Either::Left(connection), None));
            }
            refuse(&mut connection).await;
            return None;
        }
        match TlsAcceptor::from(config.clone()).accept(connection).await {
            Ok(stream) => {
                let stream = Either::Right(stream);
                let certificate = ClientCertificate::of(&stream);
                Some((stream, certificate))
            }
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
        }
    }
}

/// Answers plain HTTP. The answer fits into the buffers of the system, so no client delays it.
async fn refuse(connection: &mut Connection) {
    let problem = Problem::Malformed {
        why: "This port speaks https only: write https:// in place of http://.".into(),
    };
    let _ = connection.write_all(&written(&problem)).await;
    let _ = connection.shutdown().await;
}
