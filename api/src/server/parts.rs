//! What a replica is made of, as its settings say. Called by the server, and by the commands that
//! work on a stopped replica.

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_domain::ids::ReplicaId;
use causeway_replicator::driver::{Clocks, Replicator};
use causeway_replicator::link::http::HttpLink;
use causeway_replicator_core::auth::PeerKeys;
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::me::Me;
use causeway_replicator_core::wire::Caller;
use causeway_store::log::{Log, Options};
use causeway_store::timelines::Timelines;

use super::Configured;
use crate::config::{Config, ReplicaAddress};
use crate::disk::Disk;
use crate::failure::UserError;
use crate::keys::ClusterKeys;
use crate::open_files::{self, Budget, Wanted};
use crate::random;
use crate::tls::{self, Certificates};
use crate::view::ClusterView;

/// Returns how many connections each port may have.
pub(super) fn budget(config: &Config) -> Result<Budget, UserError> {
    open_files::budget(Wanted {
        connections: config.limits.max_connections,
        per_address: config.limits.max_connections_per_address,
        peers: config.peers().count(),
    })
}

pub(super) fn view(
    configured: Configured<'_>,
    timelines: &Timelines,
    replicator: &Replicator,
) -> Arc<ClusterView> {
    let config = configured.config;
    Arc::new(ClusterView {
        replicas: config.replicas.iter().map(|replica| replica.id).collect(),
        config: config.clone(),
        replicator: replicator.clone(),
        timelines: timelines.clone(),
        began_as: replicator.began_as(),
        certificates: configured.certificates.clone(),
        wall: configured.wall.clone(),
    })
}

/// Returns how this process introduces itself to its peers.
pub(crate) fn caller(config: &Config) -> anyhow::Result<Caller> {
    Ok(Caller {
        cluster: config.cluster.clone(),
        replica: config.replica,
        instance: Instance(u64::from_be_bytes(random::bytes()?)),
    })
}

pub(super) fn me(config: &Config, caller: &Caller, log: &Log) -> Me {
    Me {
        origin: log.origin(),
        instance: caller.instance,
        cluster: config.cluster.clone(),
        peers: config.peers().map(|peer| peer.id).collect(),
        protocol: config.peer_protocol,
    }
}

pub(crate) fn links(
    config: &Config,
    caller: &Caller,
    keys: &PeerKeys,
    certificates: &Certificates,
) -> anyhow::Result<BTreeMap<ReplicaId, HttpLink>> {
    let link = |peer: &ReplicaAddress| {
        let own = certificates.peers.as_ref();
        let own = own.filter(|_| peer.internal_url.starts_with("https:"));
        let tls = own.map(|own| tls::call_to(own.clone(), peer.id));
        let (url, caller, keys) = (&peer.internal_url, caller.clone(), keys.clone());
        let link = HttpLink::new(url, peer.id, caller, keys, tls.transpose()?);
        Ok((peer.id, link))
    };
    config.peers().map(link).collect()
}

pub(crate) fn peer_keys(keys: &ClusterKeys) -> PeerKeys {
    let (current, previous) = keys.peer_secrets();
    PeerKeys::new(&current, previous.as_ref().map(|key| &key[..]))
}

pub(crate) fn disk(config: &Config) -> Arc<Disk> {
    let min_free_bytes = config.limits.min_free_disk_bytes;
    Arc::new(Disk::new(&config.data_dir, min_free_bytes))
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
        fresh_epoch: u32::from_be_bytes(random::bytes()?),
        max_waiting_writes: config.limits.max_waiting_writes,
        max_lag_ms: config.limits.max_lag_ms,
        allow_unsafe_postgres: config.allow_unsafe_postgres,
        has_room: Arc::new(move || disk.has_room()),
    })
}
