//! The server: starts its replica, and starts it again where its database was restored beneath it.

mod critical;
pub(crate) mod parts;
mod replica;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::app;
use crate::clock::wall_clock;
use crate::config::{Config, MetricsListen};
use crate::database::Database;
use crate::edge::WallClock;
use crate::failure::listen;
use crate::open_files::Budget;
use crate::tls::Certificates;

use replica::{Ended, serve_once};

/// Pause between attempts to start again on a restored database.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Serves one replica until `stop` is cancelled. Calls `on_ready` with the addresses of the public
/// and the internal port once both are served.
pub async fn run(
    config: Config,
    stop: CancellationToken,
    on_ready: impl FnOnce(SocketAddr, SocketAddr),
) -> anyhow::Result<()> {
    // First of all, so that a port in use is reported before anything is started.
    let metrics = match config.metrics_listen {
        MetricsListen::At(address) => Some(address),
        MetricsListen::Public | MetricsListen::Off => None,
    };
    let listeners = Listeners::bind(config.public_listen, config.internal_listen, metrics).await?;
    let budget = parts::budget(&config)?;
    let wall = wall_clock(config.clock_offset_file.as_deref());
    let certificates = Certificates::open(&config, wall())?;
    warn_of_other_host(&config, &certificates);
    let following = certificates.clone().follow(wall.clone());
    let _following = AbortOnDropHandle::new(tokio::spawn(following));
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let Some(database) = Database::open_unless(&config, &stop).await? else {
        return Ok(());
    };
    let replica = Configured {
        config: &config,
        certificates: &certificates,
        wall: &wall,
        budget,
        url: &database.url,
    };
    let served = serve_and_restart(replica, listeners, &stop, on_ready).await;
    database.close().await;
    served
}

/// What does not change while the process runs.
#[derive(Clone, Copy)]
struct Configured<'a> {
    config: &'a Config,
    certificates: &'a Certificates,
    wall: &'a WallClock,
    budget: Budget,
    /// Of the database.
    url: &'a str,
}

/// Clients that find this replica by its configured URL would not accept its certificate.
fn warn_of_other_host(config: &Config, certificates: &Certificates) {
    if let Some(certificate) = &certificates.public
        && let Some(host) = certificate.is_not_for(&config.own_address().public_url)
    {
        tracing::warn!(%host, "the certificate for clients is not for the host of `public_url`");
    }
}

/// The bound ports.
struct Listeners {
    public: TcpListener,
    internal: TcpListener,
    /// Where metrics have a port of their own.
    metrics: Option<TcpListener>,
}

impl Listeners {
    async fn bind(
        public: SocketAddr,
        internal: SocketAddr,
        metrics: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let metrics = match metrics {
            Some(address) => Some(listen("metrics_listen", address).await?),
            None => None,
        };
        Ok(Self {
            metrics,
            public: listen("public_listen", public).await?,
            internal: listen("internal_listen", internal).await?,
        })
    }
}

async fn serve_and_restart(
    replica: Configured<'_>,
    mut listeners: Listeners,
    stop: &CancellationToken,
    on_ready: impl FnOnce(SocketAddr, SocketAddr),
) -> anyhow::Result<()> {
    let public = listeners.public.local_addr()?;
    let internal = listeners.internal.local_addr()?;
    let metrics = listeners.metrics.as_ref().map(TcpListener::local_addr);
    let metrics = metrics.transpose()?;
    let mut on_ready = Some(on_ready);
    let mut is_restart = false;
    loop {
        let is_up = AtomicBool::new(false);
        let up = || {
            is_up.store(true, Ordering::Relaxed);
            if let Some(on_ready) = on_ready.take() {
                on_ready(public, internal);
            }
        };
        let served = tokio::select! {
            served = serve_once(replica, listeners, stop, up) => served,
            // Nothing has been acknowledged yet.
            () = stopped_while_starting(stop, &is_up) => return Ok(()),
        };
        match served {
            Ok(Ended::Stopped) => return Ok(()),
            Ok(Ended::Restored) => tracing::error!(
                "the database was restored or exchanged while this server ran; it starts again"
            ),
            // The restore may not be complete yet.
            Err(failure) if is_restart && !is_up.load(Ordering::Relaxed) => {
                tracing::error!(failure = %format!("{failure:#}"), "cannot start again yet");
                if stop
                    .run_until_cancelled(sleep(RESTART_PAUSE))
                    .await
                    .is_none()
                {
                    return Ok(());
                }
            }
            Err(failure) => return Err(failure),
        }
        is_restart = true;
        listeners = Listeners::bind(public, internal, metrics).await?;
    }
}

/// Waits for a request to stop that comes before the replica serves: one that serves closes in order.
async fn stopped_while_starting(stop: &CancellationToken, is_up: &AtomicBool) {
    stop.cancelled().await;
    if is_up.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

/// Returns the document of the public API, YAML.
pub fn openapi() -> String {
    app::openapi_yaml()
}
