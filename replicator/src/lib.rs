//! How replicas agree, done: the shell around `causeway_replicator_core`. In reading order: the calls
//! (`link`, `inquiry`, `rescue`), their other end (`serve`), what drives the core (`driver`), and
//! what is counted (`traffic`, `refused`).

mod blocking;
pub mod driver;
pub mod inquiry;
pub mod link;
pub mod refused;
pub mod rescue;
pub mod serve;
pub mod traffic;
