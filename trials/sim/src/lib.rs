//! Replicas under every fault at once, in simulated time, one seed a run. In reading order: chance
//! (`rng`), the network (`net`), what survives a crash (`disk`, `table`), a replica (`replica`), the
//! faults of a run (`swarm`), everything together (`world`), what must hold (`ledger`, `verdict`),
//! what was met (`hits`), and a run (`run`).
//!
//! What is tried is the code of production: the rules of the log's writer
//! (`causeway_domain::writing`), the core of the replicator, the folds of the read model, the
//! progress of readers. Only the shells around them are written again here.

mod disk;
mod hits;
mod ledger;
mod net;
mod people;
mod reader;
mod replica;
mod rng;
mod run;
mod swarm;
mod table;
mod verdict;
mod world;

pub use hits::{Hit, Hits};
pub use net::{Way, Weather};
pub use run::{Outcome, Run};
pub use swarm::Swarm;
pub use world::World;
