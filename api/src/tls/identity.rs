//! A certificate with its key and authorities: read from files, and judged before it is used.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use causeway_domain::ids::ReplicaId;
use causeway_replicator_core::certificate::certificate_name;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, CertificateError, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::mutual::Verifiers;
use super::{EXPIRY_NOTICE, provider};
use crate::bodies::rfc3339;
use crate::config::{CertificateFiles, Config, ConfigError};

/// Everybody on the machine may read, write or execute.
const OTHERS: u32 = 0o007;

/// Where a certificate comes from, and what it has to be.
#[derive(Clone, Debug)]
pub struct Source {
    /// The table of the settings.
    table: &'static str,
    own: CertificateFiles,
    /// The authorities, and the replica that the certificate has to name.
    peers: Option<(PathBuf, ReplicaId)>,
}

impl Source {
    /// The certificate of the public port, where one is configured.
    pub fn public(config: &Config) -> Option<Self> {
        config.tls.clone().map(|own| Self {
            table: "tls",
            own,
            peers: None,
        })
    }

    /// The certificate of the port for peers, where one is configured.
    pub fn peers(config: &Config) -> Option<Self> {
        config.peer_tls.clone().map(|files| Self {
            table: "peer_tls",
            own: files.own,
            peers: Some((files.ca, config.replica)),
        })
    }

    /// Reads the files.
    pub(super) fn read(&self) -> Result<Pem, ConfigError> {
        let ca = self.peers.as_ref().map(|(ca, _)| self.text("ca", ca));
        let key = &self.own.key;
        let mode = std::fs::metadata(key).map_or(0, |found| found.permissions().mode());
        if mode & OTHERS != 0 {
            let path = key.display();
            let why = format!(
                "everybody on this machine may use `{path}`: `chmod o= {path}`, and renew it if others may have read it"
            );
            return Err(self.wrong("key", why));
        }
        Ok(Pem {
            certificate: self.text("certificate", &self.own.certificate)?,
            key: self.text("key", key)?,
            ca: ca.transpose()?.unwrap_or_default(),
        })
    }

