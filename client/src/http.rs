//! How servers are reached: time-outs, and whose certificates are trusted.
//!
//! The connection pool is made when it is first needed: reading the certificates of the system
//! takes longer than the rest of a start. reqwest has no time-outs of its own.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder};

use crate::answer::{CallError, reason};

/// A TLS handshake takes two round trips more than a TCP handshake.
const TLS_HANDSHAKE: Duration = Duration::from_secs(2);

/// How long a server is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until a connection is there; encrypted ones get two seconds more.
    pub connect: Duration,
    /// Until a call is answered.
    pub call: Duration,
    /// Between two pieces of a stream. A comment comes every 15 s.
    pub silence: Duration,
}

impl Default for Limits {
    /// For a person who waits.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            call: Duration::from_secs(8),
            // Two and a half missing comments.
            silence: Duration::from_secs(40),
        }
    }
}

/// A handle on a pool of connections.
#[derive(Debug, Clone, Default)]
pub struct Http(Arc<Pools>);

#[derive(Debug, Default)]
struct Pools {
    limits: Limits,
    /// Trusted instead of the system's authorities.
    ca: Option<Vec<Certificate>>,
    plain: OnceLock<Result<reqwest::Client, CallError>>,
    secure: OnceLock<Result<reqwest::Client, CallError>>,
}

impl Http {
    /// Connections that trust the authorities in this file, or those of the system.
    ///
    /// # Errors
    /// A sentence: the file cannot be read, or holds no certificate.
    pub fn trusting(ca: Option<&Path>) -> Result<Self, String> {
        Self::new(ca, Limits::default())
    }

    /// The same with these limits.
    ///
    /// # Errors
    /// As [`trusting`](Self::trusting).
    pub fn new(ca: Option<&Path>, limits: Limits) -> Result<Self, String> {
        let ca = ca.map(certificates).transpose()?;
        Ok(Self(Arc::new(Pools {
            limits,
            ca,
            ..Pools::default()
        })))
    }

    /// Plain connections with these limits, for servers without TLS.
    pub fn with_limits(limits: Limits) -> Self {
        Self(Arc::new(Pools {
            limits,
            ..Pools::default()
        }))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn to(&self, base: &str) -> Result<reqwest::Client, CallError> {
        let pools = &self.0;
        let connect = pools.limits.connect;
        let pool = if base.starts_with("https:") {
            pools.secure.get_or_init(|| {
                let builder = self.builder(connect + TLS_HANDSHAKE).https_only(true);
                built(match &pools.ca {
                    Some(ca) => builder.tls_certs_only(ca.clone()),
                    None => builder,
                })
            })
        } else {
            pools
                .plain
                .get_or_init(|| built(self.builder(connect).tls_certs_only([])))
        };
        pool.clone()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the client for the public API, with its limits"
    )]
    fn builder(&self, connect: Duration) -> ClientBuilder {
        reqwest::Client::builder()
            .connect_timeout(connect)
            .read_timeout(self.limits().silence)
            // Emptied early, so that a dead server is noticed by connecting.
            .pool_idle_timeout(Duration::from_secs(10))
            .tcp_keepalive(Duration::from_secs(10))
            // No server of ours redirects; a captive portal does, to a page of its own.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("causeway/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
    }
}

fn built(builder: ClientBuilder) -> Result<reqwest::Client, CallError> {
    builder.build().map_err(|error| {
        CallError::NotConnected(format!(
            "the certificates of this system cannot be used ({}); name a file with --ca",
            reason(&error)
        ))
    })
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let shown = path.display();
    let pem = std::fs::read(path)
        .map_err(|error| format!("the file {shown} of --ca cannot be read: {error}"))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(format!(
            "the file {shown} of --ca holds no certificate in the PEM format"
        )),
    }
}
