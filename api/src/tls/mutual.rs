//! Mutual TLS between replicas. Both sides present a certificate of the cluster's authority; the
//! caller demands that it names the replica it means to call, whatever its address.
//!
//! Which replica calls is compared with what a call says where calls are served.

use std::sync::Arc;

use causeway_domain::ids::ReplicaId;
use causeway_replicator_core::certificate::certificate_name;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};

use super::{ReloadingCertificate, provider};

/// How certificates of peers are verified: by the authorities of one state of the files.
#[derive(Clone, Debug)]
pub(super) struct Verifiers {
    pub(super) of_called: Arc<WebPkiServerVerifier>,
    pub(super) of_callers: Arc<dyn ClientCertVerifier>,
}

impl Verifiers {
    /// Trusts these authorities, of which there has to be one.
    pub(super) fn trusting(roots: &Arc<RootCertStore>) -> Result<Self, String> {
        let called = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider());
        let callers = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider());
        Ok(Self {
            of_called: called.build().map_err(|error| error.to_string())?,
            of_callers: callers.build().map_err(|error| error.to_string())?,
        })
    }
}

/// Returns how the port for peers speaks TLS: callers without a certificate of the cluster's
/// authority are turned away before they can ask anything.
pub fn peers_port(own: ReloadingCertificate) -> anyhow::Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(Peers(own.clone())))
        .with_cert_resolver(Arc::new(own));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A session that is resumed would outlive the authority that vouched for it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Returns how a peer is called: as the holder of our certificate, and only if the peer proves that
/// it is this replica.
pub fn call_to(own: ReloadingCertificate, peer: ReplicaId) -> anyhow::Result<ClientConfig> {
    let name = ServerName::try_from(certificate_name(peer))?;
    let called = Called {
        peers: Peers(own.clone()),
        name,
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous() // only in that the name comes from the settings, not from the URL
        .with_custom_certificate_verifier(Arc::new(called))
        .with_client_cert_resolver(Arc::new(own));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Verifies peers by the newest authorities.
#[derive(Debug)]
struct Peers(ReloadingCertificate);

impl Peers {
    fn verifiers(&self) -> Result<Verifiers, Error> {
        let identity = self.0.identity();
        let verifiers = identity.verifiers.clone();
        verifiers.ok_or_else(|| Error::General("no authority of peers is configured".into()))
    }
}

impl ClientCertVerifier for Peers {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verifiers = self.verifiers()?;
        verifiers
            .of_callers
            .verify_client_cert(certificate, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifiers = self.verifiers()?;
        verifiers
            .of_callers
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifiers = self.verifiers()?;
        verifiers
            .of_callers
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Verifies that the server is one certain replica.
#[derive(Debug)]
struct Called {
    peers: Peers,
    name: ServerName<'static>,
}

impl ServerCertVerifier for Called {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifiers = self.peers.verifiers()?;
        verifiers
            .of_called
            .verify_server_cert(certificate, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.peers
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.peers
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.peers.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
