//! One running replica: opens its parts in order, serves, and closes them in order.

mod lasting;

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use causeway_domain::ids::ReplicaId;
use causeway_domain::writing::Beginning;
use causeway_replicator::driver::{Clocks, Replicator};
use causeway_replicator::inquiry;
use causeway_replicator::link::http::HttpLink;
use causeway_replicator_core::auth::PeerKeys;
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::me::Me;
use causeway_replicator_core::wire::Caller;
use causeway_store::log::{Log, Options, WriterTask};
use causeway_store::timelines::{FollowTask, Timelines};
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::app;
use crate::clock::wall_clock;
use crate::config::{Config, ReplicaAddress};
use crate::context::{Context, Parts};
use crate::cursor::Cursors;
use crate::database::Database;
use crate::disk::Disk;
use crate::edge::WallClock;
use crate::edge::accept::{ConnectionLimits, Door};
use crate::edge::serve::serve;
use crate::failure::listen;
use crate::feeds::{Feeds, Setup};
use crate::keys::ClusterKeys;
use crate::routes::peers::Peers;
use crate::sight::Sight;
use crate::token::Tokens;

use lasting::{Lasting, ended};

/// How long a start waits for the clocks of peers.
const CLOCKS: Duration = Duration::from_secs(1);
/// How long requests in flight may take to end after the server was asked to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How soon a start is tried again, where the database was restored beneath a server.
const BEGIN_AGAIN: Duration = Duration::from_secs(1);
/// How long the writer may take to write what waits.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// How a replica that served has come to its end.
enum Ended {
    /// It was asked to stop.
    Stopped,
    /// The database is another one than at the start, or lost something: only a start finds out as whom
    /// to go on.
    Restored,
}

/// Serves one replica until `stop` is done. Calls `on_ready` with the addresses it serves clients
/// and peers on, when both are served. Where the database was restored beneath it, it begins anew.
pub async fn run(
    config: Config,
    stop: impl Future<Output = ()>,
    on_ready: impl FnOnce(SocketAddr, SocketAddr),
) -> anyhow::Result<()> {
    // First of all, so that a port in use is said before anything is started.
    let mut public = listen("public_listen", config.public_listen).await?;
    let mut internal = listen("internal_listen", config.internal_listen).await?;
    let addresses = (public.local_addr()?, internal.local_addr()?);
    let database = Database::open(&config).await?;
    let (stop, mut on_ready) = (stop.shared(), Some(on_ready));
    let mut begins_anew = false;
    let served = loop {
        let is_up = AtomicBool::new(false);
        let up = || {
            is_up.store(true, Ordering::Relaxed);
            if let Some(on_ready) = on_ready.take() {
                on_ready(addresses.0, addresses.1);
            }
        };
        let serving = serve_with(&config, &database.url, public, internal, stop.clone(), up);
        let served = tokio::select! {
            served = serving => served,
            () = asked_to_stop(&stop, &is_up), if begins_anew => break Ok(()),
        };
        match served {
            Ok(Ended::Stopped) => break Ok(()),
            Ok(Ended::Restored) => tracing::error!(
                "the database was restored or exchanged beneath this server, which begins anew"
            ),
            // Whoever restores it may not be done yet.
            Err(failure) if begins_anew && !is_up.load(Ordering::Relaxed) => {
                tracing::error!(failure = %format!("{failure:#}"), "cannot begin anew yet");
                tokio::select! {
                    () = tokio::time::sleep(BEGIN_AGAIN) => {}
                    () = stop.clone() => break Ok(()),
                }
            }
            Err(failure) => break Err(failure),
        }
        begins_anew = true;
        (public, internal) = match listen_again(addresses).await {
            Ok(listening) => listening,
            Err(failure) => break Err(failure),
        };
    };
    database.close().await;
    served
}

/// Waits until a start that goes on is no longer wanted: one that serves ends in order by itself.
async fn asked_to_stop(stop: &Shared<impl Future<Output = ()>>, is_up: &AtomicBool) {
    stop.clone().await;
    if is_up.load(Ordering::Relaxed) {
        pending::<()>().await;
    }
}

async fn listen_again(
    (public, internal): (SocketAddr, SocketAddr),
) -> anyhow::Result<(TcpListener, TcpListener)> {
    Ok((
        listen("public_listen", public).await?,
        listen("internal_listen", internal).await?,
    ))
}

/// The document of the public API, YAML.
pub fn openapi() -> String {
    app::openapi_yaml()
}

