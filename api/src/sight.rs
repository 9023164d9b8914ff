//! What the view is made of: which replicas this one reaches, and how far they are.

use causeway_domain::ids::{Origin, ReplicaId};
use causeway_replicator::driver::Replicator;
use causeway_replicator_core::liveness::{Outward, Status};
use causeway_replicator_core::view::PeerView;
use causeway_store::timelines::Timelines;
use poem_openapi::{Enum, Object};
use serde::Serialize;

use crate::alarms::{self, AlarmBody};
use crate::bodies::{Painter, rfc3339};
use crate::config::{Config, ReplicaAddress};

/// The answering replica.
#[derive(Object, Serialize)]
struct SelfBody {
    /// Its number.
    replica: u16,
    /// Which of its databases it writes with: 8 hexadecimal digits.
    epoch: String,
    /// Where clients find it.
    public_url: String,
    /// How many events of each replica it holds, by ascending number.
    vector: Vec<u64>,
}

/// Whether a peer is there.
#[derive(Clone, Copy, Enum, Serialize)]
#[oai(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
enum PeerStatus {
    /// Heard of lately.
    Up,
    /// Missed once.
    Suspect,
    /// Missed thrice, or never heard of.
    Down,
}

/// Whether calling a peer works.
#[derive(Clone, Copy, Enum, Serialize)]
#[oai(rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
enum PeerOut {
    /// The last call was answered.
    Ok,
    /// The last call failed, or none was answered yet.
    Failing,
}

/// A peer, as the answering replica knows it.
#[derive(Object, Serialize)]
struct PeerBody {
    /// Its number.
    replica: u16,
    /// Where clients find it.
    public_url: String,
    /// Where the answering replica calls it.
    internal_url: String,
    /// By what was last heard of it, in either direction.
    status: PeerStatus,
    /// Whether calling it works.
    out: PeerOut,
    /// Since when `status` is so. RFC 3339, UTC.
    since: String,
    /// How long ago it was last heard of.
    last_heard_ms: Option<u64>,
    /// How long its last answer took.
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
    /// What an operator must know about the answering replica; empty when all is well.
    alarms: Vec<AlarmBody>,
}

/// What the view is made of.
pub struct Sight {
    /// Every configured replica, ascending.
    pub replicas: Vec<ReplicaId>,
    /// Where they are.
    pub config: Config,
    /// What is known of them.
    pub replicator: Replicator,
    /// What people are shown.
    pub timelines: Timelines,
    /// Who this process wrote as at its start.
    pub began_as: Origin,
}

impl Sight {
    /// The view as frames carry it.
    pub fn json(&self) -> String {
        serde_json::to_string(&self.view()).expect("views have only text keys")
    }

    /// The view, as it stands.
    pub fn view(&self) -> ViewBody {
        let knowledge = self.replicator.knowledge();
        let log = self.replicator.log();
        let head = log.head();
        let painter = Painter {
            replicas: &self.replicas,
            knowledge: &knowledge,
            held: &head.vector,
        };
        ViewBody {
            own: SelfBody {
                replica: self.config.replica.get(),
                epoch: log.origin().epoch.to_string(),
                public_url: self.config.own_address().public_url.clone(),
                vector: painter.counts(&head.vector),
            },
            peers: self
                .replicator
                .view()
                .iter()
                .map(|line| self.peer(line))
                .collect(),
            alarms: self.alarms(),
        }
    }

    /// What an operator must know.
    pub fn alarms(&self) -> Vec<AlarmBody> {
        let knowledge = self.replicator.knowledge();
        let aside = self.timelines.following().set_aside;
        alarms::standing(self.replicator.log(), self.began_as, aside, &knowledge)
    }

    fn peer(&self, line: &PeerView) -> PeerBody {
        let address = self.config.peers().find(|peer| peer.id == line.replica);
        let url = |of: fn(&ReplicaAddress) -> &String| {
            address
                .map(|address| of(address).clone())
                .unwrap_or_default()
        };
        PeerBody {
            replica: line.replica.get(),
            public_url: url(|address| &address.public_url),
            internal_url: url(|address| &address.internal_url),
            status: match line.status {
                Status::Up => PeerStatus::Up,
                Status::Suspect => PeerStatus::Suspect,
                Status::Down => PeerStatus::Down,
            },
            out: match line.out {
                Outward::Ok => PeerOut::Ok,
                Outward::Failing => PeerOut::Failing,
            },
            since: rfc3339(line.since_wall_ms),
            last_heard_ms: line.last_heard_ms,
            rtt_ms: line.rtt_ms,
            missing_here: line.missing_here,
            missing_there: line.missing_there,
        }
    }
}
