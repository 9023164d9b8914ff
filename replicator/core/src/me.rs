//! What a replica knows of itself.

use causeway_domain::ids::{Origin, ReplicaId};

use crate::instance::Instance;

/// Who this replica is, and whom it calls.
#[derive(Clone, Debug)]
pub struct Me {
    /// The number and epoch it writes as.
    pub origin: Origin,
    /// This process.
    pub instance: Instance,
    /// The cluster's name.
    pub cluster: String,
    /// Every other configured replica.
    pub peers: Vec<ReplicaId>,
    /// The lowest and highest version of the peer protocol that is spoken.
    pub protocol: [u16; 2],
}