async fn serve_with(
    config: &Config,
    url: &str,
    public: TcpListener,
    internal: TcpListener,
    stop: impl Future<Output = ()>,
    on_ready: impl FnOnce(),
) -> anyhow::Result<Ended> {
    let wall = wall_clock(config.clock_offset_file.as_deref());
    let keys = ClusterKeys::of(config);
    let peer_keys = peer_keys(&keys);
    let clocks = Clocks::new(wall.clone());
    let caller = caller(config)?;
    let links = links(config, &caller, &peer_keys);
    // Before the log makes its first promise: it must not follow a clock that leads all others.
    let answers = inquiry::ask(&links, &caller, clocks.now(), CLOCKS).await;
    clocks.bound(inquiry::ceiling_ms(&answers, clocks.now()));
    let disk = Arc::new(disk_of(config));
    let (log, writer) = Log::open(options(config, url, &clocks, &disk)?).await?;
    tell_beginning(&log);
    let (timelines, follower) = Timelines::follow(log.clone(), url).await?;
    let replicator = Replicator::spawn(me(config, &caller, &log), links, log.clone(), clocks);
    let (context, hub, presence) = context(
        config,
        &keys,
        log.clone(),
        timelines,
        &replicator,
        wall,
        disk,
    );

    let (stopping, stopped) = watch::channel(false);
    let limits = ConnectionLimits::default();
    let peers = Peers {
        replicator: replicator.clone(),
        keys: peer_keys,
    };
    let serving_peers = spawn_serving(internal, peers, limits, stopped.clone())?;
    let knows_itself = replicator.look_back(answers).await;
    let serving_clients = if knows_itself {
        if log.beginning() != Beginning::Continued || log.origin() != replicator.began_as() {
            raise_above_peers(&log, &replicator).await;
        }
        let limits = ConnectionLimits {
            connections: config.limits.max_connections,
            ..limits
        };
        let serving = spawn_serving(public, app::app(&context), limits, stopped)?;
        on_ready();
        serving
    } else {
        drop(public);
        tokio::spawn(async {})
    };

    let mut lasting = Lasting {
        writer,
        follower,
        hub,
        presence,
        peers: serving_peers,
        clients: serving_clients,
    };
    let outcome = tokio::select! {
        biased;
        () = ready(()), if !knows_itself => Err(anyhow::anyhow!(
            "peers know messages of this replica that its database has lost, and the database does \
             not take the new epoch to go on with: see what is wrong with it"
        )),
        () = stop => Ok(Ended::Stopped),
        // What hangs in the file beside the database goes only with the process.
        part = lasting.first_to_end(&replicator) => if log.is_not_ours() && !log.is_file_stuck() {
            Ok(Ended::Restored)
        } else {
            Err(anyhow::anyhow!("{part} has stopped, which is a defect; the log above says why"))
        },
    };
    stopping.send_replace(true);
    let _ = tokio::join!(ended(&mut lasting.clients), ended(&mut lasting.peers));
    replicator.stop().await;
    lasting.hub.abort();
    lasting.presence.abort();
    let _ = tokio::join!(ended(&mut lasting.hub), ended(&mut lasting.presence));
    drop((context, replicator, log));
    close(lasting.writer, lasting.follower).await;
    outcome
}

fn tell_beginning(log: &Log) {
    for found in log.unsafe_settings() {
        let (setting, value) = (&found.setting, &found.value);
        tracing::warn!(%setting, %value, "Postgres can lose acknowledged writes, as was accepted");
    }
    let origin = log.origin();
    match log.beginning() {
        Beginning::Continued => tracing::info!(%origin, "goes on"),
        Beginning::First => tracing::info!(%origin, "begins"),
        Beginning::Renewed(why) => {
            tracing::warn!(%origin, %why, "begins a new epoch: it is not sure that nothing is lost");
        }
    }
}

fn me(config: &Config, caller: &Caller, log: &Log) -> Me {
    Me {
        origin: log.origin(),
        instance: caller.instance,
        cluster: config.cluster.clone(),
        peers: config.peers().map(|peer| peer.id).collect(),
        protocol: config.peer_protocol,
    }
}

/// Who this process is to its peers.
pub(crate) fn caller(config: &Config) -> anyhow::Result<Caller> {
    Ok(Caller {
        cluster: config.cluster.clone(),
        replica: config.replica,
        instance: Instance(random_number()?),
    })
}

