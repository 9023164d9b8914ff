//! A deterministic simulator: replicas under all faults at once, in simulated time, one run per
//! seed. In reading order: random numbers (`rng`), the network (`net`), durable state (`disk`,
//! `table`), a replica (`replica`), the faults of a run (`swarm`), the event loop (`world`), the
//! invariants (`ledger`, `verdict`), coverage counters (`hits`), and a run (`run`).
//!
//! The code under test is production code: the rules of the log's writer
//! (`causeway_domain::writing`), the core of the replicator, the folds of the read model, the
//! progress of readers. Only the shells around them are simulated here.

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
