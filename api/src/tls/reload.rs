//! A certificate that follows its files. New ones are used by the next handshake; connections that
//! are open keep theirs.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::time::sleep;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::identity::{Identity, Pem, Source};
use crate::config::ConfigError;
use crate::edge::WallClock;

/// How often the files are compared with what is in use. They are small, and a link that points
/// elsewhere changes no time stamp.
const INTERVAL: Duration = Duration::from_secs(2);

/// The newest usable certificate of its files. Clones are one.
#[derive(Clone)]
pub struct ReloadingCertificate(Arc<Shared>);

struct Shared {
    source: Source,
    state: RwLock<State>,
}

struct State {
    pem: Pem,
    identity: Arc<Identity>,
    /// Why the files as they are now are not in use.
    rejected: Option<String>,
}

impl ReloadingCertificate {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// They cannot be used: a sentence that says why.
    pub fn open(source: Source, now_ms: u64) -> Result<Self, ConfigError> {
        let pem = source.read()?;
        let identity = Arc::new(source.judge(&pem, now_ms)?);
        let state = RwLock::new(State {
            pem,
            identity,
            rejected: None,
        });
        Ok(Self(Arc::new(Shared { source, state })))
    }

    /// Returns what is in use.
    pub fn identity(&self) -> Arc<Identity> {
        self.state().identity.clone()
    }

    /// Returns why the files as they are now are not in use, where that is so.
    pub fn rejected(&self) -> Option<String> {
        self.state().rejected.clone()
    }

    /// Returns the host of a URL that the certificate is not for.
    pub fn is_not_for(&self, url: &str) -> Option<String> {
        let url: http::Uri = url.parse().ok()?;
        let host = url.host()?;
        (!self.identity().is_for(host)).then(|| host.to_owned())
    }

    /// Reads the files again. What cannot be used replaces nothing.
    pub fn reread(&self, now_ms: u64) {
        let read = self.0.source.read();
        if read.as_ref().is_ok_and(|pem| *pem == self.state().pem) {
            self.change(|state| state.rejected = None);
            return;
        }
        let judged = read.and_then(|pem| Ok((self.0.source.judge(&pem, now_ms)?, pem)));
        match judged {
            Ok((identity, pem)) => {
                tracing::info!("a certificate was reloaded");
                self.change(|state| {
                    *state = State {
                        pem,
                        identity: Arc::new(identity),
                        rejected: None,
                    };
                });
            }
            Err(error) => {
                let why = error.to_string();
                if self.rejected().as_ref() != Some(&why) {
                    tracing::error!(%why, "a changed certificate is not used; the former one stays");
                }
                self.change(|state| state.rejected = Some(why));
            }
        }
    }

    /// Reads the files again and again. Does not end.
    pub async fn follow(self, wall: WallClock) {
        loop {
            sleep(INTERVAL).await;
            let (own, now_ms) = (self.clone(), wall());
            // A disk that hangs delays this task alone.
            let _ = tokio::task::spawn_blocking(move || own.reread(now_ms)).await;
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl fmt::Debug for ReloadingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReloadingCertificate")
            .field(&self.0.source)
            .finish()
    }
}

impl ResolvesServerCert for ReloadingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.state().identity.certified.clone())
    }
}

impl ResolvesClientCert for ReloadingCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.state().identity.certified.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
