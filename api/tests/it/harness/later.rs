//! A replica of a later version, played by the test: it makes events that nobody here knows, hands
//! them to one replica and looks at what another gives back.

use std::sync::Arc;

use causeway_api::keys::ClusterKeys;
use causeway_domain::chain::Hash;
use causeway_domain::envelope::RawEvent;
use causeway_domain::ids::ReplicaId;
use causeway_domain::version_vector::VersionVector;
use causeway_replicator::link::Link;
use causeway_replicator::link::http::HttpLink;
use causeway_replicator_core::auth::PeerKeys;
use causeway_replicator_core::instance::Instance;
use causeway_replicator_core::wire::Caller;

use super::{Cluster, Replica};

/// Where nobody listens: this replica only calls.
const NOWHERE: &str = "http://127.0.0.1:9";

/// The replica.
pub struct Later {
    number: u16,
    caller: Caller,
    keys: PeerKeys,
    made: Vec<RawEvent>,
}

impl Later {
    /// Writes it into the settings of every replica. None of them may run.
    pub fn join_as(number: u16, cluster: &mut Cluster) -> Self {
        for other in cluster.numbers() {
            let replicas = &mut cluster.at_mut(other).settings.replicas;
            replicas.push((number, NOWHERE.into(), NOWHERE.into()));
        }
        let settings = &cluster.at(1).settings;
        let (current, _) = ClusterKeys::new(settings.key.as_bytes(), None).peer_secrets();
        Self {
            number,
            caller: Caller {
                cluster: settings.cluster.clone(),
                replica: ReplicaId::new(number).expect("numbers begin at 1"),
                instance: Instance(number.into()),
            },
            keys: PeerKeys::new(&current, None),
            made: Vec::new(),
        }
    }

    /// Makes its next event, in the group `lobby`, with fields that no version here knows.
    pub fn makes(&mut self, aggregate: &str, kind: &str, event: &str) {
        let seq = self.made.len() + 1;
        let origin = format!("{}.0000000a", self.number);
        let past = match seq {
            1 => String::new(),
            _ => format!(r#""{origin}":{}"#, seq - 1),
        };
        let hlc = (1_900_000_000_000_u64 << 16) + seq as u64;
        let bytes: Arc<str> = format!(
            r#"{{ "seal":[{seq}], "stamp":{{"zone":7,"origin":"{origin}","seq":{seq},"hlc":{hlc},"past":{{{past}}}}},"level":9,"aggregate":"{aggregate}","id":"x{seq}","group":"lobby","type":"{kind}","at":5,"event":{event}}}"#
        )
        .into();
        let former = self.made.last().map_or(Hash::START, |event| event.hash);
        let hash = former.then(bytes.as_bytes());
        let event = RawEvent::parse(bytes, hash).expect("it is an event");
        self.made.push(event);
    }

    /// All it made, bytes and chain.
    pub fn made(&self) -> Vec<(String, Hash)> {
        self.made.iter().map(verbatim).collect()
    }

    /// Hands all it made to a replica.
    pub async fn pushes_to(&self, replica: &Replica) {
        let answer = self.link(replica).push(&self.made).await;
        answer.expect("the push is taken");
    }

    /// What a replica holds of its events, bytes and chain.
    pub async fn pulls_from(&self, replica: &Replica) -> Vec<(String, Hash)> {
        let nothing = VersionVector::default();
        let pulled = self.link(replica).pull(&nothing, 1000).await;
        let events = pulled.expect("the pull is answered").events;
        let own = |event: &&RawEvent| event.envelope.stamp.origin.replica == self.caller.replica;
        events.iter().filter(own).map(verbatim).collect()
    }

    fn link(&self, replica: &Replica) -> HttpLink {
        let url = format!("http://{}", replica.process().internal);
        let peer = ReplicaId::new(replica.settings.replica).expect("numbers begin at 1");
        HttpLink::new(&url, peer, self.caller.clone(), self.keys.clone(), None)
    }
}

fn verbatim(event: &RawEvent) -> (String, Hash) {
    (event.bytes.to_string(), event.hash)
}
