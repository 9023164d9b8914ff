//! One life of a replica: opened, served, and closed in the reverse order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_domain::ids::ReplicaId;
use causeway_domain::writing::Beginning;
use causeway_replicator::driver::{Clocks, Replicator};
use causeway_replicator::inquiry::{self, Answer};
use causeway_replicator_core::auth::PeerKeys;
use causeway_store::log::Log;
use causeway_store::timelines::Timelines;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::critical::{CriticalTasks, FirstEnd};
use super::{Configured, Listeners, parts};
use crate::app;
use crate::config::Config;
use crate::context::{Context, Parts};
use crate::cursor::Cursors;
use crate::database;
use crate::edge::accept::{BoundedAcceptor, ConnectionLimits};
use crate::edge::serve::serve;
use crate::edge::transport::Transport;
use crate::feeds::{Feeds, Setup};
use crate::keys::ClusterKeys;
use crate::limits::TrustedProxies;
use crate::limits::UserLimits;
use crate::open_files::{Budget, METRICS_CONNECTIONS};
use crate::random;
use crate::routes::peers::Peers;
use crate::tls;
use crate::token::Tokens;
use crate::view::ClusterView;

/// How long a start waits for the clocks of peers.
const CLOCKS: Duration = Duration::from_secs(1);
/// How long requests in flight may take to end after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How long the writer may take to write what waits.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// Why a replica that served has ended in order.
pub(super) enum Ended {
    /// It was asked to stop.
    Stopped,
    /// The database is another one than at the start, or lost something: only a new start finds out
    /// which origin it may continue.
    Restored,
}

/// Serves one replica until `stop`. Calls `on_ready` when clients and peers are served.
pub(super) async fn serve_once(
    configured: Configured<'_>,
    listeners: Listeners,
    stop: &CancellationToken,
    on_ready: impl FnOnce(),
) -> anyhow::Result<Ended> {
    let (replica, answers) = Replica::open(configured).await?;
    replica.serve_peers(listeners.internal)?;
    let outcome = if replica.replicator.look_back(answers).await {
        replica.raise_above_peers().await;
        replica.serve_clients(listeners.public)?;
        replica.serve_metrics(listeners.metrics)?;
        on_ready();
        replica.until_end(stop).await
    } else {
        drop(listeners.public);
        Err(anyhow::anyhow!(
            "peers know messages of this replica that its database has lost, and the database does \
             not take the new epoch to go on with: see what is wrong with it"
        ))
    };
    replica.close().await;
    outcome
}

/// The open parts, and the tasks that run them.
struct Replica {
    context: Context,
    log: Log,
    replicator: Replicator,
    peer_keys: PeerKeys,
    budget: Budget,
    first_end: FirstEnd,
    /// The two ports.
    serving: CriticalTasks,
    /// The streams and presence.
    feeding: CriticalTasks,
    /// The writer and the read model: they end with the last handle on the log.
    storing: CriticalTasks,
}

impl Replica {
    /// Opens everything but the ports. Returns also what the peers answered before the log was opened.
    async fn open(
        configured: Configured<'_>,
    ) -> anyhow::Result<(Self, BTreeMap<ReplicaId, Answer>)> {
        let (config, url) = (configured.config, configured.url);
        let keys = ClusterKeys::of(config);
        let peer_keys = parts::peer_keys(&keys);
        let clocks = Clocks::new(configured.wall.clone());
        let caller = parts::caller(config)?;
        let links = parts::links(config, &caller, &peer_keys, configured.certificates)?;
        // Before the log makes its first promise: it must not follow a clock that leads all others.
        let answers = inquiry::ask(&links, &caller, clocks.now(), CLOCKS).await;
        clocks.bound(inquiry::ceiling_ms(&answers, clocks.now()));

        let first_end = FirstEnd::default();
        let [serving, feeding, storing] = [(); 3].map(|()| CriticalTasks::new(&first_end));
        let disk = parts::disk(config);
        let (log, writer) = Log::open(parts::options(config, url, &clocks, &disk)?).await?;
        storing.adopt("the writer of the log", writer);
        report_beginning(config, &log).await;
        let (timelines, follower) = Timelines::follow(log.clone(), url).await?;
        storing.adopt("the read model", follower);
        let me = parts::me(config, &caller, &log);
        let replicator = Replicator::spawn(me, links, log.clone(), clocks);
        let view = parts::view(configured, &timelines, &replicator);
        let context = Context::of(Parts {
            replica: config.replica,
            replicas: view.replicas.clone(),
            config: config.clone(),
            log: log.clone(),
            timelines,
            feeds: spawn_feeds(&view, Cursors::new(&keys), &feeding),
            limits: UserLimits::new(&config.limits.rates),
            knowledge: replicator.watch_knowledge(),
            view,
            tokens: Tokens::new(&keys),
            cursors: Cursors::new(&keys),
            wall: configured.wall.clone(),
            disk,
            random: || random::bytes().expect("the system gave random bytes at the start"),
            started: Instant::now(),
        });
        let replica = Self {
            context,
            log,
            replicator,
            peer_keys,
            budget: configured.budget,
            first_end,
            serving,
            feeding,
            storing,
        };
        Ok((replica, answers))
    }

    fn serve_peers(&self, listener: TcpListener) -> anyhow::Result<()> {
        let peers = Peers {
            replicator: self.replicator.clone(),
            keys: self.peer_keys.clone(),
        };
        let limits = ConnectionLimits {
            connections: self.budget.peers,
            per_address: self.budget.peers_per_address,
            ..ConnectionLimits::default()
        };
        self.serve(
            "the port for peers",
            listener,
            self.transport_of_peers()?,
            peers,
            &limits,
        )
    }