    fn text(&self, field: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
        std::fs::read(path).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => ": give it to the account that runs the server",
                _ => "",
            };
            let why = format!("cannot read `{}`: {error}{hint}", path.display());
            self.wrong(field, why)
        })
    }

    /// Judges what was read.
    pub(super) fn judge(&self, pem: &Pem, now_ms: u64) -> Result<Identity, ConfigError> {
        let path = &self.own.certificate;
        let chain = self.certificates("certificate", path, &pem.certificate, now_ms)?;
        let authorities = match &self.peers {
            Some((path, _)) => self.certificates("ca", path, &pem.ca, now_ms)?,
            None => Dated::default(),
        };
        let certified = self.certified(chain.certificates, &pem.key)?;
        let mut roots = RootCertStore::empty();
        for authority in authorities.certificates {
            let added = roots.add(authority);
            added.map_err(|error| self.wrong("ca", format!("it holds no authority: {error}")))?;
        }
        let verifiers = match &self.peers {
            Some((ca, replica)) => {
                let verifiers = Verifiers::trusting(&Arc::new(roots));
                let verifiers = verifiers.map_err(|error| self.wrong("ca", error))?;
                self.verify(&certified, &verifiers, ca, *replica, now_ms)?;
                Some(verifiers)
            }
            None => None,
        };
        Ok(Identity {
            certified: Arc::new(certified),
            verifiers,
            not_after_ms: chain.not_after_ms.min(authorities.not_after_ms),
        })
    }

    /// Parses certificates, all of which have to be valid now.
    fn certificates(
        &self,
        field: &str,
        path: &Path,
        pem: &[u8],
        now_ms: u64,
    ) -> Result<Dated, ConfigError> {
        let path = path.display();
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found = found.unwrap_or_default();
        if found.is_empty() {
            let why = format!("`{path}` holds no certificate in the PEM format");
            return Err(self.wrong(field, why));
        }
        let mut dated = Dated::default();
        for certificate in found {
            let parsed = X509Certificate::from_der(&certificate);
            let (_, parsed) = parsed
                .map_err(|_| self.wrong(field, format!("`{path}` holds a damaged certificate")))?;
            let validity = parsed.validity();
            let [from_ms, until_ms] = [&validity.not_before, &validity.not_after]
                .map(|moment| moment.timestamp().saturating_mul(1_000));
            let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
            let clock = format!("this machine's clock says {}", rfc3339(now_ms));
            if now_ms < from_ms {
                let why = format!(
                    "`{path}` is valid only from {}, and {clock}: correct the clock, or wait",
                    rfc3339(from_ms)
                );
                return Err(self.wrong(field, why));
            }
            if now_ms > until_ms {
                let why = format!(
                    "`{path}` expired at {}, and {clock}: renew it (`causeway-server renew-certificates`), or correct the clock",
                    rfc3339(until_ms)
                );
                return Err(self.wrong(field, why));
            }
            dated.not_after_ms = dated.not_after_ms.min(until_ms);
            dated.certificates.push(certificate);
        }
        Ok(dated)
    }

    fn certified(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: &[u8],
    ) -> Result<CertifiedKey, ConfigError> {
        let path = self.own.key.display();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            let is_locked = key.windows(9).any(|window| window == b"ENCRYPTED");
            let why = if is_locked {
                format!("`{path}` is protected by a passphrase, which nobody can type at a start: write it without one")
            } else {
                format!("`{path}` holds no private key in the PEM format")
            };
            self.wrong("key", why)
        })?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
            let why = match error {
                rustls::Error::InconsistentKeys(_) => format!(
                    "`{path}` is not the key of the certificate `{}`: take the pair that was issued together",
                    self.own.certificate.display()
                ),
                other => format!("`{path}` cannot be used: {other}"),
            };
            self.wrong("key", why)
        })
    }

    /// Verifies the certificate as peers do, when they call and when they are called.
    fn verify(
        &self,
        certified: &CertifiedKey,
        verifiers: &Verifiers,
        ca: &Path,
        replica: ReplicaId,
        now_ms: u64,
    ) -> Result<(), ConfigError> {
        let unusable = |error: &dyn std::fmt::Display| {
            let why = format!(
                "no peer would accept `{}`: {error}",
                self.own.certificate.display()
            );
            self.wrong("certificate", why)
        };
        let name = certificate_name(replica);
        let expected = ServerName::try_from(name.as_str()).map_err(|error| unusable(&error))?;
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms));
        let [own, others @ ..] = &certified.cert[..] else {
            return Err(unusable(&"it is empty"));
        };
        let called = verifiers.of_called.as_ref();
        let verified = called.verify_server_cert(own, others, &expected, &[], now);
        let verified = verified.and_then(|_| {
            let callers = verifiers.of_callers.as_ref();
            callers.verify_client_cert(own, others, now)
        });
        verified.map(drop).map_err(|error| match error {
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => unusable(&format!(
                "it was not issued by the authority in `{}`",
                ca.display()
            )),
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => unusable(&format!(
                "it is not the one of replica {replica}, because it lacks the name {name}"
            )),
            other => unusable(&other),
        })
    }

    fn wrong(&self, field: &str, why: impl AsRef<str>) -> ConfigError {
        ConfigError::wrong(format!("{}.{field}", self.table), why)
    }
}

/// The contents of the files.
#[derive(PartialEq, Eq)]
pub(super) struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
    ca: Vec<u8>,
}

struct Dated {
    certificates: Vec<CertificateDer<'static>>,
    /// When the first of them expires.
    not_after_ms: i64,
}

impl Default for Dated {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            not_after_ms: i64::MAX,
        }
    }
}

/// A certificate that can be used.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, those of intermediate authorities, and the key.
    pub certified: Arc<CertifiedKey>,
    /// How peers are verified; nothing for the public port.
    pub(super) verifiers: Option<Verifiers>,
    /// When the first certificate of the files expires, Unix time.
    pub not_after_ms: i64,
}

impl Identity {
    /// Says that it expires within 30 days, or has expired.
    pub fn expiry(&self, port: &str, now_ms: i64) -> Option<String> {
        let notice_ms = i64::try_from(EXPIRY_NOTICE.as_millis()).unwrap_or(i64::MAX);
        let left_ms = self.not_after_ms.saturating_sub(now_ms);
        let date = rfc3339(self.not_after_ms);
        let what = match left_ms {
            ..0 => format!("expired at {date}"),
            _ if left_ms < notice_ms => {
                format!("expires in {} days, at {date}", left_ms / 86_400_000)
            }
            _ => return None,
        };
        Some(format!(
            "the certificate of the {port} port {what}: renew it (`causeway-server \
             renew-certificates`, or as it was issued) and replace the files; no restart is needed"
        ))
    }

    /// Whether the certificate is for this host, a DNS name or an address.
    pub fn is_for(&self, host: &str) -> bool {
        let Ok(expected) = ServerName::try_from(host.trim_matches(['[', ']'])) else {
            return false;
        };
        let own = self.certified.end_entity_cert().ok();
        own.and_then(|own| ParsedCertificate::try_from(own).ok())
            .is_some_and(|own| verify_server_name(&own, &expected).is_ok())
    }
}

#[cfg(test)]
#[expect(clippy::too_many_lines, reason = "what can be wrong in one table")]
mod tests;
