//! A private authority and the certificates it issues. Called by `init`, `renew-certificates` and
//! `dev --tls`.

use std::time::Duration;

use causeway_domain::ids::ReplicaId;
use causeway_replicator_core::certificate::certificate_name;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

const DAY: Duration = Duration::from_hours(24);
/// A machine whose clock is a day late accepts a new certificate as well.
const BACKDATED: Duration = DAY.saturating_mul(2);
/// Systems refuse certificates of servers that are valid for more than 825 days.
pub(super) const CERTIFICATE_VALIDITY: Duration = DAY.saturating_mul(730);
const AUTHORITY_VALIDITY: Duration = DAY.saturating_mul(3_650);

/// A certificate and its private key, both PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What others may see.
    pub certificate: String,
    /// What nobody else may.
    pub key: String,
}

/// An authority with its key.
pub struct Authority {
    cluster: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority for a cluster.
    pub fn new(cluster: &str, now_ms: u64) -> Result<(Self, Pair), Error> {
        let mut params = params(cluster, "Causeway authority", now_ms, AUTHORITY_VALIDITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pair = Pair {
            certificate: params.self_signed(&key)?.pem(),
            key: key.serialize_pem(),
        };
        let authority = Self {
            cluster: cluster.to_owned(),
            issuer: Issuer::new(params, key),
        };
        Ok((authority, pair))
    }

    /// Reads an authority that was made before.
    pub fn read(cluster: &str, certificate: &str, key: &str) -> Result<Self, Error> {
        Ok(Self {
            cluster: cluster.to_owned(),
            issuer: Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)?,
        })
    }

    /// Issues a certificate for the public port of a host, a DNS name or an address.
    pub fn public(&self, replica: ReplicaId, host: &str, now_ms: u64) -> Result<Pair, Error> {
        let host = host.trim_matches(['[', ']']).to_owned();
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&format!("replica {replica}"), host, usages, now_ms)
    }

    /// Issues a certificate for the port for peers. It proves the number of the replica.
    pub fn peer(&self, replica: ReplicaId, now_ms: u64) -> Result<Pair, Error> {
        let usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let name = certificate_name(replica);
        self.issue(&format!("peer {replica}"), name, usages, now_ms)
    }

    fn issue(
        &self,
        title: &str,
        name: String,
        usages: Vec<ExtendedKeyUsagePurpose>,
        now_ms: u64,
    ) -> Result<Pair, Error> {
        let mut params = params(&self.cluster, title, now_ms, CERTIFICATE_VALIDITY);
        params.subject_alt_names = CertificateParams::new(vec![name])?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages;
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok(Pair {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn params(cluster: &str, title: &str, now_ms: u64, validity: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, cluster);
    params.distinguished_name.push(DnType::CommonName, title);
    let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(now_ms);
    params.not_before = now - BACKDATED;
    params.not_after = now + validity;
    params
}
