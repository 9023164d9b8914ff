//! The view of the cluster from this replica: which replicas it reaches, and how far they are.

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_replicator::driver::Replicator;
use causeway_replicator_core::liveness::{Outward, Status};
use causeway_replicator_core::view::PeerView;
use causeway_store::timelines::Timelines;
use poem_openapi::Object;
use serde::Serialize;

use crate::alarms::{self, AlarmBody};
use crate::bodies::{Renderer, rfc3339};
use crate::config::{Config, ReplicaAddress};
use crate::edge::WallClock;
use crate::tls::Certificates;

/// The answering replica.
#[derive(Object, Serialize)]
#[oai(rename = "ThisReplica")]
struct SelfBody {
    /// Its number.
    replica: u16,
    /// The epoch in which it writes: 8 hexadecimal digits.
    epoch: String,
    /// Where clients find it.
    public_url: String,
    /// How many events of each replica it holds, by ascending number.
    vector: Vec<u64>,
}

/// A peer, as the answering replica knows it.
#[derive(Object, Serialize)]
#[oai(rename = "Peer")]
struct PeerBody {
    /// Its number.
    replica: u16,
    /// Where clients find it.
    public_url: String,
    /// Where the answering replica calls it.
    internal_url: String,
    /// Judged by when it was last heard of, in either direction: `up`, recently; `suspect`, silent
    /// for one interval; `down`, for three, or never heard of. Later versions may add values.
    status: String,
    /// `ok`: the last call to it was answered; `failing`: it failed, or none was answered yet. Later
    /// versions may add values.
    out: String,
    /// When `status` last changed. RFC 3339, UTC.
    since: String,
    /// How long ago it was last heard of.
    last_heard_ms: Option<u64>,
    /// Round-trip time of its last answer.
    rtt_ms: Option<u64>,
    /// Events it holds that are missing here.
    missing_here: Option<u64>,
    /// Events held here that are missing there.
    missing_there: Option<u64>,
}

/// A replica's view of the cluster.
#[derive(Object, Serialize)]
#[oai(rename = "View")]
pub struct ViewBody {
    /// The answering replica.
    #[oai(rename = "self")]
    #[serde(rename = "self")]
    own: SelfBody,
    /// All others, by ascending number.
    peers: Vec<PeerBody>,
    /// What an operator has to know about the answering replica; empty when all is well.
    alarms: Vec<AlarmBody>,
}

/// Makes the view from what this replica knows.
pub struct ClusterView {
    /// Every configured replica, ascending.
    pub replicas: Vec<ReplicaId>,
    /// Where they are.
    pub config: Config,
    /// What is known of them.
    pub replicator: Replicator,
    /// The read model.
    pub timelines: Timelines,
    /// The origin of this process at its start.
    pub began_as: Origin,
    /// The certificates of both ports.
    pub certificates: Certificates,
    /// The wall clock.
    pub wall: WallClock,
}

impl ClusterView {
    /// Returns the view as JSON, as frames carry it.
    pub fn json(&self) -> String {
        serde_json::to_string(&self.body()).expect("views have only text keys")
    }

    /// Returns the view as it is now.
    pub fn body(&self) -> ViewBody {
        let knowledge = self.replicator.knowledge();
        let log = self.replicator.log();
        let head = log.head();
        let renderer = Renderer {
            replicas: &self.replicas,
            knowledge: &knowledge,
            held: &head.vector,
        };
        ViewBody {
            own: SelfBody {
                replica: self.config.replica.get(),
                epoch: log.origin().epoch.to_string(),
                public_url: self.config.own_address().public_url.clone(),
                vector: renderer.counts(&head.vector),
            },
            peers: self
                .replicator
                .view()
                .iter()
                .map(|peer| self.peer(peer))
                .collect(),
            alarms: self.alarms(),
        }
    }

    /// Returns the active alarms of this replica.
    pub fn alarms(&self) -> Vec<AlarmBody> {
        let knowledge = self.replicator.knowledge();
        let quarantined = self.timelines.following().set_aside;
        let log = self.replicator.log();
        let mut active = alarms::active(log, self.began_as, quarantined, &knowledge);
        let now_ms = i64::try_from((self.wall)()).unwrap_or(i64::MAX);
        active.extend(alarms::of_certificates(&self.certificates, now_ms));
        active
    }

    fn peer(&self, view: &PeerView) -> PeerBody {
        let address = self.config.peers().find(|peer| peer.id == view.replica);
        let url = |of: fn(&ReplicaAddress) -> &String| {
            address
                .map(|address| of(address).clone())
                .unwrap_or_default()
        };
        PeerBody {
            replica: view.replica.get(),
            public_url: url(|address| &address.public_url),
            internal_url: url(|address| &address.internal_url),
            status: match view.status {
                Status::Up => "up".into(),
                Status::Suspect => "suspect".into(),
                Status::Down => "down".into(),
            },
            out: match view.out {
                Outward::Ok => "ok".into(),
                Outward::Failing => "failing".into(),
            },
            since: rfc3339(view.since_wall_ms),
            last_heard_ms: view.last_heard_ms,
            rtt_ms: view.rtt_ms,
            missing_here: view.missing_here,
            missing_there: view.missing_there,
        }
    }
}