pub(crate) fn links(
    config: &Config,
    caller: &Caller,
    keys: &PeerKeys,
) -> BTreeMap<ReplicaId, HttpLink> {
    let link = |peer: &ReplicaAddress| {
        let link = HttpLink::new(&peer.internal_url, caller.clone(), keys.clone());
        (peer.id, link)
    };
    config.peers().map(link).collect()
}

fn context(
    config: &Config,
    keys: &ClusterKeys,
    log: Log,
    timelines: Timelines,
    replicator: &Replicator,
    wall: WallClock,
    disk: Arc<Disk>,
) -> (Context, JoinHandle<()>, JoinHandle<()>) {
    let replicas: Vec<ReplicaId> = config.replicas.iter().map(|replica| replica.id).collect();
    let sight = Arc::new(Sight {
        replicas: replicas.clone(),
        config: config.clone(),
        replicator: replicator.clone(),
        timelines: timelines.clone(),
        began_as: replicator.began_as(),
    });
    let shown = sight.clone();
    let (feeds, mut changes, hub) = Feeds::start(Setup {
        replicas: replicas.clone(),
        timelines: timelines.clone(),
        knowledge: replicator.watch_knowledge(),
        cursors: Cursors::new(keys),
        view: Arc::new(move || shown.json().into()),
    });
    let told = replicator.clone();
    let presence = tokio::spawn(async move {
        while let Some(change) = changes.recv().await {
            told.change_presence(change.came, change.went);
        }
    });
    let context = Context::of(Parts {
        replica: config.replica,
        replicas,
        config: config.clone(),
        log,
        timelines,
        feeds,
        knowledge: replicator.watch_knowledge(),
        sight,
        tokens: Tokens::new(keys),
        cursors: Cursors::new(keys),
        wall,
        disk,
        random: || random_bytes().expect("the system gave random bytes at the start"),
        started: Instant::now(),
    });
    (context, hub, presence)
}

fn spawn_serving(
    listener: TcpListener,
    application: impl poem::Endpoint + 'static,
    limits: ConnectionLimits,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<JoinHandle<()>> {
    let door = Door::new(listener, &limits)?;
    let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
    Ok(tokio::spawn(serve(door, application, limits, stop, GRACE)))
}

/// A new origin writes above every promise that others have made about their past.
async fn raise_above_peers(log: &Log, replicator: &Replicator) {
    if let Some(floor) = replicator.ask_floors().await
        && let Err(failure) = log.raise(floor).await
    {
        tracing::warn!(
            error = &failure as &dyn std::error::Error,
            "the clock could not be raised above the peers'"
        );
    }
}

async fn close(mut writer: WriterTask, mut follower: FollowTask) {
    let both = async {
        let _ = tokio::join!(ended(&mut writer), ended(&mut follower));
    };
    if timeout(LAST_WRITES, both).await.is_err() {
        tracing::warn!("the log did not close in time");
        // Nothing of it may be left to write beside what comes after.
        writer.abort();
        follower.abort();
        let _ = tokio::join!(ended(&mut writer), ended(&mut follower));
    }
}

pub(crate) fn disk_of(config: &Config) -> Disk {
    Disk::new(&config.data_dir, config.limits.min_free_disk_bytes)
}

pub(crate) fn options(
    config: &Config,
    url: &str,
    clocks: &Clocks,
    disk: &Arc<Disk>,
) -> anyhow::Result<Options> {
    let disk = disk.clone();
    Ok(Options {
        replica: config.replica,
        cluster: config.cluster.clone(),
        database_url: url.to_owned(),
        data_dir: config.data_dir.clone(),
        wall: clocks.wall(),
        order: clocks.order(),
        fresh_epoch: u32::try_from(random_number()? >> 32)?,
        max_waiting_writes: config.limits.max_waiting_writes,
        allow_unsafe_postgres: config.allow_unsafe_postgres,
        has_room: Arc::new(move || disk.has_room()),
    })
}

pub(crate) fn peer_keys(keys: &ClusterKeys) -> PeerKeys {
    let (current, previous) = keys.peer_secrets();
    PeerKeys::new(&current, previous.as_ref().map(|key| &key[..]))
}

fn random_number() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&random_bytes()?[..8]);
    Ok(u64::from_be_bytes(bytes))
}

/// The one source of randomness.
fn random_bytes() -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|failure| anyhow::anyhow!("the system gives no random bytes: {failure}"))?;
    Ok(bytes)
}
