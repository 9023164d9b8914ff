//! TLS: one crypto provider for the whole process, and certificates that are read from files and
//! read again when these change.
//!
//! Who presents and who demands a certificate is decided where the ports are served and called.

mod identity;
mod mutual;
mod reload;

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};

use crate::config::{Config, ConfigError};
use crate::edge::WallClock;

pub use identity::{Identity, Source};
pub use mutual::{call_to, peers_port};
pub use reload::ReloadingCertificate;

/// How long before a certificate expires an operator hears of it.
pub const EXPIRY_NOTICE: Duration = Duration::from_hours(30 * 24);

/// Makes aws-lc the crypto of everything in this process that speaks TLS: both ports, calls to peers,
/// and connections to Postgres. To be called first; a second call changes nothing.
pub fn install_provider() {
    let _ = aws_lc_rs::default_provider().install_default();
}

/// Returns the crypto of this process.
pub fn provider() -> Arc<CryptoProvider> {
    install_provider();
    CryptoProvider::get_default()
        .expect("a provider was just installed")
        .clone()
}

/// The certificates of this replica; none for a port that serves plain text.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// For clients.
    pub public: Option<ReloadingCertificate>,
    /// For peers: presented when they call and when they are called.
    pub peers: Option<ReloadingCertificate>,
}

impl Certificates {
    /// Reads the configured files.
    ///
    /// # Errors
    /// A sentence that names the setting, the file, and what to do.
    pub fn open(config: &Config, now_ms: u64) -> Result<Self, ConfigError> {
        let open = |source: Option<Source>| {
            source
                .map(|source| ReloadingCertificate::open(source, now_ms))
                .transpose()
        };
        Ok(Self {
            public: open(Source::public(config))?,
            peers: open(Source::peers(config))?,
        })
    }

    /// Returns the certificates with the names of their ports.
    pub fn by_port(&self) -> impl Iterator<Item = (&'static str, &ReloadingCertificate)> {
        let public = self.public.iter().map(|own| ("public", own));
        public.chain(self.peers.iter().map(|own| ("peers", own)))
    }

    /// Reads the files again whenever they change. Does not end.
    pub async fn follow(self, wall: WallClock) {
        let [public, peers] = [self.public, self.peers].map(|own| {
            let wall = wall.clone();
            async move {
                if let Some(own) = own {
                    own.follow(wall).await;
                }
            }
        });
        tokio::join!(public, peers);
    }
}

/// Returns how the public port speaks TLS: HTTP/1.1 only, and no certificate is asked for.
pub fn public_port(certificate: ReloadingCertificate) -> anyhow::Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A returning client saves a signature, and the server keeps nothing of it meanwhile.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}