    /// With certificates, plain text is still taken on a loopback address while this replica's own
    /// URL is of http: the others go on calling it so until they are told otherwise.
    fn transport_of_peers(&self) -> anyhow::Result<Transport> {
        let view = &self.context.view;
        let Some(own) = view.certificates.peers.clone() else {
            return Ok(Transport::Plain);
        };
        let tls = tls::peers_port(own)?;
        let is_local = view.config.internal_listen.ip().is_loopback();
        let is_called_plainly = view.config.own_address().internal_url.starts_with("http:");
        Ok(if is_local && is_called_plainly {
            Transport::Either(tls)
        } else {
            Transport::Tls(tls)
        })
    }

    fn serve_clients(&self, listener: TcpListener) -> anyhow::Result<()> {
        let limits = ConnectionLimits {
            connections: self.budget.clients,
            per_address: self.budget.clients_per_address,
            proxies: TrustedProxies::new(self.context.config.trusted_proxies.clone()),
            ..ConnectionLimits::default()
        };
        let transport = match self.context.view.certificates.public.clone() {
            Some(certificate) => Transport::Tls(tls::public_port(certificate)?),
            None => Transport::Plain,
        };
        self.serve(
            "the port for clients",
            listener,
            transport,
            app::app(&self.context),
            &limits,
        )
    }

    fn serve_metrics(&self, listener: Option<TcpListener>) -> anyhow::Result<()> {
        let Some(listener) = listener else {
            return Ok(());
        };
        tracing::info!(address = %listener.local_addr()?, "serves metrics");
        let limits = ConnectionLimits {
            connections: METRICS_CONNECTIONS,
            per_address: METRICS_CONNECTIONS / 2,
            ..ConnectionLimits::default()
        };
        let application = app::metrics_app(&self.context);
        let plain = Transport::Plain;
        self.serve(
            "the port for metrics",
            listener,
            plain,
            application,
            &limits,
        )
    }

    fn serve(
        &self,
        name: &'static str,
        listener: TcpListener,
        transport: Transport,
        application: impl poem::Endpoint + 'static,
        limits: &ConnectionLimits,
    ) -> anyhow::Result<()> {
        let acceptor = BoundedAcceptor::new(name, listener, limits)?;
        let stop = self.serving.stop.clone();
        self.serving
            .spawn(name, serve(acceptor, transport, application, stop, GRACE));
        Ok(())
    }

    /// Makes a new origin write above every closed timestamp of the peers.
    async fn raise_above_peers(&self) {
        let is_continued = self.log.beginning() == Beginning::Continued
            && self.log.origin() == self.replicator.began_as();
        if is_continued {
            return;
        }
        if let Some(closed) = self.replicator.ask_closed_timestamps().await
            && let Err(failure) = self.log.raise(closed).await
        {
            tracing::warn!(
                error = &failure as &dyn std::error::Error,
                "the clock could not be raised above the peers'"
            );
        }
    }

    /// Waits for the request to stop, or for a critical task to end.
    async fn until_end(&self, stop: &CancellationToken) -> anyhow::Result<Ended> {
        let task = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Ended::Stopped),
            task = self.first_end.wait() => task,
            () = self.replicator.ended() => "the exchange with the peers",
        };
        // A file operation that hangs ends only with the process.
        if self.log.is_database_replaced() && !self.log.is_file_stuck() {
            return Ok(Ended::Restored);
        }
        Err(anyhow::anyhow!(
            "{task} has stopped, which is a defect; the log above says why"
        ))
    }

    async fn close(self) {
        self.serving.shutdown().await;
        self.replicator.stop().await;
        self.feeding.shutdown().await;
        let storing = self.storing.clone();
        drop(self);
        if timeout(LAST_WRITES, storing.ended()).await.is_err() {
            tracing::warn!("the log did not close in time");
            // Nothing may go on writing beside the next start.
            storing.shutdown().await;
        }
    }
}

async fn report_beginning(config: &Config, log: &Log) {
    database::report(config, log).await;
    for found in log.unsafe_settings() {
        let (setting, value) = (&found.setting, &found.value);
        tracing::warn!(%setting, %value, "Postgres can lose acknowledged writes, as was accepted");
    }
    let origin = log.origin();
    match log.beginning() {
        Beginning::Continued => tracing::info!(%origin, "continues"),
        Beginning::First => tracing::info!(%origin, "begins its first epoch"),
        Beginning::Renewed(why) => {
            tracing::warn!(%origin, %why, "begins a new epoch: it is not sure that nothing is lost");
        }
    }
}

/// Starts the streams, and the task that announces presence to the peers.
fn spawn_feeds(view: &Arc<ClusterView>, cursors: Cursors, tasks: &CriticalTasks) -> Feeds {
    let shown = view.clone();
    let replicator = view.replicator.clone();
    let (feeds, mut changes, following) = Feeds::new(Setup {
        replicas: view.replicas.clone(),
        timelines: view.timelines.clone(),
        knowledge: replicator.watch_knowledge(),
        online_changes: {
            let replicator = replicator.clone();
            Arc::new(move || replicator.take_online_changes())
        },
        cursors,
        view: Arc::new(move || shown.json().into()),
    });
    tasks.spawn_until_stop("the task that feeds the streams", following);
    tasks.spawn_until_stop("the task that announces presence", async move {
        while let Some(change) = changes.recv().await {
            replicator.change_presence(change.came, change.went);
        }
    });
    feeds
}
